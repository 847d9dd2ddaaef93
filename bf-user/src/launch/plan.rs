//! Resolves a wish into a plan: model, tier, engine, resources. Reads the cache and changes nothing.

use std::path::PathBuf;

use bf_core::model::{self, Found, Location, ModelId, Root};
use bf_core::report::{Exit, Failure, Finding};
use bf_core::service::{self, Kind, Listen};
use bf_core::settings::Settings;
use bf_core::site::{self, Layout};
use bf_core::spec::{ResourceSpecs, SpecSource};
use bf_core::tier;

use crate::job::{Engine, Job, Key, Model, Network, Resources, SCHEMA, TierName};

/// What the user asked for, as the command line gave it.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) kind: Kind,
    pub(crate) model: String,
    pub(crate) revision: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) tier: Option<String>,
    pub(crate) partition: Option<String>,
    pub(crate) cpus: Option<u32>,
    pub(crate) memory_gb: Option<u32>,
    pub(crate) gpus: Option<u32>,
    pub(crate) port: u16,
    /// Seconds.
    pub(crate) time_limit: Option<u64>,
    /// Seconds.
    pub(crate) idle_timeout: Option<u64>,
    /// Seconds.
    pub(crate) grace_period: u64,
    pub(crate) key: Option<Key>,
    pub(crate) arguments: Vec<String>,
}

/// All that is needed to start, and what to tell the user about it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) layout: Layout,
    pub(crate) job: Job,
    /// Why this tier.
    pub(crate) reason: String,
    pub(crate) warnings: Vec<Finding>,
}

impl Plan {
    /// Resolves `wish`, or says what stands in its way.
    pub(crate) fn of(wish: &Wish, settings: &Settings) -> Result<Self, Failure> {
        let layout = open_cache(settings)?;
        let id = ModelId::parse_stored(&wish.model)?;
        let Found { info, mut warnings, .. } =
            model::find(&roots(settings, &layout), &id, wish.revision.as_deref())?;
        let loaded = ResourceSpecs::load(&layout.resource_specs())?;
        warnings.extend(loaded.warnings);
        let size_gb = info.size_bytes.map(gb);
        let (tier, reason) = choose_tier(wish, &loaded.specs, size_gb)?;
        let resources = Resources {
            cpus: wish.cpus.unwrap_or(tier.cpus),
            gpus: wish.gpus.unwrap_or(tier.gpus),
            memory_gb: wish.memory_gb.unwrap_or(tier.memory_gb),
        };
        let time_limit = time_limit(wish.time_limit, &loaded.specs)?;
        let engine = engine(&layout, wish.kind, info.format.name(), resources.gpus)?;
        let weights = info.weights.first().cloned().ok_or_else(|| {
            Failure::new(Exit::Invalid, "model_without_weights", format!("the model {id} has no weights"))
        })?;
        let service = new_id()?;
        let job = Job {
            schema: SCHEMA,
            name: wish.name.clone().unwrap_or_else(|| format!("blackfish-{}", &service[..5])),
            service,
            kind: wish.kind.name().into(),
            engine,
            model: Model { repo: id.to_string(), revision: info.revision, snapshot: info.path, weights },
            resources,
            tier: tier.name,
            network: Network { address: "127.0.0.1".into(), port: wish.port },
            arguments: wish.arguments.clone(),
            idle_timeout: wish.idle_timeout,
            grace_period: wish.grace_period,
            profile: settings.profile_name().to_owned(),
            cache_dir: layout.root().display().to_string(),
            time_limit,
            created_at: bf_core::host::now(),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        Ok(Self { layout, job, reason, warnings })
    }
}

/// The cache of these settings, which must be there.
pub(crate) fn open_cache(settings: &Settings) -> Result<Layout, Failure> {
    let cache = settings.cache_dir.as_deref().ok_or(site::SiteError::Unnamed)?;
    Ok(site::open(cache)?)
}

/// Where models are looked for: the shared cache first, then the user's own folder.
pub(crate) fn roots(settings: &Settings, layout: &Layout) -> Vec<Root> {
    vec![
        Root { path: layout.models(), location: Location::Cache },
        Root { path: settings.home_dir.join("models"), location: Location::Home },
    ]
}

/// Bytes as GB (10^9 bytes), as `max_model_size_gb` counts.
#[allow(clippy::cast_precision_loss)] // exact to 9 PB
pub(crate) fn gb(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// What a tier gives.
struct Given {
    name: Option<TierName>,
    cpus: u32,
    gpus: u32,
    memory_gb: u32,
}

/// The tier that was asked for, else the recommended one. Without either, resources that are all given do as well.
fn choose_tier(wish: &Wish, specs: &ResourceSpecs, size_gb: Option<f64>) -> Result<(Given, String), Failure> {
    // The built-in tiers go with any partition of a cluster. Without a cluster there is none to name.
    if let (SpecSource::Defaults, Some(partition)) = (&specs.source, &wish.partition) {
        let message = format!("there is no partition {partition}: this site declares none");
        return Err(
            Failure::new(Exit::NotFound, "partition_not_found", message).with_hint("leave out --partition")
        );
    }
    let (wanted, partition, reason) = if let Some(tier) = &wish.tier {
        (Some(tier.clone()), wish.partition.clone(), "asked for with --tier".to_owned())
    } else {
        let choice = tier::recommend(specs, Some(&wish.model), size_gb, wish.partition.as_deref())?;
        (choice.tier, choice.partition, choice.reason)
    };
    if let Some(wanted) = wanted {
        let (partition, tier) = tier::find(specs, &wanted, partition.as_deref())?;
        let name = TierName { partition: partition.name.clone(), name: tier.name.clone() };
        let given =
            Given { name: Some(name), cpus: tier.cpu_cores, gpus: tier.gpu_count, memory_gb: tier.memory_gb };
        return Ok((given, reason));
    }
    match (wish.cpus, wish.memory_gb) {
        (Some(cpus), Some(memory_gb)) => {
            let given = Given { name: None, cpus, gpus: wish.gpus.unwrap_or(0), memory_gb };
            Ok((given, "resources were given".into()))
        }
        _ => Err(Failure::new(
            Exit::NotFound,
            "no_tier",
            format!("no tier fits the model {}: {reason}", wish.model),
        )
        .with_hint("choose one with --tier; `bf-user tier ls` lists them")),
    }
}

/// Seconds: what was asked for, if the site allows it, else what the site gives. A site without a specification sets no limit.
fn time_limit(asked: Option<u64>, specs: &ResourceSpecs) -> Result<Option<u64>, Failure> {
    let max = specs.time.max_minutes;
    match asked {
        Some(seconds) if seconds > u64::from(max) * 60 => {
            let message = format!("{} minutes are more than this site allows: {max}", seconds.div_ceil(60));
            Err(Failure::new(Exit::Usage, "time_too_long", message)
                .with_hint(format!("ask for --time {max} or less")))
        }
        Some(seconds) => Ok(Some(seconds)),
        None if specs.source == SpecSource::Defaults => Ok(None),
        None => Ok(Some(u64::from(specs.time.default_minutes) * 60)),
    }
}

/// The engine for the model, with its installation checked: a program from the cache is run only if it can be trusted.
fn engine(layout: &Layout, kind: Kind, format: &str, gpus: u32) -> Result<Engine, Failure> {
    let engine = service::choose(Some(layout), kind, format, gpus)?;
    check_supported(&engine)?;
    let (version, native) = match &engine.native {
        Some(native) => {
            let folder = layout.engine(&engine.id, &native.version);
            if !folder.is_dir() {
                let message = format!(
                    "the engine {} {} is not installed in {}",
                    engine.id,
                    native.version,
                    layout.root().display()
                );
                return Err(Failure::new(Exit::NotFound, "engine_not_installed", message).with_hint(format!(
                    "an administrator installs it: add `{}` to `engines` in site.yaml and run `bf-admin setup`",
                    engine.id
                )));
            }
            (native.version.clone(), Some(site::trusted_tree(layout.root(), &folder)?))
        }
        None if engine.image.is_some() => {
            let message =
                format!("the engine {} runs in a container, which this version cannot start yet", engine.id);
            return Err(Failure::new(Exit::Failed, "container_not_supported", message));
        }
        None => (String::new(), None),
    };
    Ok(Engine {
        id: engine.id,
        version,
        native,
        command: engine.command,
        env: engine.env,
        secret_env: engine.secret_env,
        health: engine.health,
        ready_path: engine.ready.path,
        ready_body: engine.ready.body,
        routes: engine.routes,
    })
}

/// What this version cannot do for an engine is refused, not left out.
fn check_supported(engine: &service::Engine) -> Result<(), Failure> {
    let why = if engine.listen == Listen::Tcp {
        "it listens at a TCP port, which everybody on the machine can reach"
    } else if !engine.assets.is_empty() {
        "it needs assets, which are not provisioned yet"
    } else {
        return Ok(());
    };
    let message = format!("the engine {} cannot be started by this version: {why}", engine.id);
    Err(Failure::new(Exit::Failed, "engine_not_supported", message))
}

/// A new service id: 128 random bits as hex.
fn new_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bf_core::digest::hex(&bytes))
}

/// The path of this program, for scripts that start it again.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?)
}

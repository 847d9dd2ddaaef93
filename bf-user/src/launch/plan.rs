//! Resolves a wish into a plan: model, tier, engine, resources. Reads the cache and changes nothing.

use bf_core::image::Reference;
use bf_core::model::{self, Found, Location, ModelError, ModelId, Root};
use bf_core::report::{Exit, Failure, Finding};
use bf_core::service::Kind;
use bf_core::settings::Settings;
use bf_core::site::{self, Layout, SiteRules};
use bf_core::spec::{ResourceSpecs, SpecSource};
use bf_core::tier;

use super::{Fetch, engine, rules};
use crate::job::{Job, Key, Model, Resources, SCHEMA, Scheduler, SlurmOptions, TierName};

/// What the user asked for, as the command line gave it.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) kind: Kind,
    pub(crate) scheduler: Scheduler,
    pub(crate) model: String,
    pub(crate) revision: Option<String>,
    /// Whether an image that is nowhere may be fetched, on this machine.
    pub(crate) pull: bool,
    /// Another image than the engine's own.
    pub(crate) image: Option<Reference>,
    pub(crate) name: Option<String>,
    pub(crate) tier: Option<String>,
    pub(crate) partition: Option<String>,
    pub(crate) constraint: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) qos: Option<String>,
    pub(crate) reservation: Option<String>,
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
    /// What the site asks for.
    pub(crate) rules: SiteRules,
    /// Why this tier.
    pub(crate) reason: String,
    pub(crate) warnings: Vec<Finding>,
}

impl Plan {
    /// Resolves `wish`, or says what stands in its way. `fetch` is asked for an image that is nowhere, if the wish is to pull it.
    pub(crate) fn of(wish: &Wish, settings: &Settings, fetch: Fetch<'_>) -> Result<Self, Failure> {
        let layout = open_cache(settings)?;
        let site = SiteRules::of_cache(&layout)?;
        rules::check(&site, wish)?;
        let id = ModelId::parse_stored(&wish.model)?;
        let Found { info, warnings, .. } = find_model(settings, &layout, &id, wish.revision.as_deref())?;
        let loaded = ResourceSpecs::load(&layout.resource_specs())?;
        let size_gb = info.size_bytes.map(gb);
        let (tier, reason) = choose_tier(wish, &loaded.specs, size_gb)?;
        let resources = Resources {
            cpus: wish.cpus.unwrap_or(tier.cpus),
            gpus: wish.gpus.unwrap_or(tier.gpus),
            memory_gb: wish.memory_gb.unwrap_or(tier.memory_gb),
        };
        let time_limit = time_limit(wish, &loaded.specs)?;
        let engine = {
            let (home, wish) = (&settings.home_dir, (wish, fetch));
            engine::of(&layout, home, &site, wish, info.format.name(), resources.gpus)?
        };
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
            tier: tier.name.clone(),
            network: rules::network(&site, wish),
            runtime: rules::runtime(&site),
            scheduler: wish.scheduler,
            slurm: slurm_options(&site, wish, &resources, tier),
            resources,
            arguments: wish.arguments.clone(),
            idle_timeout: rules::idle_timeout(&site, wish)?,
            grace_period: wish.grace_period,
            profile: settings.profile_name().to_owned(),
            cache_dir: layout.root().display().to_string(),
            time_limit,
            created_at: bf_core::host::now(),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        Ok(Self { layout, job, rules: site, reason, warnings })
    }
}

/// The cache of these settings, which must be there.
pub(crate) fn open_cache(settings: &Settings) -> Result<Layout, Failure> {
    let cache = settings.cache_dir.as_deref().ok_or(site::SiteError::Unnamed)?;
    Ok(site::open(cache)?)
}

/// Where models are looked for: the shared cache first, then the user's own folder.
pub(crate) fn roots(settings: &Settings, layout: &Layout) -> Vec<Root> {
    vec![Root { path: layout.models(), location: Location::Cache }, own_models(settings)]
}

/// The model, in the shared cache or the user's own folder; where it is in neither, the hint says how it gets there.
pub(crate) fn find_model(
    settings: &Settings,
    layout: &Layout,
    id: &ModelId,
    revision: Option<&str>,
) -> Result<Found, Failure> {
    model::find(&roots(settings, layout), id, revision).map_err(|error| {
        let is_missing = matches!(error, ModelError::NotFound { .. } | ModelError::RevisionNotFound { .. });
        let failure = Failure::from(error);
        if !is_missing {
            return failure;
        }
        let revision = revision.map(|revision| format!("@{revision}")).unwrap_or_default();
        let add = format!("`bf-user model add {id}{revision}` fetches it into your own folder");
        let hint = failure.hint.as_ref().map_or_else(|| add.clone(), |hint| format!("{hint}; {add}"));
        failure.with_hint(hint)
    })
}

/// The user's own models.
pub(crate) fn own_models(settings: &Settings) -> Root {
    Root { path: settings.home_dir.join("models"), location: Location::Home }
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
    constraint: Option<String>,
    /// As the administrator wrote it, the number of GPUs filled in.
    gres: Option<String>,
}

/// What Slurm is asked for besides the amounts: the user's word comes before the tier's.
fn slurm_options(site: &SiteRules, wish: &Wish, resources: &Resources, tier: Given) -> SlurmOptions {
    if wish.scheduler == Scheduler::Local {
        return SlurmOptions::default();
    }
    let partition = tier.name.and_then(|name| name.partition);
    // The tier's own request is for its own number of GPUs.
    let gres = tier.gres.filter(|_| resources.gpus == tier.gpus);
    let options = SlurmOptions {
        partition: wish.partition.clone().or(partition),
        constraint: wish.constraint.clone().or(tier.constraint),
        account: wish.account.clone(),
        qos: wish.qos.clone(),
        reservation: wish.reservation.clone(),
        gres: gres.or_else(|| (resources.gpus > 0).then(|| format!("gpu:{}", resources.gpus))),
        ..SlurmOptions::default()
    };
    rules::slurm(site, options)
}

/// The tier that was asked for, else the recommended one. Without either, resources that are all given do as well.
fn choose_tier(wish: &Wish, specs: &ResourceSpecs, size_gb: Option<f64>) -> Result<(Given, String), Failure> {
    // The built-in tiers go with any partition of a cluster. Without a cluster there is none to name.
    if let (SpecSource::Defaults, Some(partition), Scheduler::Local) =
        (&specs.source, &wish.partition, wish.scheduler)
    {
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
        // The built-in tiers have no partition: they go with any.
        let partition = partition.filter(|_| specs.source != SpecSource::Defaults);
        let (partition, tier) = tier::find(specs, &wanted, partition.as_deref())?;
        let given = Given {
            name: Some(TierName { partition: partition.name.clone(), name: tier.name.clone() }),
            cpus: tier.cpu_cores,
            gpus: tier.gpu_count,
            memory_gb: tier.memory_gb,
            constraint: tier.slurm.constraint.clone(),
            gres: tier.gres(),
        };
        return Ok((given, reason));
    }
    match (wish.cpus, wish.memory_gb) {
        (Some(cpus), Some(memory_gb)) => {
            let gpus = wish.gpus.unwrap_or(0);
            let given = Given { name: None, cpus, gpus, memory_gb, constraint: None, gres: None };
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

/// Seconds: what was asked for, if the site allows it, else what the site gives. Without a specification there is no limit on
/// this machine; a scheduler must be told one.
fn time_limit(wish: &Wish, specs: &ResourceSpecs) -> Result<Option<u64>, Failure> {
    let max = specs.time.max_minutes;
    let is_declared = specs.source != SpecSource::Defaults;
    match wish.time_limit {
        Some(seconds)
            if seconds > u64::from(max) * 60 && (is_declared || wish.scheduler == Scheduler::Local) =>
        {
            let message = format!("{} minutes are more than this site allows: {max}", seconds.div_ceil(60));
            Err(Failure::new(Exit::Usage, "time_too_long", message)
                .with_hint(format!("ask for --time {max} or less")))
        }
        Some(seconds) => Ok(Some(seconds)),
        None if !is_declared && wish.scheduler == Scheduler::Local => Ok(None),
        None => Ok(Some(u64::from(specs.time.default_minutes) * 60)),
    }
}

/// A new service id: 128 random bits as hex.
fn new_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bf_core::digest::hex(&bytes))
}

//! How the engine of a service is run: in the site's image when it has one, else as a native program of the cache.

use std::path::{Path, PathBuf};

use bf_core::image::{self, GPU_SUFFIX, Reference, Sif};
use bf_core::report::{Exit, Failure};
use bf_core::service::{self, Engine as Definition, Listen};
use bf_core::site::{self, Layout, Locked, LockedImage, SiteRules};

use super::Wish;
use crate::images;
use crate::job::{Engine, EngineImage, Scheduler};
use crate::supervise;

/// Fetches an image into the user's own folder.
pub(crate) type Fetch<'a> = &'a dyn Fn(&Reference) -> Result<(), Failure>;

/// The engine for a model in `format`, with its installation checked: a program or an image is run only if it can be trusted.
pub(super) fn of(
    layout: &Layout,
    home_dir: &Path,
    rules: &SiteRules,
    (wish, fetch): (&Wish, Fetch<'_>),
    format: &str,
    gpus: u32,
) -> Result<Engine, Failure> {
    let definition = service::choose(Some(layout), wish.kind, format, gpus)?;
    check_supported(&definition)?;
    check_arguments(&definition, &wish.arguments)?;
    let program = definition.native.as_ref().map(|native| layout.engine(&definition.id, &native.version));
    let has_program = program.as_ref().is_some_and(|folder| folder.is_dir());
    let mut sif = in_cache(layout, &definition, wish, gpus)?;
    // What the site has comes before what is the user's own, unless he asks for an image that the site does not have.
    if sif.is_none() && (wish.image.is_some() || !has_program) {
        sif = of_user(home_dir, rules, &definition, (wish, fetch), gpus)?;
    }
    if let (None, Some(wanted)) = (&sif, &wish.image) {
        return Err(not_in_cache(layout, wanted));
    }
    let mut image = sif.map(|sif| container(&definition, sif));
    // On this machine it shows whether there is anything to run an image with; of other nodes that is not known here.
    if image.is_some() && wish.scheduler == Scheduler::Local && wish.image.is_none() {
        match supervise::runtime(rules.runtime.apptainer.as_deref()) {
            Err(_) if has_program => image = None,
            found => found.map(|_| ())?,
        }
    }
    let (version, native) = match (&image, &definition.native) {
        (Some(image), _) => (image.reference.clone(), None),
        (None, Some(native)) => {
            let folder = layout.engine(&definition.id, &native.version);
            if !folder.is_dir() {
                return Err(not_installed(layout, &definition, Some(&native.version), gpus));
            }
            (native.version.clone(), Some(site::trusted_tree(layout.root(), &folder)?))
        }
        (None, None) if definition.image.is_some() => {
            return Err(not_installed(layout, &definition, None, gpus));
        }
        (None, None) => (String::new(), None),
    };
    Ok(resolved(definition, version, native, image))
}

/// The engine of a job: its definition, and how it is run.
pub(crate) fn resolved(
    definition: Definition,
    version: String,
    native: Option<PathBuf>,
    image: Option<EngineImage>,
) -> Engine {
    Engine {
        id: definition.id,
        version,
        native,
        image,
        command: definition.command,
        env: definition.env,
        secret_env: definition.secret_env,
        health: definition.health,
        ready_path: definition.ready.path,
        ready_body: definition.ready.body,
        routes: definition.routes,
    }
}

/// The user's own image that the engine runs in. On this machine one that is nowhere is fetched, if there is something to run it with.
fn of_user(
    home_dir: &Path,
    rules: &SiteRules,
    definition: &Definition,
    (wish, fetch): (&Wish, Fetch<'_>),
    gpus: u32,
) -> Result<Option<Sif>, Failure> {
    let own = || match images::own(home_dir)? {
        Some(layout) => in_cache(&layout, definition, wish, gpus),
        None => Ok(None),
    };
    if let Some(sif) = own()? {
        return Ok(Some(sif));
    }
    let may = wish.pull && wish.scheduler == Scheduler::Local;
    match needed(definition, wish, gpus).filter(|_| may) {
        Some(reference) if supervise::runtime(rules.runtime.apptainer.as_deref()).is_ok() => {
            fetch(reference)?;
            own()
        }
        _ => Ok(None),
    }
}

/// The image that would serve.
fn needed<'a>(definition: &'a Definition, wish: &'a Wish, gpus: u32) -> Option<&'a Reference> {
    let own = || {
        let own = definition.image.as_ref()?;
        Some(own.gpu_reference.as_ref().filter(|_| gpus > 0).unwrap_or(&own.reference))
    };
    wish.image.as_ref().or_else(own)
}

fn not_in_cache(layout: &Layout, wanted: &Reference) -> Failure {
    let message =
        format!("the image {wanted} is neither in the cache {} nor among your own", layout.root().display());
    Failure::new(Exit::NotFound, "image_not_found", message).with_hint(format!(
        "`bf-user image pull {wanted}` fetches it into your own folder; an administrator can do so for all: bf-admin image pull {wanted}"
    ))
}

/// The image of a cache that the engine runs in, if there is one: the one that was asked for, or the engine's.
fn in_cache(
    layout: &Layout,
    definition: &Definition,
    wish: &Wish,
    gpus: u32,
) -> Result<Option<Sif>, Failure> {
    let locked = Locked::load(layout)?;
    if let Some(wanted) = &wish.image {
        return Ok(image::find_reference(layout, &locked, wanted)?);
    }
    let Some(own) = &definition.image else { return Ok(None) };
    let find = |name: &str, reference| Ok(image::find(layout, &locked, name, Some(reference))?);
    let Some(for_gpus) = own.gpu_reference.as_ref().filter(|_| gpus > 0) else {
        return find(&definition.id, &own.reference);
    };
    if let Some(sif) = find(&gpu_name(definition), for_gpus)? {
        return Ok(Some(sif));
    }
    // The definition's image for processors would run without the GPUs, slowly, and nobody would be told. One that the
    // site chose itself is the site's business.
    let chosen = locked.images.get(&definition.id).and_then(LockedImage::whole);
    if chosen.is_some_and(|chosen| !chosen.serves(&own.reference)) {
        find(&definition.id, &own.reference)
    } else {
        Ok(None)
    }
}

/// The name of the engine's image for GPUs.
fn gpu_name(definition: &Definition) -> String {
    format!("{}{GPU_SUFFIX}", definition.id)
}

fn container(definition: &Definition, sif: Sif) -> EngineImage {
    EngineImage {
        reference: sif.reference.map_or(sif.name, |reference| reference.to_string()),
        sif: sif.path,
        digest: sif.digest12,
        path: definition.image.as_ref().map(|image| image.path.clone()).unwrap_or_default(),
        binds: definition.binds.clone(),
    }
}

/// The failure of an engine that the cache has neither as image nor as program.
fn not_installed(layout: &Layout, definition: &Definition, version: Option<&str>, gpus: u32) -> Failure {
    let id = &definition.id;
    let own = definition.image.as_ref();
    let name = if gpus > 0 && own.is_some_and(|own| own.gpu_reference.is_some()) {
        gpu_name(definition)
    } else {
        id.clone()
    };
    let what = version.map_or_else(|| id.clone(), |version| format!("{id} {version}"));
    let message = format!("the engine {what} is not installed in {}", layout.root().display());
    let ways: Vec<String> = [
        own.map(|_| format!("`{name}` to `images`, for its container")),
        definition
            .native
            .as_ref()
            .map(|_| format!("`{id}` to `engines`, for its program without a container")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let ways = ways.join(", or ");
    let own = own.map(|_| format!("`bf-user image pull {name}` fetches it into your own folder; or "));
    let own = own.unwrap_or_default();
    Failure::new(Exit::NotFound, "engine_not_installed", message).with_hint(format!(
        "{own}an administrator installs it: in site.yaml add {ways}, and run `bf-admin setup`"
    ))
}

/// Where an engine listens is not for the user's arguments to say: it would hear everybody on the node.
fn check_arguments(definition: &Definition, arguments: &[String]) -> Result<(), Failure> {
    let command = &definition.command;
    let options =
        (1..command.len()).filter(|at| command[*at].contains("socket")).map(|at| command[at - 1].as_str());
    for option in options.filter(|option| option.starts_with('-')) {
        let repeats = |argument: &&String| {
            argument.as_str() == option
                || argument.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
        };
        if let Some(argument) = arguments.iter().find(repeats) {
            let message =
                format!("{argument} cannot be given: where the engine {} listens is fixed", definition.id);
            return Err(Failure::new(Exit::Usage, "engine_argument_refused", message)
                .with_hint("leave it out; --port of bf-user chooses where the service answers"));
        }
    }
    Ok(())
}

/// What this version cannot do for an engine is refused, not left out.
fn check_supported(engine: &Definition) -> Result<(), Failure> {
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

//! `setup --locked`: what site.lock has is brought back as it is, and nothing is resolved anew.

use bf_core::image::Reference;
use bf_core::report::{Exit, Failure};
use bf_core::service::Native;
use bf_core::settings::Environment;
use bf_core::site::{DeclaredImage, Locked, LockedImage};

use crate::engine;
use crate::import::Source;
use crate::locate::Site;
use crate::plan::{self, Action, Section, Step, Task};
use crate::present::{Disk, Present};
use crate::toolkit::{Beside, ToolkitFacts};

/// The site with its images pinned to the digests of the lock, where it has them.
pub(crate) fn pinned(site: &Site, locked: &Locked) -> Site {
    let mut site = site.clone();
    for (name, image) in &mut site.declared.images {
        let digest = locked.images.get(name).and_then(|own| own.digest.clone());
        if let Some(digest) = digest.filter(|_| !is_pinned(image)) {
            match &mut image.reference {
                Some(reference) => *reference = reference.clone().pinned(digest),
                None => image.digest = Some(digest),
            }
        }
    }
    site
}

fn is_pinned(image: &DeclaredImage) -> bool {
    image.digest.is_some() || image.reference.as_ref().is_some_and(|reference| reference.digest().is_some())
}

/// Holds what was found to what the lock has: engines get its packages, the toolkit stays its own.
///
/// # Errors
/// Names all that `site` asks for and the lock does not have.
pub(crate) fn hold(
    present: &mut Present,
    site: &Site,
    locked: &Locked,
    only: &[Section],
    environment: &Environment,
) -> Result<(), Failure> {
    let missing = missing(present, site, locked, only);
    if !missing.is_empty() {
        let message =
            format!("{} asks for what site.lock does not have: {}", site.shown.display(), missing.join(", "));
        return Err(Failure::new(Exit::Invalid, "not_locked", message)
            .with_hint("`bf-admin setup` without --locked resolves it and writes it down"));
    }
    for (id, facts) in &mut present.engines {
        let (Some(own), Some(wanted)) = (locked.engines.get(id), site.declared.engines.get(id)) else {
            continue;
        };
        facts.native = Ok(Native {
            package: own.package.clone(),
            version: own.version.clone(),
            sha256: own.sha256.clone(),
        });
        if facts.interpreter.is_none() && plan::engine_need(wanted, Some(own), facts).is_some() {
            let found = engine::find(wanted.python.as_deref(), site.layout.root(), environment);
            facts.interpreter = Some(found);
        }
    }
    present.toolkit = present.toolkit.take().and_then(toolkit);
    Ok(())
}

/// What is asked for and not in the lock.
fn missing(present: &Present, site: &Site, locked: &Locked, only: &[Section]) -> Vec<String> {
    let wanted = |section| only.is_empty() || only.contains(&section);
    let mut missing = Vec::new();
    for (name, facts) in &present.images {
        let Ok(reference) = &facts.wanted else { continue }; // which has its own failure
        let pinned = site.declared.images.get(name).is_some_and(is_pinned);
        match &facts.own {
            Some((_, own)) if is(own, reference, pinned) => {}
            own => {
                let has = own.as_ref().and_then(|(_, own)| own.whole());
                let instead = has.map(|has| format!(" (it has {has})")).unwrap_or_default();
                missing.push(format!("image {name} as {reference}{instead}"));
            }
        }
    }
    for model in site.declared.models.iter().filter(|_| wanted(Section::Models)) {
        let name = model.repo.to_string();
        if !locked.models.contains_key(&name) {
            missing.push(format!("model {name}"));
        }
    }
    for (id, engine) in site.declared.engines.iter().filter(|_| wanted(Section::Engines)) {
        match (locked.engines.get(id), &engine.version) {
            (None, _) => missing.push(format!("engine {id}")),
            (Some(own), Some(version)) if own.version != *version => {
                missing.push(format!("engine {id} {version} (it has {})", own.version));
            }
            _ => {}
        }
    }
    missing
}

/// Whether an image of the lock is the one that is asked for; by its tag as well, unless site.yaml pins it itself.
fn is(own: &LockedImage, wanted: &Reference, pinned: bool) -> bool {
    let same_tag = own.reference.as_ref().is_some_and(|own| own.tag() == wanted.tag());
    (pinned || same_tag) && own.whole().is_some_and(|own| own.serves(wanted))
}

/// The toolkit of the lock; none where it has none for this architecture.
fn toolkit(mut facts: ToolkitFacts) -> Option<ToolkitFacts> {
    let own = facts.own.as_ref()?;
    match &facts.beside {
        Ok(Some(beside)) if beside.sha256 == own.sha256 => {}
        Ok(Some(beside)) if facts.disk == Disk::Whole => {
            // As if it were the one that is there.
            let path = beside.path.clone();
            facts.beside = Ok(Some(Beside { path, sha256: own.sha256.clone(), bytes: own.bytes }));
        }
        Ok(Some(beside)) => {
            let message = format!("{} is not the one that site.lock has", beside.path.display());
            facts.beside = Err(Failure::new(Exit::Invalid, "locked_differs", message)
                .with_hint("run the bf-admin of that release, or `bf-admin setup` without --locked"));
        }
        _ => {}
    }
    Some(facts)
}

/// Says of each step what its result must be. An image with a digest is fetched by it; its file may differ in bytes, as each that
/// is made of one manifest.
pub(crate) fn exact(steps: &mut [Step], present: &Present, locked: &Locked) {
    for step in steps {
        let exact = match &step.task {
            Task::Model(new) => locked.models.get(&new.repo.to_string()).map(|own| own.commit.clone()),
            Task::Image(name, fetch) if fetch.reference.digest().is_none() => {
                let own = present.images.get(name).and_then(|facts| facts.own.as_ref());
                own.map(|(_, own)| own.sha256.clone())
            }
            _ => None,
        };
        step.exact = exact;
    }
}

/// Refuses a model or an image that is not what the lock has.
pub(crate) fn same(action: &Action, own: &str, exact: &str) -> Result<(), Failure> {
    if own == exact {
        return Ok(());
    }
    let (kind, name) = (action.kind, &action.name);
    let (what, hint) = match kind {
        "model" => ("commit", "let its `path` have the files that it was imported from"),
        _ => ("SHA-256", "import the very file; give it a `digest`, by which it can be fetched again"),
    };
    let message = format!(
        "{kind} {name} is not what site.lock has: {what} {own} instead of {exact}; nothing was changed"
    );
    Err(Failure::new(Exit::Invalid, "locked_differs", message)
        .with_hint(format!("{hint}, or run `bf-admin setup` without --locked")))
}

/// Lets the steps of a dry run fail where the real one would: what a model is can be known without copying it.
pub(crate) fn foresee(steps: &mut [Step]) {
    for step in steps {
        if let (Task::Model(new), Some(exact)) = (&step.task, &step.exact)
            && let Source::Files(files) = &new.source
            && let Err(failure) = files.hashed().and_then(|own| same(&step.action, &own.commit, exact))
        {
            *step = Step::fail(step.action.kind, step.action.name.clone(), step.action.change, &failure);
        }
    }
}

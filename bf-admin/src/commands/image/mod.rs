//! `image`: the container images of the cache.

mod asked;
mod import;
mod ls;
mod prune;
mod pull;
mod rm;
mod verify;

use bf_core::image::Reference;
use bf_core::report::{Exit, Failure};
use bf_core::site::{Declared, Layout, Locked, is_image_name};
use clap::Subcommand;

use crate::cli::Context;
use crate::image::Place;
use crate::locate;

/// The verbs of `image`.
#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// Fetch an image from its registry into the cache
    Pull(pull::Pull),
    /// Make an image of the cache of a SIF file, a folder in OCI's layout, an oci-archive or a docker-archive
    Import(import::Import),
    /// List the images of the cache
    Ls,
    /// Compare images with what site.lock says of them, and with what their registries have now
    Verify(verify::Verify),
    /// Take the names of images away; their files stay for jobs that run from them
    Rm(rm::Rm),
    /// Remove files of images that have no name any more and that no job uses
    Prune(prune::Prune),
}

impl Image {
    /// Runs one.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Pull(pull) => pull.run(context),
            Self::Import(import) => import.run(context),
            Self::Ls => ls::run(context),
            Self::Verify(verify) => verify.run(context),
            Self::Rm(rm) => rm.run(context),
            Self::Prune(prune) => prune.run(context),
        }
    }
}

/// Reads the value of `--as`.
fn name(text: &str) -> Result<String, &'static str> {
    if is_image_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a name may hold letters, digits, `.`, `_` and `-` only, and begins with a letter or digit")
    }
}

/// The name for site.lock: `asked` for, else that of the image that has the link `sif` already, else `default`.
///
/// # Errors
/// Refuses to replace the file of another image, which somebody may run by its name, and an image that only happens to have the name that
/// nobody asked for.
fn choose(
    locked: &Locked,
    asked: Option<&str>,
    sif: &str,
    reference: &Reference,
    default: String,
) -> Result<String, Failure> {
    let Some((other, own)) = locked.images.iter().find(|(_, own)| own.sif == sif) else {
        let taken = locked.images.get(&default).filter(|_| asked.is_none());
        return match (asked, taken.map(|own| own.reference.as_ref())) {
            (Some(asked), _) => Ok(asked.to_owned()),
            (None, None) => Ok(default),
            (None, Some(from)) => {
                let from = from.map(|from| format!(", {from}")).unwrap_or_default();
                let message = format!("another image is called {default} already{from}");
                let hint = format!("give this one another name: `bf-admin image pull {reference} --as NAME`");
                Err(Failure::new(Exit::Invalid, "image_name_taken", message).with_hint(hint))
            }
        };
    };
    // What is of no registry is replaced only by who names it.
    let is_other_place = own.reference.as_ref().map_or(asked.is_none(), |own| {
        (own.registry(), own.repository()) != (reference.registry(), reference.repository())
    });
    if asked.unwrap_or(other) == other && !is_other_place {
        return Ok(other.clone());
    }
    let from = own.reference.as_ref().map(|from| format!(", {from}")).unwrap_or_default();
    let message = format!("{sif} is the file of the image {other} already{from}");
    let hint = if is_other_place {
        format!(
            "two images of the same last name and tag cannot both be there: give one another tag in its registry, or `bf-admin image rm {other}` first"
        )
    } else {
        let asked = asked.unwrap_or(&default);
        format!(
            "`bf-admin image rm {other}`, then `bf-admin image pull {reference} --as {asked}` gives it that name"
        )
    };
    Err(Failure::new(Exit::Invalid, "image_name_taken", message).with_hint(hint))
}

/// What is declared of a cache: by the site.yaml that was named, or that named the cache, else by the cache's copy.
fn declared(context: &Context, layout: &Layout) -> Result<Option<Declared>, Failure> {
    if context.site.is_some() || locate::named(context).is_none() {
        Ok(Some(locate::site(context)?.declared))
    } else {
        locate::declared_in(layout)
    }
}

/// What is known of how images are made for a cache.
fn place<'a>(context: &'a Context, layout: &Layout) -> Result<Place<'a>, Failure> {
    Ok(Place::of(layout, declared(context, layout)?.as_ref(), &context.environment))
}

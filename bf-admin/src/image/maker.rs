//! Who makes a SIF of a registry's image: we ourselves, or Apptainer.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bf_core::convert::{self, Recipe, Told};
use bf_core::image::{Digest, Reference};
use bf_core::progress::News;
use bf_core::registry::{Bandwidth, Event};
use bf_core::report::Failure;
use bf_core::site::DeclaredRegistry;
use bf_core::squashfs::Compression;
use clap::{Args, ValueEnum};

use super::account::Account;
use super::apptainer::Apptainer;
use super::native;
use super::place::Place;
use crate::printer::Printer;

/// What `--engine` chooses from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// bf-admin itself
    #[default]
    Native,
    /// `apptainer build`, or `singularity pull`, of this machine
    Apptainer,
}

/// Options of whatever fetches images.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct How {
    /// What makes SIF files of images
    #[arg(long, value_enum, default_value_t)]
    pub(crate) engine: Engine,
    /// Threads that compress [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Bytes per second that are fetched at most, as 50M
    #[arg(long, value_name = "RATE", value_parser = Bandwidth::parse)]
    pub(crate) bwlimit: Option<u64>,
    /// Reach all registries of images by plain HTTP; for some of them, `registries` of site.yaml says it
    #[arg(long)]
    pub(crate) no_https: bool,
}

/// Who is told how far it is, from whatever thread.
pub(crate) struct Tell<'a> {
    /// What is being done.
    pub(crate) say: &'a (dyn Fn(&str) + Sync),
    /// What else happens.
    pub(crate) news: &'a (dyn Fn(&News) + Sync),
}

/// What makes images on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Maker {
    /// bf-admin.
    Native(Box<Recipe>),
    /// bf-admin, of an image on this machine's disks: a folder in OCI's layout, an archive of one, or what `docker save` wrote; and
    /// which one of several.
    Local(Box<Recipe>, PathBuf, Option<String>),
    /// A container runtime.
    Apptainer(Apptainer),
}

/// What there is to make, found out before it is made.
pub(crate) enum Plan<'m> {
    Native(&'m Recipe, convert::Found),
    Local(&'m Recipe, &'m Path, Option<&'m str>, Reference),
    Apptainer(&'m Apptainer, Reference),
}

impl Maker {
    /// The one for `reference` that is asked for, if it is there. Without a compression it is that of the place.
    pub(crate) fn of(
        how: &How,
        compression: Option<Compression>,
        place: &Place<'_>,
        reference: &Reference,
    ) -> Result<Self, Failure> {
        let compression = compression.unwrap_or_else(|| place.compression().0);
        let mut registry = place.registry(reference);
        registry.plain_http |= how.no_https;
        Ok(match how.engine {
            Engine::Apptainer => {
                Self::Apptainer(Apptainer::find(place.environment, !registry.plain_http, compression)?)
            }
            Engine::Native => Self::Native(Box::new(native::recipe(how, compression, place, registry))),
        })
    }

    /// What makes a SIF of an image on this machine's disks.
    pub(crate) fn local(
        how: &How,
        compression: Option<Compression>,
        place: &Place<'_>,
        path: &Path,
        wanted: Option<String>,
    ) -> Self {
        let compression = compression.unwrap_or_else(|| place.compression().0);
        let recipe = native::recipe(how, compression, place, DeclaredRegistry::default());
        Self::Local(Box::new(recipe), path.to_owned(), wanted)
    }

    /// What of an image would be fetched, where we can tell: its manifest is, and nothing else. `downloads` are folders in which earlier
    /// tries may have left something. It is done before anything is shown of how far work is: what is waited for `printer` says.
    pub(crate) fn outline(
        &self,
        reference: &Reference,
        downloads: &[PathBuf],
        printer: Printer,
    ) -> Result<Option<Account>, Failure> {
        let Self::Native(recipe) = self else { return Ok(None) };
        let teller: convert::Teller = Arc::new(move |told| {
            if let Told::Registry(Event::Waiting { registry, wait, reason }) = told {
                printer.progress(&format!("waiting {} s for {registry}: {reason}", wait.as_secs().max(1)));
            }
        });
        let outline = recipe.outline(reference, downloads, &teller)?;
        Ok(Some(Account { outline, compression: recipe.compression.to_string() }))
    }

    /// Whether what it fetches is of use to the next run when this one fails.
    pub(crate) fn keeps(&self) -> bool {
        matches!(self, Self::Native(_))
    }

    /// Finds out what `reference` stands for, where we can.
    pub(crate) fn find(&self, reference: &Reference, tell: &Tell<'_>) -> Result<Plan<'_>, Failure> {
        Ok(match self {
            Self::Native(recipe) => {
                let found = native::telling(tell, |teller| recipe.find(reference, teller))?;
                Plan::Native(recipe, found)
            }
            Self::Local(recipe, path, wanted) => {
                Plan::Local(recipe, path, wanted.as_deref(), reference.clone())
            }
            Self::Apptainer(apptainer) => Plan::Apptainer(apptainer, reference.clone()),
        })
    }
}

impl Plan<'_> {
    /// The digest of what would be made, and its compression, where that is known.
    pub(crate) fn known(&self) -> Option<(&Digest, String)> {
        match self {
            Self::Native(recipe, found) => Some((&found.digest, recipe.compression.to_string())),
            Self::Local(..) | Self::Apptainer(..) => None,
        }
    }

    /// Makes the file `to` in a private folder, and gives the digest of what it was made of where that is known, and what was fetched
    /// for it. What is fetched goes to `downloads`, if the maker can go on with it another time.
    pub(crate) fn make(
        &self,
        to: &Path,
        downloads: &Path,
        tell: &Tell<'_>,
    ) -> Result<(Option<Digest>, Option<Account>), Failure> {
        match self {
            Self::Native(recipe, found) => {
                let outline = native::make(recipe, found, to, downloads, tell)?;
                let account = Account { outline, compression: recipe.compression.to_string() };
                Ok((Some(found.digest.clone()), Some(account)))
            }
            Self::Local(recipe, path, wanted, name) => {
                let digest =
                    recipe.import(path, *wanted, name, to, &|progress| native::layers(progress, tell))?;
                Ok((digest, None))
            }
            Self::Apptainer(apptainer, reference) => {
                apptainer.make(reference, to, to.parent().unwrap_or(to), tell.say)?;
                Ok((reference.digest().cloned(), None))
            }
        }
    }
}

//! The sections of site.yaml that are about what users run. bf-user reads them from the cache's copy.

use std::path::Path;

use super::{NetworkRules, RuntimeRules, SitePolicy, SlurmRules, network, policy, runtime, slurm, top};
use crate::report::{Exit, Explain, Failure, Finding};
use crate::shape::{self, View};
use crate::site::{Layout, trusted};
use crate::spec::parse::{self, Reader};

/// How services are run on a site, and what their users may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteRules {
    /// How jobs ask for what they need.
    pub slurm: SlurmRules,
    /// How containers are run.
    pub runtime: RuntimeRules,
    /// Where services listen.
    pub network: NetworkRules,
    /// What users may do.
    pub policy: SitePolicy,
}

impl SiteRules {
    /// The rules of a cache: those of its copy of site.yaml, which must be [`trusted`]; without one there are none.
    ///
    /// Of the file only these sections are read, so that what a newer bf-admin declares of models or images is no
    /// concern of whoever starts a service. A fault in these sections is one: a rule that is not understood
    /// cannot be kept.
    pub fn of_cache(layout: &Layout) -> Result<Self, Failure> {
        Ok(of_cache(layout, Self::parse)?.unwrap_or_default())
    }

    /// The rules in the text of a site.yaml. What else it has is passed over.
    ///
    /// # Errors
    /// All findings, in file order.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Vec<Finding>> {
        let found = parse::parse(text, path, |reader, root| {
            shape::check(reader, root, &top::RULES);
            Some(read(reader, View::of(root)))
        });
        found.map(|(rules, _)| rules)
    }
}

/// What `parse` makes of a cache's copy of site.yaml, which must be [`trusted`]; nothing without one.
pub(super) fn of_cache<T>(
    layout: &Layout,
    parse: impl FnOnce(&str, &Path) -> Result<T, Vec<Finding>>,
) -> Result<Option<T>, Failure> {
    let path = layout.site_yaml();
    match fs_err::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let path = trusted(layout.root(), &path)?;
    let read = parse::load(&path, parse).map_err(|error| {
        let failure = Failure::new(Exit::Invalid, error.code(), error.to_string());
        let hint = format!("tell an administrator: `bf-admin validate {}` shows all", path.display());
        Failure { exit: error.exit(), ..failure }.with_hint(hint)
    })?;
    Ok(Some(read))
}

pub(super) fn read(reader: &Reader, view: View<'_>) -> SiteRules {
    SiteRules {
        slurm: slurm::read(reader, view.map("slurm")),
        runtime: runtime::read(reader, view.map("runtime")),
        network: network::read(view.map("network")),
        policy: policy::read(reader, view.map("policy")),
    }
}

//! `validate`: everything that is wrong with a file, where, and what to write instead.

use std::path::PathBuf;

use bf_core::report::{Exit, Failure};
use bf_core::site::{Declared, Layout};
use clap::Args;

use crate::cli::Context;
use crate::{locate, validate};

/// Options of `validate`.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// A site.yaml or resource_specs.yaml, or - for stdin [default: both, here or in the cache]
    file: Option<PathBuf>,
}

impl Validate {
    /// Checks and shows all findings.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let files = match &self.file {
            Some(file) => vec![file.clone()],
            None => found(context)?,
        };
        let validated = validate::files(&files)?;
        context.printer.print(&validated)?;
        Ok(if validated.is_ok() { Exit::Ok } else { Exit::Invalid })
    }
}

/// site.yaml as all commands find it, and the tiers beside it, else those of its cache; without a site.yaml what the cache has.
fn found(context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let site = context.site.clone().unwrap_or_else(|| "site.yaml".into());
    let specs = site.with_file_name("resource_specs.yaml");
    let there = |file: &PathBuf| fs_err::symlink_metadata(file).is_ok();
    let mut files = Vec::new();
    // One that was named and is missing is an error.
    if context.site.is_some() || there(&site) {
        files.push(site);
    }
    if there(&specs) {
        files.push(specs);
    } else if let Some((declared, _)) = files.first().and_then(|site| Declared::load(site).ok()) {
        // A site.yaml that cannot be read names no cache, and is a finding anyway.
        files.extend(Some(Layout::new(declared.cache_dir).resource_specs()).filter(there));
    }
    if files.is_empty()
        && let Some(layout) = locate::named(context)
    {
        files.extend([layout.site_yaml(), layout.resource_specs()].into_iter().filter(there));
    }
    if files.is_empty() {
        let message = "there is neither a site.yaml nor a resource_specs.yaml here";
        return Err(Failure::new(Exit::NotFound, "file_not_found", message)
            .with_hint("name a file, or `bf-admin init` writes both"));
    }
    Ok(files)
}

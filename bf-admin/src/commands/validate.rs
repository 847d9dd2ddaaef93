//! `validate`: everything that is wrong with a file, where, and what to write instead.

use std::path::PathBuf;

use bf_core::report::{Exit, Failure};
use clap::Args;

use crate::cli::Context;
use crate::{locate, validate};

/// Options of `validate`.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// A `site.yaml` or `resource_specs.yaml` [default: both, here or in the cache]
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

/// site.yaml and the tiers beside it, else those of the cache.
fn found(context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let here = match &context.site {
        Some(site) => vec![site.clone(), site.with_file_name("resource_specs.yaml")],
        None => vec!["site.yaml".into(), "resource_specs.yaml".into()],
    };
    let there = |files: Vec<PathBuf>| -> Vec<PathBuf> {
        files.into_iter().filter(|file| fs_err::symlink_metadata(file).is_ok()).collect()
    };
    let mut files = there(here);
    if let Some(site) = context.site.as_ref().filter(|site| !files.contains(site)) {
        files.insert(0, site.clone()); // named, so that it is missing is an error
    }
    if files.is_empty()
        && let Some(layout) = locate::named(context)
    {
        files = there(vec![layout.site_yaml(), layout.resource_specs()]);
    }
    if files.is_empty() {
        let message = "there is neither a site.yaml nor a resource_specs.yaml here";
        return Err(Failure::new(Exit::NotFound, "file_not_found", message)
            .with_hint("name a file, or `bf-admin init` writes both"));
    }
    Ok(files)
}

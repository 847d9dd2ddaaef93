//! `init`: starter files that pass `validate`, and never over what is there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bf_core::report::{Exit, Failure, Report};
use bf_core::template;
use clap::Args;
use serde::Serialize;

use crate::cli::Context;

/// Options of `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder that the files are written to
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Say what would be written, write nothing
    #[arg(long)]
    dry_run: bool,
}

/// The line of the template that `--cache-dir` replaces.
const CACHE_DIR: &str = "cache_dir: /shared/.blackfish\n";

#[derive(Debug, Serialize)]
struct Written {
    dry_run: bool,
    files: Vec<StarterFile>,
}

#[derive(Debug, Serialize)]
struct StarterFile {
    #[serde(serialize_with = "bf_core::report::lossy::path")]
    path: PathBuf,
    /// `write` or `keep`.
    action: &'static str,
}

impl Report for Written {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for file in &self.files {
            let action = match (file.action, self.dry_run) {
                ("keep", _) => "kept, it is there already:",
                (_, true) => "would write",
                (_, false) => "wrote",
            };
            writeln!(out, "{action} {}", file.path.display())?;
        }
        writeln!(out, "next: adapt them, `bf-admin validate`, `bf-admin setup --dry-run`, `bf-admin setup`")
    }
}

impl Init {
    /// Writes what is missing.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let cache = match context
            .cache_dir
            .clone()
            .or_else(|| context.environment.get("BLACKFISH_CACHE_DIR").map(PathBuf::from))
        {
            Some(cache) => std::path::absolute(cache)?,
            None => std::path::absolute(&self.dir)?.join("cache"),
        };
        let site = site(&template::load(None, "site.yaml")?.text, &cache)?;
        let specs = template::load(None, "resource_specs.yaml")?.text;
        let mut files = Vec::new();
        for (name, text) in [("site.yaml", site), ("resource_specs.yaml", specs)] {
            let path = self.dir.join(name);
            // A link to nowhere is in the way too.
            let there = fs_err::symlink_metadata(&path).is_ok();
            if !there && !self.dry_run {
                fs_err::create_dir_all(&self.dir)?;
                write_new(&path, &text)?;
            }
            files.push(StarterFile { path, action: if there { "keep" } else { "write" } });
        }
        context.printer.print(&Written { dry_run: self.dry_run, files })?;
        Ok(Exit::Ok)
    }
}

/// The starter site.yaml for the cache at `cache`.
fn site(template: &str, cache: &Path) -> Result<String, Failure> {
    let invalid = || {
        Failure::new(
            Exit::Usage,
            "path_invalid",
            format!("the cache {} is not a path that a file can name", cache.display()),
        )
    };
    let shown = cache
        .to_str()
        .filter(|text| !text.chars().any(|c| c == '$' || c.is_control()))
        .ok_or_else(invalid)?;
    // Between single quotes only the quote itself has a meaning.
    let value = if shown.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) && !shown.is_empty()
    {
        shown.to_owned()
    } else {
        format!("'{}'", shown.replace('\'', "''"))
    };
    Ok(template.replacen(CACHE_DIR, &format!("cache_dir: {value}\n"), 1))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    fs_err::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use bf_core::site::Declared;
    use bf_core::spec::ResourceSpecs;

    use super::*;

    #[test]
    fn the_starter_files_are_valid_whatever_the_cache_is_called() {
        let template = template::load(None, "site.yaml").unwrap().text;
        assert!(template.contains(CACHE_DIR));
        for cache in ["/shared/.blackfish", "/a b/it's: #1", "/ü"] {
            let text = site(&template, Path::new(cache)).unwrap();
            let (declared, warnings) = Declared::parse(&text, Path::new("/x/site.yaml")).unwrap();
            assert_eq!(declared.cache_dir, Path::new(cache));
            assert!(declared.engines.contains_key("llama_cpp"));
            assert_eq!(warnings, []);
        }
        let specs = template::load(None, "resource_specs.yaml").unwrap().text;
        assert_eq!(ResourceSpecs::parse(&specs, Path::new("x")).unwrap().1, []);
    }
}

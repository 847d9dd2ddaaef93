//! `model ls`: every revision of every model of the cache.

use std::io::{self, Write};

use bf_core::acquire::Record;
use bf_core::model::{self, Location, ModelInfo, Root, cache};
use bf_core::report::{Exit, Failure, Report, human_bytes, human_count, table};
use bf_core::site::{self, Layout, Locked};
use serde::Serialize;

use crate::cli::Context;
use crate::{locate, printer};

#[derive(Debug, Serialize)]
struct Models {
    models: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    info: ModelInfo,
    /// The branches and tags that lead to this revision.
    refs: Vec<String>,
    /// Whether site.lock has this revision.
    managed: bool,
}

impl Report for Models {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let rows = self.models.iter().map(|Listed { info, refs, managed }| {
            vec![
                info.repo.to_string(),
                info.revision.chars().take(12).collect(),
                if refs.is_empty() { "-".into() } else { refs.join(", ") },
                info.format.to_string(),
                info.size_bytes.map_or_else(|| "-".into(), human_bytes),
                known(&info.dtype),
                info.parameters.map_or_else(|| "-".into(), human_count),
                info.context_length.map_or_else(|| "-".into(), |tokens| tokens.to_string()),
                known(&info.task),
                known(&info.license),
                if *managed { "" } else { "not in site.lock" }.into(),
            ]
        });
        let head = [
            "MODEL",
            "REVISION",
            "REFS",
            "FORMAT",
            "SIZE",
            "DTYPE",
            "PARAMETERS",
            "CONTEXT",
            "TASK",
            "LICENSE",
            "",
        ];
        table(out, &head, rows)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.models.iter().try_for_each(|model| writeln!(out, "{}", model.info.repo))
    }
}

/// Lists them; what cannot be loaded is a warning.
pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let layout = site::open(locate::cache(context)?.root())?;
    let locked = Locked::load(&layout)?;
    let root = Root { path: layout.models(), location: Location::Cache };
    let inventory = model::list(std::slice::from_ref(&root));
    for finding in &inventory.findings {
        printer::finding(finding);
    }
    let models = inventory.models.into_iter().map(|info| listed(&layout, info, &root, &locked)).collect();
    context.printer.print(&Models { models })?;
    Ok(Exit::Ok)
}

fn listed(layout: &Layout, mut info: ModelInfo, root: &Root, locked: &Locked) -> Listed {
    if info.license.is_none() {
        info.license = Record::read(layout, &info.repo, &info.revision).and_then(|record| record.license);
    }
    let refs = cache::repo(root, &info.repo).ok().flatten().map(|repo| repo.refs).unwrap_or_default();
    let refs =
        refs.into_iter().filter(|(_, commit)| *commit == info.revision).map(|(name, _)| name).collect();
    let own = locked.models.get(&info.repo.to_string());
    let managed = own.is_some_and(|own| own.all().any(|own| own.commit == info.revision));
    Listed { info, refs, managed }
}

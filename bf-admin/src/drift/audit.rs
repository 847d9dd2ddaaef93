//! One list of what is wrong about who can read a cache, for all who ask: `permissions check` shows it, and `permissions fix` sets it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bf_core::permissions::{self, FIX, Offer, Problem};
use bf_core::publish::Access;
use bf_core::report::Failure;
use bf_core::site::{Declared, Layout, Locked};

use super::{Aim, Closed, Mend, gather, offer};
use crate::session;

/// What was found.
#[derive(Debug)]
pub(crate) struct Audit {
    /// What is not as it was published, and then what is not as everybody needs it.
    pub(crate) problems: Vec<Problem>,
    /// The models that are not for everybody, which is no problem.
    pub(crate) closed: Vec<Closed>,
}

/// Looks at a cache, as it was published. `declared` is its own copy of site.yaml.
pub(crate) fn audit(layout: &Layout, declared: &Declared, locked: &Locked) -> Result<Audit, Failure> {
    let policy = session::policy(Some(declared))?;
    let mut problems = Vec::new();
    for drift in gather(layout, declared, locked, policy, &[], Aim::Published)? {
        let at = drift.change.as_ref().and(drift.faults.first().map(|fault| fault.path.clone()));
        for fault in &drift.faults {
            // One file may be of several things, as that of an image with two names.
            if let Mend::Access(path, access) = &fault.mend
                && !problems.iter().any(|other: &Problem| other.path == *path && !other.mend.is_empty())
            {
                problems.push(problem(path, fault.what.clone(), FIX, *access));
            }
        }
        if drift.change.is_some() {
            let path = at.unwrap_or_else(|| layout.models());
            let what = format!("{} is to be changed: {}", drift.name, drift.detail(layout));
            problems.push(problem(&path, what, "`bf-admin setup` does it", Access::default()));
        }
    }
    let told: BTreeSet<PathBuf> = problems.iter().map(|problem| problem.path.clone()).collect();
    let (offer, closed) = offer(layout, declared, locked, Aim::Published);
    let others = permissions::check(layout, &offer)?;
    problems.extend(others.into_iter().filter(|problem| !told.contains(&problem.path)));
    Ok(Audit { problems, closed })
}

/// site.yaml and site.lock of a cache where somebody else could have written them: nothing of what they say is followed. They may be set,
/// where they are not somebody else's; what is in them only a person can judge.
pub(crate) fn in_doubt(layout: &Layout) -> Result<Vec<Problem>, Failure> {
    let mut problems = permissions::check(layout, &Offer::of_layout(layout))?;
    let own = [layout.site_yaml(), layout.site_lock()];
    for problem in problems.iter_mut().filter(|problem| own.contains(&problem.path)) {
        problem.message.push_str(": nobody knows who wrote what is in it");
        if problem.hint == FIX {
            LOOK.clone_into(&mut problem.hint);
        }
    }
    Ok(problems)
}

/// What is to be done about a declaration that everybody could write.
const LOOK: &str = "look at what is in it, or put back a copy that you trust; `bf-admin permissions fix` closes it to others";

fn problem(path: &Path, message: String, hint: &str, mend: Access) -> Problem {
    let mode = fs_err::symlink_metadata(path).map(|metadata| format!("{:04o}", metadata.mode() & 0o7777));
    Problem {
        path: path.to_owned(),
        mode: mode.unwrap_or_else(|_| "?".into()),
        message,
        hint: hint.to_owned(),
        above_cache: false,
        mend,
    }
}

/// The problems of one model or engine, or of one other path; at least one.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// The folder of the model or the engine, or the path.
    pub(crate) of: PathBuf,
    /// The first of them.
    pub(crate) first: &'a Problem,
    /// How many there are besides.
    pub(crate) more: usize,
    /// All of them.
    pub(crate) all: Vec<&'a Problem>,
}

impl Group<'_> {
    /// What is wrong, without the path.
    pub(crate) fn message(&self) -> String {
        match self.more {
            0 => self.first.message.clone(),
            more => format!("{}, and {more} more in {}", self.first.message, self.of.display()),
        }
    }

    /// What mends it.
    pub(crate) fn hint(&self) -> String {
        if self.more > 0 && self.first.hint == FIX {
            FIX.replace("sets it", "sets these")
        } else {
            self.first.hint.clone()
        }
    }
}

/// One group for each model and engine with problems that have the same remedy, in the order in which they were found.
pub(crate) fn grouped<'a>(layout: &Layout, problems: &'a [Problem]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known: BTreeMap<(PathBuf, bool), usize> = BTreeMap::new();
    for problem in problems {
        let of = thing(layout, &problem.path);
        let is_ours = problem.hint == FIX;
        let at = known.get(&(of.clone(), is_ours)).filter(|_| is_ours);
        if let Some(group) = at.and_then(|at| groups.get_mut(*at)) {
            group.more += 1;
            group.all.push(problem);
        } else {
            known.insert((of.clone(), is_ours), groups.len());
            groups.push(Group { of, first: problem, more: 0, all: vec![problem] });
        }
    }
    groups
}

/// The folder of the model or the engine that a path is in, or the path.
fn thing(layout: &Layout, path: &Path) -> PathBuf {
    let relative = layout.relative(path);
    let depth = match relative.components().next().map(|part| part.as_os_str().to_owned()) {
        Some(part) if part == "models" => 2,
        Some(part) if part == "engines" => 3,
        _ => return path.to_owned(),
    };
    layout.root().join(relative.components().take(depth).collect::<PathBuf>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_line_for_each_model_and_engine() {
        let layout = Layout::new("/c");
        let paths = [
            "/c/models/m/a",
            "/c/x",
            "/c/models/m/b/c",
            "/c/engines/e/1/a",
            "/c/engines/e/2/a",
            "/c/models/m",
        ];
        let problems: Vec<Problem> = paths
            .iter()
            .map(|path| problem(Path::new(path), "is odd".into(), FIX, Access::default()))
            .collect();
        let told: Vec<(String, String)> = grouped(&layout, &problems)
            .iter()
            .map(|group| (format!("{} {}", group.first.path.display(), group.message()), group.hint()))
            .collect();
        let one = |text: &str| (text.to_owned(), FIX.to_owned());
        let many = "/c/models/m/a is odd, and 2 more in /c/models/m".to_owned();
        assert_eq!(
            told,
            [
                (many, "`bf-admin permissions fix` sets these".to_owned()),
                one("/c/x is odd"),
                one("/c/engines/e/1/a is odd"),
                one("/c/engines/e/2/a is odd"),
            ]
        );
    }
}

//! What the commands that remove things share: how they run, why something is kept, what jobs use, and how it is told.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bf_core::host;
use bf_core::publish::Publisher;
use bf_core::report::{Exit, Failure, Report, human_bytes};
use bf_core::site::{Declared, Layout, Locked};
use serde::Serialize;

use crate::cli::Context;
use crate::in_use::{self, InUse};
use crate::session::{self, Make};
use crate::{locate, printer};

/// What `prune` may remove.
#[derive(Debug, Serialize)]
pub(crate) struct Old<T> {
    /// What it is.
    #[serde(flatten)]
    pub(crate) what: T,
    pub(crate) bytes: u64,
    /// Why it stays; nothing when it goes.
    pub(crate) kept: Option<String>,
    #[serde(skip)]
    pub(crate) path: PathBuf,
    /// When it lost its name, or was left.
    #[serde(skip)]
    pub(crate) since: SystemTime,
}

impl<T> Old<T> {
    /// Something that goes, unless a reason is found why it stays.
    pub(crate) fn new(what: T, bytes: u64, path: PathBuf, since: SystemTime) -> Self {
        Self { what, bytes, kept: None, path, since }
    }

    pub(crate) fn goes(&self) -> bool {
        self.kept.is_none()
    }

    /// What becomes of it, for a table.
    pub(crate) fn fate(&self, dry_run: bool) -> String {
        let verb = if dry_run { "would be removed" } else { "removed" };
        self.kept.as_ref().map_or_else(|| verb.to_owned(), |why| format!("kept: {why}"))
    }
}

/// Bytes of what goes.
pub(crate) fn freed<T>(all: &[Old<T>]) -> u64 {
    all.iter().filter(|old| old.goes()).map(|old| old.bytes).sum()
}

/// The last line of a report.
pub(crate) fn closing<T>(out: &mut dyn Write, all: &[Old<T>], dry_run: bool) -> io::Result<()> {
    match (all.iter().any(Old::goes), dry_run) {
        (false, _) => writeln!(out, "nothing to do"),
        (true, true) => writeln!(out, "{} to be freed", human_bytes(freed(all))),
        (true, false) => writeln!(out, "{} freed", human_bytes(freed(all))),
    }
}

/// What the audit log says; nothing where nothing was removed.
pub(crate) fn audit<T>(all: &[Old<T>], thing: &str) -> Option<String> {
    let count = all.iter().filter(|old| old.goes()).count();
    (count > 0).then(|| format!("ok: {} removed, {} bytes", several(count as u64, thing), freed(all)))
}

/// Finds what goes, removes it while nobody else writes, and prints the report. A dry run is refused where the real one is.
///
/// # Errors
/// Those of `find` and `remove`, of which the second gives what the audit log says; nothing where nothing was changed.
pub(crate) fn run<R: Report>(
    context: &Context,
    dry_run: bool,
    find: impl Fn(&Layout, &Locked, Option<&Declared>) -> Result<R, Failure>,
    remove: impl FnOnce(&Publisher<'_>, &mut Locked, &R) -> Result<Option<String>, Failure>,
) -> Result<Exit, Failure> {
    let layout = bf_core::site::open(locate::cache(context)?.root())?;
    let declared = locate::declared_in(&layout)?;
    let report = if dry_run {
        session::writable(&layout, Make::Itself)?;
        find(&layout, &Locked::load(&layout)?, declared.as_ref())?
    } else {
        let policy = session::policy(declared.as_ref())?;
        session::run(context, &layout, Make::Itself, policy, |publisher| {
            let mut locked = Locked::load(&layout)?;
            let report = find(&layout, &locked, declared.as_ref())?;
            let line = remove(publisher, &mut locked, &report)?;
            Ok((report, line))
        })?
    };
    context.printer.print(&report)?;
    Ok(Exit::Ok)
}

/// What jobs use of the clusters of a site.
pub(crate) fn used(context: &Context, declared: Option<&Declared>) -> InUse {
    let clusters = declared.map(|declared| declared.rules.slurm.clusters.as_slice()).unwrap_or_default();
    InUse::ask(&context.environment, clusters)
}

/// Refuses where more may be used than is known; with `force` that is only said.
///
/// # Errors
/// Why it is not known.
pub(crate) fn sure(used: InUse, force: bool) -> Result<(), Failure> {
    match used.unsure {
        Some(failure) if !force => Err(failure),
        Some(failure) => {
            printer::warning(&failure.message, None);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Keeps what jobs use, which `jobs` says of a thing.
///
/// # Errors
/// It is not known what they use, and it is not `force`d.
pub(crate) fn keep_used<T>(
    all: &mut [Old<T>],
    used: InUse,
    force: bool,
    jobs: impl for<'u> Fn(&'u InUse, &T) -> &'u [String],
) -> Result<(), Failure> {
    for old in all.iter_mut().filter(|old| old.goes()) {
        let jobs = jobs(&used, &old.what);
        old.kept = (!jobs.is_empty()).then(|| format!("used by {}", in_use::shown(jobs)));
    }
    sure(used, force)
}

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// Why what lost its name at `since` stays; nothing when it may go. `grace_days` is how long everything stays, and `spare` how many of
/// its kind are kept beyond that, with the key of `retention` that says so, where this is one of those.
pub(crate) fn why(
    since: SystemTime,
    now: SystemTime,
    grace_days: u32,
    spare: Option<(u32, &str)>,
) -> Option<String> {
    let grace = Duration::from_secs(u64::from(grace_days) * DAY);
    // A clock that was set back makes nothing older than it is.
    let age = now.duration_since(since).unwrap_or_default();
    if let Some(left) = grace.checked_sub(age).filter(|left| !left.is_zero()) {
        let until = host::minute(now + left);
        return Some(format!(
            "needed until {}, stays until {until} (`retention.grace_days: {grace_days}`)",
            ago(age)
        ));
    }
    spare.map(|(count, key)| format!("one of the {count} that `retention.{key}` keeps"))
}

fn ago(age: Duration) -> String {
    match age.as_secs() {
        less if less < HOUR => "less than an hour ago".into(),
        hours if hours < DAY => format!("{} ago", several(hours / HOUR, "hour")),
        days => format!("{} ago", several(days / DAY, "day")),
    }
}

/// `1 day`, `2 days`.
pub(crate) fn several(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_since_when_and_until_when_and_then_the_number_counts() {
        // 2026-01-10T12:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(491_124);
        let text = |hours, spare| why(now - Duration::from_hours(hours), now, 2, spare).unwrap_or_default();
        let kept = |ago: &str, until: &str| {
            format!("needed until {ago}, stays until {until} UTC (`retention.grace_days: 2`)")
        };
        assert_eq!(text(0, None), kept("less than an hour ago", "2026-01-12 12:00"));
        assert_eq!(text(1, None), kept("1 hour ago", "2026-01-12 11:00"));
        assert_eq!(text(23, None), kept("23 hours ago", "2026-01-11 13:00"));
        assert_eq!(text(47, None), kept("1 day ago", "2026-01-10 13:00"));
        assert_eq!(text(49, Some((3, "keep_images"))), "one of the 3 that `retention.keep_images` keeps");
        assert_eq!(text(48, None), "");
        // Of the future: another host's clock.
        let ahead = why(now + Duration::from_hours(5), now, 2, None);
        assert_eq!(ahead.unwrap(), kept("less than an hour ago", "2026-01-12 12:00"));
    }

    #[test]
    fn what_stays_is_not_counted() {
        let old = |kept: Option<&str>| Old {
            kept: kept.map(Into::into),
            ..Old::new((), 5, PathBuf::new(), SystemTime::UNIX_EPOCH)
        };
        let told = |all: &[Old<()>], dry_run| {
            let mut out = Vec::new();
            closing(&mut out, all, dry_run).unwrap();
            String::from_utf8(out).unwrap()
        };
        let one = [old(None), old(Some("why"))];
        assert_eq!(audit(&one, "file").unwrap(), "ok: 1 file removed, 5 bytes");
        assert_eq!(audit(&[old(None), old(None)], "file").unwrap(), "ok: 2 files removed, 10 bytes");
        assert_eq!(audit(&one[1..], "file"), None);
        assert_eq!((one[0].fate(true), one[1].fate(true)), ("would be removed".into(), "kept: why".into()));
        assert_eq!(
            (told(&one, false), told(&one[1..], false)),
            ("5 B freed\n".into(), "nothing to do\n".into())
        );
    }

    #[test]
    fn what_jobs_use_stays_and_what_is_not_known_is_refused() {
        let old = || [Old::new((), 5, PathBuf::new(), SystemTime::UNIX_EPOCH)];
        let jobs = ["7".to_owned()];
        let mut all = old();
        keep_used(&mut all, InUse::default(), false, |_, ()| &[]).unwrap();
        assert!(all[0].goes());
        let unsure = || InUse::ask(&bf_core::settings::Environment::default(), &[]);
        assert_eq!(keep_used(&mut old(), unsure(), false, |_, ()| &[]).unwrap_err().code, "slurm_not_found");
        keep_used(&mut old(), unsure(), true, |_, ()| &[]).unwrap();
        let used: &'static [String] = Box::leak(Box::new(jobs));
        keep_used(&mut all, InUse::default(), false, |_, ()| used).unwrap();
        assert_eq!(all[0].kept.as_deref(), Some("used by job 7"));
    }
}

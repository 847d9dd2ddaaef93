//! What `model verify --repair` does: links and refs are set again, and blobs are fetched once more from where they came from.

use bf_core::digest;
use bf_core::model::ModelId;
use bf_core::model::store::{self, blob_link};
use bf_core::publish::{Content, Publisher};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, Locked, LockedFile, Part, RevisionOf};

use super::verify::{Checked, Finding};
use crate::apply;
use crate::cli::Context;
use crate::drift::Readers;
use crate::import::{Refetch, refetch_of};
use crate::locate;
use crate::session::{self, Make};

/// Mends what `look` finds while the lock is held, as far as it can be; gives why the rest could not.
pub(super) fn repair(
    context: &Context,
    layout: &Layout,
    look: impl FnOnce(&Locked) -> Result<Vec<Checked>, Failure>,
) -> Result<Vec<Failure>, Failure> {
    let policy = session::policy(locate::declared_in(layout)?.as_ref())?;
    session::run(context, layout, Make::Itself, policy, |publisher| {
        let locked = Locked::load(layout)?;
        let (mut mended, mut failures) = (0_usize, Vec::new());
        for checked in look(&locked)?.iter().filter(|checked| checked.managed) {
            let Some(own) = locked.models.get(&checked.repo.to_string()) else { continue };
            let for_them = publisher.with(Readers::published(own).policy(*publisher.policy()));
            let Some(one) = own.all().find(|one| one.name == checked.revision.as_deref()) else { continue };
            let source = refetch_of(&one, &context.environment);
            for finding in &checked.findings {
                match mend(&for_them, &checked.repo, &one, finding, &*source) {
                    Ok(()) => mended += 1,
                    Err(failure) => failures.push(failure),
                }
            }
        }
        apply::keep_catalog(publisher, &locked, mended > 0)?;
        let line = match (mended, failures.first()) {
            (0, None) => None,
            (mended, None) => Some(format!("ok: {mended} files mended")),
            (mended, Some(first)) => Some(format!("failed: {first}; {mended} files mended")),
        };
        Ok((failures, line))
    })
}

fn mend(
    publisher: &Publisher<'_>,
    repo: &ModelId,
    own: &RevisionOf<'_>,
    finding: &Finding,
    source: &dyn Refetch,
) -> Result<(), Failure> {
    let folder = store::folder(publisher.layout(), repo);
    store::clear(publisher.layout(), &folder)?;
    let file = || own.files.iter().find(|file| file.path == finding.path);
    match (finding.code, file()) {
        ("ref", _) => {
            let at = folder.join(&finding.path);
            let stage = publisher.stage(Part::Models)?;
            let staged = stage.path().join("ref");
            fs_err::write(&staged, own.commit)?;
            Ok(publisher.publish(&staged, &at, Content::Model)?)
        }
        ("link", Some(file)) => {
            let at = folder.join("snapshots").join(own.commit).join(&file.path);
            Ok(publisher.link(Part::Models, &at, &blob_link(file))?)
        }
        (_, Some(file)) => blob(publisher, repo, own.commit, file, source),
        (_, None) => Err(Failure::new(Exit::Invalid, "not_mended", finding.message.clone())),
    }
}

/// Fetches a file again, and publishes it when it is what the lock says.
fn blob(
    publisher: &Publisher<'_>,
    repo: &ModelId,
    commit: &str,
    file: &LockedFile,
    source: &dyn Refetch,
) -> Result<(), Failure> {
    let stage = publisher.stage(Part::Models)?;
    let staged = stage.path().join("blob");
    source.refetch(repo, commit, file, &staged)?;
    let (sha256, bytes) = digest::of_file(&staged)?;
    if (&sha256, bytes) != (&file.sha256, file.bytes) {
        let message = format!("{} of model {repo} came again with other bytes than site.lock has", file.path);
        return Err(Failure::new(Exit::Invalid, "source_damaged", message).with_hint("nothing was changed"));
    }
    let to = store::folder(publisher.layout(), repo).join("blobs").join(file.blob_name());
    Ok(publisher.publish(&staged, &to, Content::Model)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bf_core::lock::SiteGuard;
    use bf_core::publish::Policy;
    use bf_core::settings::Environment;

    use super::*;

    struct Gives(&'static str);

    impl Refetch for Gives {
        fn refetch(&self, _: &ModelId, _: &str, _: &LockedFile, to: &Path) -> Result<(), Failure> {
            Ok(fs_err::write(to, self.0)?)
        }
    }

    #[test]
    fn what_comes_again_is_checked_before_it_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(fs_err::canonicalize(dir.path()).unwrap());
        let guard = SiteGuard::take(&layout).unwrap();
        let publisher = Publisher::new(&guard, Policy::default()).unwrap();
        let repo: ModelId = "org/name".parse().unwrap();
        let file = LockedFile {
            path: "a".into(),
            sha256: digest::of_bytes(b"one"),
            bytes: 3,
            blob: Some("1".repeat(40)),
        };
        let finding = Finding { path: "a".into(), code: "missing", message: String::new() };
        let commit = "2".repeat(40);
        let files = [file];
        let own = RevisionOf { name: None, commit: &commit, files: &files };
        let go = |source: &dyn Refetch| mend(&publisher, &repo, &own, &finding, source);
        let at = store::folder(&layout, &repo).join("blobs").join("1".repeat(40));
        let offline = Environment::of([("HF_HUB_OFFLINE".to_owned(), "1".to_owned())]);
        assert_eq!(go(&*refetch_of(&own, &offline)).unwrap_err().code, "hub_offline");
        assert_eq!(go(&Gives("two")).unwrap_err().code, "source_damaged");
        assert!(!at.exists());
        go(&Gives("one")).unwrap();
        assert_eq!(fs_err::read_to_string(&at).unwrap(), "one");
        let commit = bf_core::model::commit::pseudo_commit([("a", &files[0].sha256)]).unwrap();
        let own = RevisionOf { commit: &commit, ..own };
        let failure = mend(&publisher, &repo, &own, &finding, &*refetch_of(&own, &offline)).unwrap_err();
        assert_eq!(failure.code, "import_only");
    }
}

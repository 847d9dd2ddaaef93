//! What is wanted of the Hub, and the one place where it is fetched.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::{fmt, thread};

use bf_core::acquire::{self, Ask, Outline, Record, Teller, Told};
use bf_core::hub::{Bandwidth, Hub, Options};
use bf_core::model::choose::{self, Choice};
use bf_core::model::store::{self, New, NewFile, Take};
use bf_core::model::{ModelId, WeightFormat};
use bf_core::progress::News;
use bf_core::report::{Exit, Failure};
use bf_core::settings::Environment;
use bf_core::site::{DeclaredModel, Layout, LockedFile, LockedRevision};

/// What is wanted of a model of the Hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// A branch, a tag or a commit; nothing for `main`.
    pub(crate) revision: Option<String>,
    /// Which of its files.
    pub(crate) choice: Choice,
    /// Whether it is said whom it is for: what the Hub gives to some only needs that.
    pub(crate) access_is_given: bool,
    /// The commit that it must be, and no other.
    pub(crate) exact: Option<String>,
}

/// The Hub, as all models of a run reach it.
#[derive(Clone)]
pub(crate) struct Reach(Arc<Hub>);

/// A model that is to be fetched: what the Hub says of it, and what of that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Download {
    reach: Reach,
    /// What there is to be done.
    pub(crate) outline: Outline,
    /// Files of the same commit that the cache has and that stay, whether or not they are chosen now.
    pub(crate) kept: Vec<LockedFile>,
}

impl Reach {
    /// What the environment names, by no more than so many bytes per second; 0 is no limit. Nothing is asked yet.
    pub(crate) fn new(environment: &Environment, bandwidth: u64) -> Result<Self, Failure> {
        let mut options = Options::new(environment.clone())?;
        options.bandwidth = Arc::new(Bandwidth::new(bandwidth));
        Ok(Self(Arc::new(Hub::new(options)?)))
    }

    /// The Hub itself.
    pub(crate) fn hub(&self) -> &Hub {
        &self.0
    }
}

impl PartialEq for Reach {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Reach {}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Wanted {
    /// What site.yaml declares.
    pub(crate) fn declared(model: &DeclaredModel) -> Self {
        let format: Option<WeightFormat> = model.format.as_deref().and_then(|format| format.parse().ok());
        Self {
            revision: model.revision.as_ref().map(ToString::to_string),
            choice: Choice {
                format: format.map(choose::Wanted::Format),
                include: model.include.clone(),
                exclude: model.exclude.clone(),
                all: false,
                allow_pickle: model.allow_pickle,
            },
            access_is_given: model.access_is_given,
            exact: None,
        }
    }

    /// Asks what there is to be done.
    ///
    /// # Errors
    /// What the Hub refuses; that nothing can be chosen; what only some may have on the Hub, where nothing says whom it is for here.
    pub(crate) fn outline(
        &self,
        layout: &Layout,
        repo: &ModelId,
        reach: &Reach,
    ) -> Result<Download, Failure> {
        let (revision, exact) = (self.revision.as_deref(), self.exact.as_deref());
        let ask = Ask { id: repo, revision, exact, choice: &self.choice };
        let outline = acquire::outline_for(reach.hub(), &ask, layout).map_err(site_says)?;
        self.may_enter(outline.id(), outline.is_restricted())?;
        Ok(Download { reach: reach.clone(), outline, kept: Vec::new() })
    }

    /// Refuses to give to everybody what the Hub gives only to those who were let in, unless it is said whom it is for. `restricted`:
    /// whether the Hub gives it to some only (gated, or private).
    pub(crate) fn may_enter(&self, repo: &ModelId, restricted: bool) -> Result<(), Failure> {
        if self.access_is_given || !restricted {
            return Ok(());
        }
        let message = format!(
            "{repo} is gated or private on the Hub, and nothing says who may read it here: it is not put into a cache that others read"
        );
        Err(Failure::new(Exit::Invalid, "access_not_given", message).with_hint(
            "read its licence, then say it: `access: group:NAME` or `access: all` in site.yaml, or `--access`",
        ))
    }
}

/// A site can say more than a command line.
fn site_says(failure: Failure) -> Failure {
    match (failure.code, &failure.hint) {
        ("pickle_refused", Some(hint)) => {
            let hint = format!("{hint}, or `allow_pickle: true` in site.yaml");
            failure.with_hint(hint)
        }
        _ => failure,
    }
}

impl Download {
    /// What the Hub calls it.
    pub(crate) fn repo(&self) -> &ModelId {
        self.outline.id()
    }

    #[cfg(test)]
    pub(crate) fn of(outline: Outline) -> Self {
        let reach = Reach::new(&Environment::default(), 0).unwrap();
        Self { reach, outline, kept: Vec::new() }
    }

    /// Keeps files of the same commit that it would replace otherwise.
    pub(crate) fn keeping(mut self, own: &[LockedFile]) -> Self {
        let is_chosen = |file: &&LockedFile| self.outline.files.iter().any(|new| new.path == file.path);
        self.kept = own.iter().filter(|file| !is_chosen(file)).cloned().collect();
        self
    }

    /// Whether site.lock has exactly this.
    pub(crate) fn is(&self, commit: &str, files: &[LockedFile]) -> bool {
        let outline = &self.outline;
        let has = |path: &str, blob: &str, bytes: u64| {
            files.iter().any(|own| (own.path.as_str(), own.blob_name(), own.bytes) == (path, blob, bytes))
        };
        outline.commit() == commit
            && files.len() == outline.files.len() + self.kept.len()
            && outline.files.iter().all(|file| has(&file.path, file.hash.hex(), file.bytes))
    }

    /// What the Hub says of it, to be kept beside it.
    pub(crate) fn record(&self) -> Record {
        Record::of(&self.outline)
    }
}

/// How it is told how far it is, from whatever thread.
pub(crate) struct Tell<'a> {
    /// What is done.
    pub(crate) say: &'a (dyn Fn(&str) + Sync),
    /// So many more bytes.
    pub(crate) add: &'a (dyn Fn(u64) + Sync),
    /// What happens to its files.
    pub(crate) news: &'a (dyn Fn(&News) + Sync),
}

/// Fetches a revision into `downloads`, which stays when it fails, and makes it of that in `stage`.
pub(super) fn make(
    layout: &Layout,
    download: &Download,
    (stage, downloads): (&Path, &Path),
    tell: &Tell<'_>,
) -> Result<LockedRevision, Failure> {
    let outline = &download.outline;
    let blobs = store::folder(layout, outline.id()).join("blobs");
    let mut files =
        telling(tell, |teller| acquire::fetch(download.reach.hub(), outline, downloads, &blobs, teller))?;
    files.extend(download.kept.iter().map(|file| NewFile::stored(file, &blobs)));
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let new = New { id: outline.id(), commit: Some(outline.commit()), files: &files, take: Take::Fetched };
    store::make(layout, &new, stage, &|_, _| ())
}

/// Does something that tells from threads of its own, and hands that on.
fn telling<T>(tell: &Tell<'_>, work: impl FnOnce(&Teller) -> T) -> T {
    let (sender, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || listen(&told, tell));
        let teller: Teller = Arc::new(move |told| {
            // Who listens does so until the last one is gone.
            let _ = sender.send(told);
        });
        work(&teller)
    })
}

/// Tells what happens until nothing more can.
fn listen(told: &mpsc::Receiver<Told>, tell: &Tell<'_>) {
    for told in told {
        (tell.news)(&told.news());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_some_on_the_hub_is_for_everybody_here_only_when_that_is_said() {
        let repo: ModelId = "org/name".parse().unwrap();
        let said = Wanted { access_is_given: true, ..Wanted::default() };
        assert_eq!(said.may_enter(&repo, true), Ok(()));
        assert_eq!(Wanted::default().may_enter(&repo, false), Ok(()));
        let failure = Wanted::default().may_enter(&repo, true).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("access_not_given", Exit::Invalid));
        assert!(failure.message.contains("org/name"), "{failure}");
    }

    #[test]
    fn what_is_wanted_is_what_is_declared() {
        let text = "schema: 1\ncache_dir: /c\nmodels: [{repo: o/n, revision: v1, format: gguf, include: ['*.json'], exclude: [onnx/], access: all}, {repo: o/m}]\n";
        let (declared, findings) = bf_core::site::Declared::parse(text, Path::new("/site.yaml")).unwrap();
        assert_eq!(findings, []);
        let wanted = Wanted::declared(&declared.models[0]);
        assert_eq!(wanted.revision.as_deref(), Some("v1"));
        assert_eq!(wanted.choice.format, Some(choose::Wanted::Format(WeightFormat::Gguf)));
        assert!(wanted.access_is_given && wanted.choice.include[0].matches("a.json"));
        assert!(wanted.choice.exclude[0].matches("onnx/model.onnx"));
        assert_eq!(Wanted::declared(&declared.models[1]), Wanted::default());
    }
}

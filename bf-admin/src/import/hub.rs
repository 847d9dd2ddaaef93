//! What is wanted of the Hub, and the one place where it is fetched.

use std::path::Path;

use bf_core::model::{ModelId, Pattern, WeightFormat};
use bf_core::report::{Exit, Failure};
use bf_core::site::{DeclaredModel, Layout, LockedRevision};

/// What is wanted of a model of the Hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// A branch, a tag or a commit; nothing for `main`.
    pub(crate) revision: Option<String>,
    /// Of several formats this one.
    pub(crate) format: Option<WeightFormat>,
    /// Only files of these names; none: all that an engine loads.
    pub(crate) include: Vec<Pattern>,
    /// No files of these names.
    pub(crate) exclude: Vec<Pattern>,
    /// Whether weights that can hold code are taken.
    pub(crate) allow_pickle: bool,
    /// Whether it is said whom it is for: what the Hub gives to some only needs that.
    pub(crate) access_is_given: bool,
    /// The commit that it must be, and no other.
    pub(crate) exact: Option<String>,
}

impl Wanted {
    /// What site.yaml declares.
    pub(crate) fn declared(model: &DeclaredModel) -> Self {
        Self {
            revision: model.revision.as_ref().map(ToString::to_string),
            format: model.format.as_deref().and_then(|format| format.parse().ok()),
            include: model.include.clone(),
            exclude: model.exclude.clone(),
            allow_pickle: model.allow_pickle,
            access_is_given: model.access_is_given,
            exact: None,
        }
    }

    /// `from the Hub, revision v1`.
    pub(crate) fn detail(&self) -> String {
        match self.exact.as_ref().or(self.revision.as_ref()) {
            Some(revision) => format!("from the Hub, revision {revision}"),
            None => "from the Hub".into(),
        }
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

/// How it is told how far it is.
pub(crate) struct Tell<'a> {
    /// What is done.
    pub(crate) say: &'a dyn Fn(&str),
    /// So many more bytes.
    pub(crate) add: &'a dyn Fn(u64),
    /// How many there are in all.
    pub(crate) total: &'a dyn Fn(u64),
}

/// Fetches a revision into `downloads`, which stays when it fails, and makes it of that in `stage`.
pub(super) fn make(
    _layout: &Layout,
    repo: &ModelId,
    wanted: &Wanted,
    (_stage, _downloads): (&Path, &Path),
    tell: &Tell<'_>,
) -> Result<LockedRevision, Failure> {
    (tell.say)(&wanted.detail());
    (tell.total)(0);
    wanted.may_enter(repo, false)?;
    let message = format!("model {repo} is not in the cache, and this version cannot download models");
    Err(Failure::new(Exit::NotFound, "hub_not_built", message)
        .with_hint(format!("`bf-admin model import DIR --as {repo}`, or give it a `path` in site.yaml")))
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
        let text = "schema: 1\ncache_dir: /c\nmodels: [{repo: o/n, revision: v1, include: ['*.json'], exclude: [onnx/], access: all}, {repo: o/m}]\n";
        let (declared, findings) = bf_core::site::Declared::parse(text, Path::new("/site.yaml")).unwrap();
        assert_eq!(findings, []);
        let wanted = Wanted::declared(&declared.models[0]);
        assert_eq!(wanted.detail(), "from the Hub, revision v1");
        assert!(wanted.access_is_given && wanted.include[0].matches("a.json"));
        assert!(wanted.exclude[0].matches("onnx/model.onnx"));
        assert_eq!(Wanted::declared(&declared.models[1]), Wanted::default());
    }
}

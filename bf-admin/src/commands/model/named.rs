//! What `MODEL` and `MODEL@REV` of a command line mean in a cache.

use std::str::FromStr;

use bf_core::model::{Location, ModelError, ModelId, Revision, cache};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, LockedModel};

/// A model, or one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The model.
    pub(super) repo: ModelId,
    /// A name of a revision, a commit, or the beginning of one; nothing: the model with all that it has.
    pub(super) revision: Option<Revision>,
}

impl FromStr for Named {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Some(Revision::parse(revision)?)),
            None => (text, None),
        };
        Ok(Self { repo: ModelId::parse_stored(repo)?, revision })
    }
}

impl Named {
    /// The commit that the revision stands for: by what it was asked for as, else by what is on disk; nothing where none was named.
    pub(super) fn commit(
        &self,
        layout: &Layout,
        own: Option<&LockedModel>,
    ) -> Result<Option<String>, Failure> {
        let Some(revision) = &self.revision else { return Ok(None) };
        let name = revision.as_str();
        let locked = own.into_iter().flat_map(LockedModel::all);
        let mut locked = locked.filter(|own| own.name.unwrap_or("main") == name || own.commit == name);
        if let Some(own) = locked.next() {
            return Ok(Some(own.commit.to_owned()));
        }
        let folder = bf_core::model::store::folder(layout, &self.repo);
        let there =
            cache::repo_at(&folder, &self.repo, Location::Cache)?.ok_or_else(|| self.not_there(layout))?;
        Ok(Some(there.revision(revision)?.commit.clone()))
    }

    /// That the cache has nothing of it.
    pub(super) fn not_there(&self, layout: &Layout) -> Failure {
        let message = format!("the cache {} has no model {}", layout.root().display(), self.repo);
        Failure::new(Exit::NotFound, "model_not_found", message).with_hint("`bf-admin model ls` lists them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_follows_an_at() {
        let named: Named = "org/name@pr/1".parse().unwrap();
        assert_eq!((named.repo.to_string().as_str(), named.revision.unwrap().as_str()), ("org/name", "pr/1"));
        assert_eq!("gpt2".parse::<Named>().unwrap().revision, None);
        for text in ["", "@v1", "a/b@", "../x", "a/b@../c"] {
            assert!(text.parse::<Named>().is_err(), "{text}");
        }
    }
}

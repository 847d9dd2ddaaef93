//! What `MODEL` and `MODEL@REV` of a command line mean in a cache, shared or of a user's own.

use std::fmt;
use std::str::FromStr;

use super::{Location, ModelError, ModelId, Revision, cache, store};
use crate::site::{Layout, LockedModel};

/// A model, or one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The model.
    pub repo: ModelId,
    /// A name of a revision, a commit, or the beginning of one; nothing: the model with all that it has.
    pub revision: Option<Revision>,
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

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.revision {
            Some(revision) => write!(f, "{}@{revision}", self.repo),
            None => self.repo.fmt(f),
        }
    }
}

impl Named {
    /// The commit that the revision stands for: by what it was asked for as, else by what is on disk; nothing where none was named.
    ///
    /// # Errors
    /// [`ModelError::NotFound`]: the cache has nothing of the model; [`ModelError::RevisionNotFound`] and others of [`cache::repo_at`].
    pub fn commit(&self, layout: &Layout, own: Option<&LockedModel>) -> Result<Option<String>, ModelError> {
        let Some(revision) = &self.revision else { return Ok(None) };
        let name = revision.as_str();
        let locked = own.into_iter().flat_map(LockedModel::all);
        let mut locked = locked.filter(|own| own.name.unwrap_or(store::MAIN) == name || own.commit == name);
        if let Some(own) = locked.next() {
            return Ok(Some(own.commit.to_owned()));
        }
        let folder = store::folder(layout, &self.repo);
        let there = cache::repo_at(&folder, &self.repo, Location::Cache)?;
        let there = there.ok_or_else(|| ModelError::NotFound {
            id: self.repo.clone(),
            roots: vec![layout.models()],
            near: Vec::new(),
        })?;
        Ok(Some(there.revision(revision)?.commit.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_follows_an_at() {
        let named: Named = "org/name@pr/1".parse().unwrap();
        assert_eq!(named.to_string(), "org/name@pr/1");
        assert_eq!((named.repo.to_string().as_str(), named.revision.unwrap().as_str()), ("org/name", "pr/1"));
        assert_eq!("gpt2".parse::<Named>().unwrap().revision, None);
        for text in ["", "@v1", "a/b@", "../x", "a/b@../c"] {
            assert!(text.parse::<Named>().is_err(), "{text}");
        }
    }
}

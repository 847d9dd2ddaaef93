//! A folder of one's own in which something is made before it is published.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::private_folder;
use crate::digest::hex;

/// An empty private folder, removed with what is left in it when dropped.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
}

impl Stage {
    /// Makes a folder with a random name inside `staging/claim`, which is made if it is missing.
    pub(super) fn new(staging: &Path, claim: &str) -> io::Result<Self> {
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let own = staging.join(claim);
        private_folder(&own)?;
        let path = own.join(hex(&name));
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot create folder {}: {error}", path.display()))
        })?;
        Ok(Self { path })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed here is removed by the next run, which reports why it cannot.
        let _ = super::remove(&self.path);
        // Of the claim's folder the last one takes the empty rest.
        let _ = self.path.parent().map(std::fs::remove_dir);
    }
}

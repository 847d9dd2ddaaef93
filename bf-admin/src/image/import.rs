//! A SIF file of this machine that becomes an image of the cache.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bf_core::image::Reference;
use bf_core::image::sif::{self, SifError};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, is_image_name};
use nix::unistd::geteuid;

use super::facts::sif_path;

/// The file, and what it will be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
    /// What it was pulled from, as it says itself.
    pub(crate) reference: Option<Reference>,
    /// Its link in the cache, relative to the cache.
    pub(crate) sif: String,
}

impl Source {
    /// Looks at the file. `name`: what it is to be called, where that was said.
    pub(crate) fn read(path: &Path, name: Option<&str>) -> Result<Self, Failure> {
        let header = sif::read(path).map_err(|error| damaged(path, error))?;
        let reference = header.source.map(Reference::unpinned);
        let own = path
            .file_name()
            .and_then(|file| file.to_str())
            .filter(|file| file.strip_suffix(".sif").is_some_and(is_image_name));
        let sif = match (&reference, own, name) {
            (Some(reference), _, _) => sif_path(reference),
            (None, Some(own), _) => format!("images/{own}"),
            (None, None, Some(name)) => format!("images/{name}.sif"),
            (None, None, None) => {
                let message = format!("{} does not say what image it is", path.display());
                return Err(Failure::new(Exit::Usage, "image_unnamed", message)
                    .with_hint("name it with --as NAME, or call the file NAME.sif"));
            }
        };
        Ok(Self { path: path.to_owned(), bytes: header.bytes, reference, sif })
    }

    /// The name for site.lock where none was said: that of the file without its ending.
    pub(crate) fn default_name(&self) -> String {
        let file = self.sif.rsplit('/').next().unwrap_or(&self.sif);
        file.strip_suffix(".sif").unwrap_or(file).to_owned()
    }

    /// Whether it is a file of the cache, and stands where its link must be.
    pub(crate) fn is_in_place(&self, layout: &Layout) -> bool {
        let to = layout.root().join(&self.sif);
        fs_err::symlink_metadata(&to).is_ok_and(|meta| meta.is_file())
            && fs_err::canonicalize(&self.path)
                .is_ok_and(|own| fs_err::canonicalize(&to).is_ok_and(|to| own == to))
    }

    /// Refuses to take over a file in place that somebody else could change afterwards.
    pub(crate) fn is_ours(&self) -> Result<(), Failure> {
        let owner = fs_err::metadata(&self.path)?.uid();
        if owner == geteuid().as_raw() {
            return Ok(());
        }
        let shown = self.path.display();
        let message = format!("{shown} belongs to user {owner}, who could change it after it was taken over");
        let hint = format!("chown -h {} {shown}, if its owner agrees", bf_core::host::user());
        Err(Failure::new(Exit::Permission, "not_owner", message).with_hint(hint))
    }

    /// The failure of a file that is no whole image.
    pub(super) fn damaged(&self, error: SifError) -> Failure {
        damaged(&self.path, error)
    }
}

fn damaged(path: &Path, error: SifError) -> Failure {
    if let SifError::Io(error) = error {
        return error.into();
    }
    let message = format!("{} cannot be imported: {error}", path.display());
    Failure::new(Exit::Invalid, "image_damaged", message)
        .with_hint("copy or pull it again; `apptainer inspect FILE` shows whether it is whole")
}

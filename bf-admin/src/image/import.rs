//! A SIF file of this machine that becomes an image of the cache.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bf_core::image::Reference;
use bf_core::image::sif::{self, SifError};
use bf_core::report::{Exit, Failure, shell_quoted};
use bf_core::site::{Layout, LockedImage, is_image_name};
use nix::unistd::geteuid;

/// The file, and what it will be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
    /// What it says that it was pulled from. Anybody can write that into a file, so nothing is called by it.
    pub(crate) claim: Option<Reference>,
    /// The claim, where it agrees with the name that the file gets.
    pub(crate) reference: Option<Reference>,
    /// Its link in the cache, relative to the cache.
    pub(crate) sif: String,
}

/// What the name of an image means already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Named<'a> {
    /// The name that was asked for.
    pub(crate) name: Option<&'a str>,
    /// The image that site.yaml, or the engine of that name, means by it.
    pub(crate) wanted: Option<&'a Reference>,
    /// The entry of that name in site.lock.
    pub(crate) own: Option<&'a LockedImage>,
}

impl Source {
    /// Looks at the file. Its link is called by what was asked for, or by its own name, and never by what it claims.
    pub(crate) fn read(path: &Path, layout: &Layout, named: Named<'_>) -> Result<Self, Failure> {
        let header = sif::read(path).map_err(|error| damaged(path, error))?;
        let claim = header.source.map(Reference::unpinned);
        // A file of images/ keeps its name, also when a link led us to it.
        let real = fs_err::canonicalize(path)?;
        let images = fs_err::canonicalize(layout.images()).ok();
        let in_images = real.parent().map(Path::to_owned) == images && images.is_some();
        let path = if in_images { real } else { path.to_owned() };
        let own = path
            .file_name()
            .and_then(|file| file.to_str())
            .filter(|file| file.strip_suffix(".sif").is_some_and(is_image_name));
        let agrees = |file: &str| claim.as_ref().is_some_and(|claim| claim.sif_name() == file);
        let file = match (own, named.name) {
            (Some(own), _) if in_images => own.to_owned(),
            (Some(own), None) => own.to_owned(),
            (None, None) => {
                let message = format!("{} has no name that an image can have", path.display());
                return Err(Failure::new(Exit::Usage, "image_unnamed", message)
                    .with_hint("name it with --as NAME, or call the file NAME.sif"));
            }
            (own, Some(name)) => {
                // Both sides say so: who imports it for that name, and the file.
                let wanted = named
                    .wanted
                    .filter(|wanted| claim.as_ref().is_some_and(|claim| claim.serves(&unpinned(wanted))));
                let own = own.filter(|own| agrees(own));
                let before = named.own.and_then(|own| own.sif.strip_prefix("images/")).map(str::to_owned);
                wanted
                    .map(Reference::sif_name)
                    .or(own.map(str::to_owned))
                    .or(before)
                    .unwrap_or_else(|| format!("{name}.sif"))
            }
        };
        let reference = claim.clone().filter(|_| agrees(&file));
        Ok(Self { path, bytes: header.bytes, claim, reference, sif: format!("images/{file}") })
    }

    /// The name for site.lock where none was said: that of the file without its ending.
    pub(crate) fn default_name(&self) -> String {
        let file = self.sif.rsplit('/').next().unwrap_or(&self.sif);
        file.strip_suffix(".sif").unwrap_or(file).to_owned()
    }

    /// Where it comes from, for people.
    pub(crate) fn detail(&self) -> String {
        let says = |claim: &Reference| format!(", says it was pulled from {claim}");
        format!("from {}{}", self.path.display(), self.claim.as_ref().map(says).unwrap_or_default())
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
        let (user, file) = (bf_core::host::user(), shell_quoted(&self.path));
        let hint = format!("chown -h {user} {file}, if its owner agrees");
        Err(Failure::new(Exit::Permission, "not_owner", message).with_hint(hint))
    }

    /// The failure of a file that is no whole image.
    pub(super) fn damaged(&self, error: SifError) -> Failure {
        damaged(&self.path, error)
    }
}

fn unpinned(reference: &Reference) -> Reference {
    reference.clone().unpinned()
}

fn damaged(path: &Path, error: SifError) -> Failure {
    if let SifError::Io(error) = error {
        if error.kind() == std::io::ErrorKind::NotFound {
            let message = format!("there is no file {}", path.display());
            return Failure::new(Exit::NotFound, "file_not_found", message);
        }
        return error.into();
    }
    let message = format!("{} cannot be imported: {error}", path.display());
    if matches!(error, SifError::NotAFile) {
        return Failure::new(Exit::Invalid, "image_damaged", message).with_hint("name a SIF file");
    }
    Failure::new(Exit::Invalid, "image_damaged", message)
        .with_hint("copy or pull it again; `apptainer inspect FILE` shows whether it is whole")
}

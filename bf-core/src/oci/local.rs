//! An image on disk: a folder in OCI's layout, an archive of one, or what `docker save` wrote.

use std::path::Path;
use std::sync::Arc;

use super::files::{Files, Kind};
use super::{Image, OciError, Platform, Source, archive, docker, layout};
use crate::report::Failure;

/// A folder or archive with images.
#[derive(Debug)]
pub struct LocalSource {
    files: Arc<Files>,
    wanted: Option<String>,
    is_layout: bool,
}

impl LocalSource {
    /// Opens `path`, and finds out what it is. `wanted` names the image if there are several: by a name that the archive gives
    /// it, or (in a layout) by the digest of its manifest.
    ///
    /// What newer versions of `docker save` write is both; it is read as a layout, which has digests of everything.
    pub fn open(path: &Path, wanted: Option<&str>) -> Result<Self, OciError> {
        let files = if fs_err::metadata(path)?.is_dir() {
            Files { place: path.display().to_string(), kind: Kind::Folder(path.to_owned()) }
        } else {
            archive::open(path)?
        };
        let is_layout = files.has(layout::MARKER) && files.has(layout::INDEX);
        // Names in `manifest.json` would be paths of this machine.
        let is_saved = matches!(files.kind, Kind::Archive(_)) && files.has(docker::MANIFEST);
        if !is_layout && !is_saved {
            let reason =
                format!("there is neither {} and {} nor {}", layout::MARKER, layout::INDEX, docker::MANIFEST);
            return Err(OciError::NoImage { place: files.place, reason });
        }
        Ok(Self { files: Arc::new(files), wanted: wanted.map(str::to_owned), is_layout })
    }
}

impl Source for LocalSource {
    fn image(&self, platform: &Platform) -> Result<Image, Failure> {
        let wanted = self.wanted.as_deref();
        let image = if self.is_layout {
            layout::image(&self.files, wanted, platform)
        } else {
            docker::image(&self.files, wanted, platform)
        };
        Ok(image?)
    }
}

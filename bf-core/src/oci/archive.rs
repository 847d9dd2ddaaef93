//! Opens an archive of an image.

use std::path::Path;

use super::OciError;
use super::files::{Files, Kind};
use super::tar::Tar;

/// Opens an archive and finds out where its members are.
pub(super) fn open(path: &Path) -> Result<Files, OciError> {
    let place = path.display().to_string();
    let (file, path) = fs_err::File::open(path)?.into_parts();
    if !file.metadata()?.is_file() {
        let reason = format!("{} is no regular file", path.display());
        return Err(OciError::NoImage { place, reason });
    }
    let tar = Tar::scan(file).map_err(|source| OciError::Tar { place: place.clone(), source })?;
    Ok(Files { place, kind: Kind::Archive(tar) })
}

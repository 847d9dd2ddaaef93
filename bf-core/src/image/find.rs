//! Which file of the cache is an image: by its name in site.lock, else by upstream's file name.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::{ImageError, Reference, sif};
use crate::site::{Layout, Locked, LockedImage, trusted};

/// An image that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sif {
    /// Its name in site.lock; of a file that nobody provisioned, the file's name without `.sif`.
    pub name: String,
    /// Where it came from, if that is known.
    pub reference: Option<Reference>,
    /// The file itself, without links and trusted: what a running job keeps when the name is switched to another one.
    pub path: PathBuf,
    /// 12 hex digits that stand for this content: of a provisioned file those of its name, else of its header.
    pub digest12: String,
    /// What the file says of itself.
    pub header: sif::Header,
}

/// The image that is called `name` (the id of an engine, or that and `-gpu`), else the file of `reference`, which is the
/// one of the engine's definition. Nothing if the cache has neither.
///
/// # Errors
/// An image that is there and cannot be used is an error, also when another one could be.
pub fn find(
    layout: &Layout,
    locked: &Locked,
    name: &str,
    reference: Option<&Reference>,
) -> Result<Option<Sif>, ImageError> {
    if let Some(own) = locked.images.get(name)
        && let Some(sif) = of_lock(layout, name, own)?
    {
        return Ok(Some(sif));
    }
    reference.map_or(Ok(None), |reference| find_reference(layout, locked, reference))
}

/// The image `reference`, whatever it is called: that of site.lock which was fetched as it, else one of no registry that has this name
/// there, else the file with upstream's name for it, as caches have it that were filled by hand.
///
/// # Errors
/// As [`find`].
pub fn find_reference(
    layout: &Layout,
    locked: &Locked,
    reference: &Reference,
) -> Result<Option<Sif>, ImageError> {
    for (name, own) in &locked.images {
        if serves(own, reference)
            && let Some(sif) = of_lock(layout, name, own)?
        {
            return Ok(Some(sif));
        }
    }
    for (name, own) in &locked.images {
        if own.reference.is_none()
            && is_name_of(name, reference)
            && let Some(sif) = of_lock(layout, name, own)?
        {
            return Ok(Some(sif));
        }
    }
    let file = reference.sif_name();
    let path = layout.image_link(&file);
    // A file of that name that was provisioned from somewhere else is another image.
    let is_other = |own: &LockedImage| {
        layout.root().join(&own.sif) == path && own.reference.is_some() && !serves(own, reference)
    };
    if locked.images.values().any(is_other) {
        return Ok(None);
    }
    let name = file.strip_suffix(".sif").unwrap_or(&file);
    open(layout, name, Some(reference), &path)
}

/// Whether an image of the lock is what was asked for.
fn serves(own: &LockedImage, asked: &Reference) -> bool {
    own.whole().is_some_and(|own| own.serves(asked))
}

/// Whether somebody means an image of no registry, which has its name in site.lock alone: by that name, which is read as one of Docker's
/// own, or by the one that was written into its file, `localhost/NAME`.
fn is_name_of(name: &str, asked: &Reference) -> bool {
    let own = name.to_lowercase();
    asked.digest().is_none()
        && asked.tag() == Some("latest")
        && match asked.registry() {
            "localhost" => asked.repository() == own,
            "docker.io" => asked.repository().strip_prefix("library/") == Some(&own),
            _ => false,
        }
}

pub(super) fn of_lock(layout: &Layout, name: &str, own: &LockedImage) -> Result<Option<Sif>, ImageError> {
    let below = Path::new(&own.sif);
    let is_inside = below.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_inside || below.as_os_str().is_empty() {
        return Err(ImageError::Outside { name: name.to_owned(), path: below.to_owned() });
    }
    open(layout, name, own.reference.as_ref(), &layout.root().join(below))
}

pub(super) fn open(
    layout: &Layout,
    name: &str,
    reference: Option<&Reference>,
    path: &Path,
) -> Result<Option<Sif>, ImageError> {
    match fs_err::metadata(path) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    }
    let real = trusted(layout.root(), path)?;
    let header = sif::read(&real).map_err(|source| ImageError::Damaged { path: real.clone(), source })?;
    let digest12 = stored(layout, &real).unwrap_or_else(|| header.id.clone());
    let (name, reference) = (name.to_owned(), reference.cloned());
    Ok(Some(Sif { name, reference, path: real, digest12, header }))
}

/// The 12 hex digits of a name in the store.
fn stored(layout: &Layout, real: &Path) -> Option<String> {
    let store = fs_err::canonicalize(layout.image_store()).ok()?;
    let name = real.strip_prefix(store).ok()?.to_str()?;
    let (digest, _) = name.split_once('-')?;
    (digest.len() == 12 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| digest.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::image::sif::testing::small;
    use crate::report::Explain;

    const STORED: &str = "a1b2c3d4e5f6-gzip.sif";

    /// A cache with one image in its store, called `name_tag.sif`, and its lock as `engine`.
    fn cache() -> (tempfile::TempDir, Layout, Locked) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(fs_err::canonicalize(dir.path()).unwrap());
        fs_err::create_dir_all(layout.image_store()).unwrap();
        fs_err::write(layout.image_store().join(STORED), small(1, 200)).unwrap();
        symlink(format!(".store/{STORED}"), layout.image_link("name_tag.sif")).unwrap();
        let mut locked = Locked::default();
        let image = LockedImage {
            reference: Some("q.io/org/name:tag".parse().unwrap()),
            digest: None,
            sif: "images/name_tag.sif".into(),
            sha256: "0".repeat(64),
            bytes: 4296,
            compression: "gzip".into(),
            partition_sha256: None,
            metadata_sha256: None,
        };
        locked.images.insert("engine".into(), image);
        (dir, layout, locked)
    }

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn the_lock_comes_before_the_file_and_links_are_gone() {
        let (_dir, layout, locked) = cache();
        fs_err::write(layout.image_link("other_1.sif"), small(2, 100)).unwrap();
        let other = reference("q.io/org/other:1");
        let found = find(&layout, &locked, "engine", Some(&other)).unwrap().unwrap();
        assert_eq!(found.path, layout.image_store().join(STORED));
        assert_eq!((found.name.as_str(), found.digest12.as_str()), ("engine", "a1b2c3d4e5f6"));
        assert_eq!(found.reference, Some(reference("q.io/org/name:tag")));

        let by_hand = find(&layout, &locked, "other_engine", Some(&other)).unwrap().unwrap();
        assert_eq!((by_hand.path, by_hand.name.as_str()), (layout.image_link("other_1.sif"), "other_1"));
        assert_eq!(by_hand.digest12, by_hand.header.id);
        assert_eq!(find(&layout, &locked, "third", Some(&reference("q.io/third"))).unwrap(), None);
        assert_eq!(find(&layout, &locked, "third", None).unwrap(), None);
    }

    #[test]
    fn an_explicit_reference_is_that_image_or_none() {
        let (_dir, layout, locked) = cache();
        let found = find_reference(&layout, &locked, &reference("q.io/org/name:tag")).unwrap().unwrap();
        assert_eq!(found.name, "engine");
        // The same file name, provisioned from another place.
        assert_eq!(find_reference(&layout, &locked, &reference("evil.io/x/name:tag")).unwrap(), None);
        // Without a lock the name is all there is to go by.
        assert!(
            find_reference(&layout, &Locked::default(), &reference("evil.io/x/name:tag")).unwrap().is_some()
        );
    }

    #[test]
    fn an_image_of_no_registry_is_found_by_the_name_that_a_list_shows() {
        let (_dir, layout, mut locked) = cache();
        let found = |locked: &Locked, text: &str| {
            find_reference(&layout, locked, &reference(text)).unwrap().map(|sif| sif.name)
        };
        // What came of a registry has no other name than the one there.
        assert_eq!(found(&locked, "engine"), None);
        locked.images.get_mut("engine").unwrap().reference = None;
        for text in ["engine", "localhost/engine", "localhost/engine:latest"] {
            assert_eq!(found(&locked, text).as_deref(), Some("engine"), "{text}");
        }
        let pinned = format!("localhost/engine@sha256:{}", "a1".repeat(32));
        for text in ["engine:2", "q.io/engine", "org/engine", "localhost/org/engine", &pinned] {
            assert_eq!(found(&locked, text), None, "{text}");
        }
    }

    #[test]
    fn a_list_has_what_is_locked_and_what_was_put_there() {
        let (_dir, layout, mut locked) = cache();
        fs_err::write(layout.image_link("hand_1.sif"), small(2, 100)).unwrap();
        fs_err::write(layout.image_link("bad_1.sif"), "no").unwrap();
        fs_err::write(layout.image_link("notes.txt"), "no").unwrap();
        let mut gone = locked.images["engine"].clone();
        gone.sif = "images/gone_1.sif".into();
        locked.images.insert("gone".into(), gone);
        let inventory = crate::image::list(&layout, &locked);
        let shown: Vec<_> =
            inventory.images.iter().map(|one| (one.name.as_str(), one.sif.as_str(), one.managed)).collect();
        assert_eq!(shown, [("engine", "images/name_tag.sif", true), ("hand_1", "images/hand_1.sif", false)]);
        let codes: Vec<_> = inventory.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["image_missing", "image_damaged"]);
        assert_eq!(inventory.findings[1].hint.as_deref(), Some("remove it, or import it again"));
    }

    #[test]
    fn what_cannot_be_used_is_an_error() {
        let (_dir, layout, mut locked) = cache();
        let stored = layout.image_store().join(STORED);
        fs_err::write(&stored, &small(1, 200)[..4200]).unwrap();
        let error = find(&layout, &locked, "engine", None).unwrap_err();
        assert_eq!(error.code(), "image_damaged");
        assert!(error.to_string().contains(STORED), "{error}");

        fs_err::write(&stored, small(1, 200)).unwrap();
        fs_err::set_permissions(&stored, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(find(&layout, &locked, "engine", None).unwrap_err().code(), "not_trusted");

        fs_err::remove_file(&stored).unwrap();
        assert_eq!(find(&layout, &locked, "engine", None).unwrap(), None, "a link to nothing");
        for outside in ["/etc/passwd", "../x.sif", ""] {
            outside.clone_into(&mut locked.images.get_mut("engine").unwrap().sif);
            assert_eq!(find(&layout, &locked, "engine", None).unwrap_err().code(), "invalid_lock");
        }
    }
}

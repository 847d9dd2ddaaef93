//! What is there of an image: its entry in site.lock, its file in the store, the link that users open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bf_core::bounded::{self, Links};
use bf_core::image::Reference;
use bf_core::image::store::{sif_path, target};
use bf_core::publish::{self, PublishError};
use bf_core::report::{Exit, Failure};
use bf_core::sif;
use bf_core::site::{DeclaredImage, Layout, Locked, LockedImage};
use bf_core::squashfs::Compression;

use super::{How, Maker, Place, wanted};
use crate::present::{Depth, Disk, one_file};

/// An image that is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageFacts {
    /// What site.yaml asks for.
    pub(crate) wanted: Result<Reference, Failure>,
    /// Its entry in site.lock, which may have another name there.
    pub(crate) own: Option<(String, LockedImage)>,
    /// The files of the entry.
    pub(crate) disk: Disk,
    /// How it is to be compressed, where site.yaml says that.
    pub(crate) compression: Option<Compression>,
    /// What to pull with, looked for when it must be pulled.
    pub(crate) maker: Option<Result<Maker, Failure>>,
    /// Why it is compressed as it is, said of the first one of which nobody says how.
    pub(crate) note: Option<String>,
    /// What stands where it must go, looked at when something is to be done.
    pub(crate) way: Result<(), Failure>,
}

/// What must be done with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// The file is there; its name, or the link to it, is not as it should be.
    Link(String),
    /// It must be fetched.
    Pull(String),
}

impl ImageFacts {
    /// What must be done with the image `name`; nothing when it cannot be had.
    pub(crate) fn need(&self, name: &str, update: bool) -> Need {
        let Ok(wanted) = &self.wanted else { return Need::Nothing };
        let Some((own_name, own)) = &self.own else { return Need::Pull("not there yet".into()) };
        if !own.whole().is_some_and(|own| own.serves(wanted)) {
            let other = own.whole().map_or_else(|| "a file".to_owned(), |other| other.to_string());
            return Need::Pull(format!("instead of {other}"));
        }
        if let Some(wanted) = self.compression
            && !compressed_as(own, wanted)
        {
            return Need::Pull(format!("compressed with {wanted} instead of {}", own.compression));
        }
        match &self.disk {
            Disk::Absent => return Need::Pull("its file is missing".into()),
            Disk::Damaged(why) => return Need::Pull(why.clone()),
            // A digest names one content for ever.
            _ if update && wanted.digest().is_none() => return Need::Pull("again".into()),
            Disk::Drifted(why) => return Need::Link(why.clone()),
            Disk::Whole => {}
        }
        if own_name != name {
            return Need::Link(format!("it is {own_name} in site.lock"));
        }
        let file = sif_path(wanted);
        if own.sif == file { Need::Nothing } else { Need::Link(format!("it is called {}", own.sif)) }
    }
}

/// Whether an image is compressed as it should be. Of one that we did not make the level is not known.
pub(crate) fn compressed_as(own: &LockedImage, wanted: Compression) -> bool {
    let wanted = wanted.to_string();
    own.compression == wanted || wanted.split(':').next() == Some(own.compression.as_str())
}

/// Looks at all declared images.
pub(crate) fn gather(
    layout: &Layout,
    declared: &BTreeMap<String, DeclaredImage>,
    locked: &Locked,
    update: &BTreeSet<String>,
    depth: Depth,
    maker: Option<(&Place<'_>, &How)>,
) -> BTreeMap<String, ImageFacts> {
    let mut all = BTreeMap::new();
    let mut noted = false;
    for (name, wanted) in wanted::all(layout, declared) {
        let own = wanted.as_ref().ok().and_then(|wanted| entry(locked, declared, &name, wanted));
        let disk = own.as_ref().map_or(Disk::Absent, |(_, own)| locked_image(layout, own, depth));
        let compression = declared.get(&name).and_then(|image| image.compression);
        let mut facts = ImageFacts { wanted, own, disk, compression, maker: None, note: None, way: Ok(()) };
        let need = facts.need(&name, update.contains(&name));
        if let Ok(wanted) = &facts.wanted
            && need != Need::Nothing
        {
            let own = facts.own.as_ref().map(|(_, own)| own);
            facts.way = way(layout, &sif_path(wanted))
                .and_then(|()| own.map_or(Ok(()), |own| store_way(layout, own)));
            if let (Need::Pull(_), Some((place, how))) = (&need, maker) {
                let before = || own.and_then(|own| own.compression.parse().ok());
                let compression = compression.or_else(before);
                if compression.is_none() && !noted {
                    facts.note = place.compression().1;
                    noted = true;
                }
                facts.maker = Some(Maker::of(how, compression, place, wanted));
            }
        }
        all.insert(name, facts);
    }
    all
}

/// The entry of an image: by its name where that is the image, else the same image under a name that is not declared, as
/// `image pull` may have made it, else whatever has its name.
fn entry(
    locked: &Locked,
    declared: &BTreeMap<String, DeclaredImage>,
    name: &str,
    wanted: &Reference,
) -> Option<(String, LockedImage)> {
    let serves = |own: &LockedImage| own.whole().is_some_and(|own| own.serves(wanted));
    let named = locked.images.get(name);
    let other = || {
        let mut others = locked.images.iter().filter(|(other, _)| !declared.contains_key(*other));
        others.find(|(_, own)| serves(own)).map(|(other, own)| (other.clone(), own.clone()))
    };
    let named = || named.map(|own| (name.to_owned(), own.clone()));
    if locked.images.get(name).is_some_and(serves) { named() } else { other().or_else(named) }
}

/// An image as the lock has it: its file whole, and the link leading to it.
pub(crate) fn locked_image(layout: &Layout, own: &LockedImage, depth: Depth) -> Disk {
    let (link, store) = (layout.root().join(&own.sif), layout.image_store());
    if let Err(error) = publish::clear(layout, &store) {
        return Disk::Drifted(error.to_string());
    }
    let target = target(own);
    let linked = fs_err::read_link(&link).ok();
    let stored = one_file(&store, &own.store_name(), &own.sha256, own.bytes, depth);
    match signed_or_named(&store.join(own.store_name()), own, stored) {
        Disk::Whole => {}
        // Its name alone is no use to anybody.
        Disk::Absent if linked.is_none() && fs_err::symlink_metadata(&link).is_err() => return Disk::Absent,
        other => return other,
    }
    match linked {
        Some(linked) if linked == Path::new(&target) => Disk::Whole,
        Some(other) => Disk::Drifted(format!("{} leads to {} instead of {target}", own.sif, other.display())),
        None if fs_err::symlink_metadata(&link).is_ok() => {
            Disk::Drifted(format!("{} is not a link to its file in the store", own.sif))
        }
        None => Disk::Drifted(format!("{} is missing", own.sif)),
    }
}

/// A file that is not as it was may have been signed since, which is no damage; else what of it is damaged is named.
fn signed_or_named(path: &Path, own: &LockedImage, disk: Disk) -> Disk {
    let (Disk::Damaged(why), Some(partition), Some(metadata)) =
        (&disk, &own.partition_sha256, &own.metadata_sha256)
    else {
        return disk;
    };
    // To open a pipe would be to wait for its writer.
    let Ok(file) = bounded::open(path, Links::Refuse) else { return disk };
    if sif::digests(file.file())
        .is_ok_and(|is| is.partition_sha256 == *partition && is.metadata_sha256 == *metadata)
    {
        return Disk::Whole;
    }
    match sif::verify(file.file()) {
        Ok(damage) if !damage.is_empty() => {
            let parts: Vec<String> = damage.iter().map(|one| one.part.to_string()).collect();
            Disk::Damaged(format!("{} is damaged: {}", own.store_name(), parts.join(", ")))
        }
        _ => Disk::Damaged(why.clone()),
    }
}

/// Whether the link of an image can be made at `sif`, and its file be put into the store.
pub(crate) fn way(layout: &Layout, sif: &str) -> Result<(), Failure> {
    publish::clear(layout, &layout.image_store())?;
    let link = layout.root().join(sif);
    match publish::clear_link(&link) {
        Err(error @ PublishError::InTheWay { .. }) if link.is_file() => {
            let hint = format!("`bf-admin image import {}` takes it over; or move it away", link.display());
            Err(Failure::from(error).with_hint(hint))
        }
        result => Ok(result?),
    }
}

/// Whether an image's file in the store can be replaced. A folder of its name would not give way.
pub(crate) fn store_way(layout: &Layout, own: &LockedImage) -> Result<(), Failure> {
    let path = layout.image_store().join(own.store_name());
    if !fs_err::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
        return Ok(());
    }
    let shown = path.display();
    let message = format!("{shown} is a folder, where the cache must have a file of its own");
    Err(Failure::new(Exit::Invalid, "folder_in_the_way", message)
        .with_hint(format!("find out who made it, then move {shown} away and run the command again")))
}

//! Whether an image of the cache is what site.lock says of it: link, size, header, our own record in it; every byte of it; and whether its
//! tag stands for something else by now. Reads only.

use std::path::Path;

use bf_core::image::{Digest, Reference, sif::read};
use bf_core::registry::Limits;
use bf_core::report::{Exit, Failure};
use bf_core::sif::{self, Provenance, Sif, SifError};
use bf_core::site::{Layout, LockedImage};
use bf_core::{convert, digest};
use serde::Serialize;

use super::{Place, facts};
use crate::present::{Depth, Disk};

/// What an image is, against site.lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it was published.
    Ok,
    /// Its file is not what it was.
    Damaged,
    /// Its file is not there.
    Missing,
    /// The file is whole; its link, or what it says of itself, is not what site.lock says.
    Drifted,
    /// Whole, and its tag stands for something else in the registry.
    Outdated,
    /// Whole, and the registry did not say what its tag stands for.
    Unknown,
}

/// What was found out about one image.
#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    /// Its name in site.lock.
    pub(crate) name: String,
    /// The link that users open, relative to the cache.
    pub(crate) sif: String,
    pub(crate) state: State,
    /// What is not as it should be, or else what is worth to know.
    pub(crate) detail: String,
    /// What it was made of, by site.lock.
    pub(crate) digest: Option<Digest>,
    pub(crate) compression: String,
    /// The length that its file must have.
    pub(crate) bytes: u64,
    /// Whether its file carries a signature; nothing where it cannot be read.
    pub(crate) signed: Option<bool>,
    /// What its tag stands for by now, if that is something else.
    pub(crate) newer: Option<Digest>,
    /// The command that makes it right; nothing where nothing is wrong.
    pub(crate) hint: Option<String>,
    /// Why the registry did not say it.
    #[serde(skip)]
    pub(crate) failure: Option<Failure>,
}

/// What is looked at besides the file's name, size and header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closely<'a> {
    /// Every byte.
    pub(crate) full: bool,
    /// The registry, by what is known of it.
    pub(crate) online: Option<&'a Place<'a>>,
    /// Whether site.yaml pins the image: then nothing is newer.
    pub(crate) pinned: bool,
    /// Whether site.yaml declares the image.
    pub(crate) declared: bool,
}

/// Looks at one image.
pub(crate) fn verify(layout: &Layout, name: &str, own: &LockedImage, closely: Closely<'_>) -> Verified {
    let path = layout.image_store().join(own.store_name());
    let (mut state, mut detail) = match facts::locked_image(layout, own, Depth::Quick) {
        Disk::Absent => (State::Missing, format!("{} is not there", layout.relative(&path).display())),
        Disk::Damaged(why) => (State::Damaged, why),
        Disk::Drifted(why) => (State::Drifted, why),
        Disk::Whole => (State::Ok, String::new()),
    };
    let (mut signed, mut imported) = (None, false);
    if matches!(state, State::Ok | State::Drifted) {
        match of_file(&path, own, closely.full) {
            Ok(found) => {
                (signed, imported) = (Some(found.signed), found.imported);
                if let Some((worse, why)) = found.fault {
                    (state, detail) = (worse, why);
                } else if state == State::Ok {
                    detail = found.remark;
                }
            }
            Err(error) => (state, detail) = (State::Damaged, error.to_string()),
        }
    }
    let mut verified = Verified {
        name: name.to_owned(),
        sif: own.sif.clone(),
        state,
        detail,
        digest: own.digest.clone(),
        compression: own.compression.clone(),
        bytes: own.bytes,
        signed,
        newer: None,
        hint: None,
        failure: None,
    };
    if let Some(place) = closely.online {
        verified.ask(own, place, closely.pinned, imported);
    }
    verified.hint = verified.mended_by(own, closely);
    verified
}

impl Verified {
    /// The command that makes the image right.
    fn mended_by(&self, own: &LockedImage, closely: Closely<'_>) -> Option<String> {
        let name = &self.name;
        let fetched = own.reference.as_ref().filter(|_| own.digest.is_some());
        match (self.state, fetched) {
            (State::Ok | State::Unknown, _) => None,
            (State::Outdated, Some(_)) if closely.declared => Some(format!("bf-admin setup --update {name}")),
            // What only a whole reading finds, only a whole reading mends.
            (_, Some(_)) if closely.declared => Some("bf-admin setup --only images --full".to_owned()),
            (_, Some(reference)) => Some(format!("bf-admin image pull {reference} --as {name} --force")),
            (_, None) => Some(format!("bf-admin image import FILE --as {name} --force")),
        }
    }

    /// Asks the registry what the tag stands for. What is wrong with the file stays the state.
    fn ask(&mut self, own: &LockedImage, place: &Place<'_>, pinned: bool, imported: bool) {
        let answer = match (&own.reference, &own.digest) {
            _ if pinned => Err("pinned by site.yaml: nothing else is ever fetched".to_owned()),
            // Its digest is a manifest's, and the tag may stand for an index that has it.
            _ if imported => Err("imported: it was made of no registry's image".to_owned()),
            (Some(reference), _) if reference.digest().is_some() => {
                Err("pinned: it has no tag that could move".to_owned())
            }
            (Some(reference), Some(digest)) => Ok((reference, digest)),
            (None, _) => Err("imported: it is of no registry".to_owned()),
            (_, None) => Err("of what it was made is not known, so nothing can be compared".to_owned()),
        };
        let (state, detail) = match answer {
            Err(remark) => (State::Ok, remark),
            Ok((reference, digest)) => match find(reference, place) {
                Ok(now) if now == *digest => (State::Ok, String::new()),
                Ok(now) => {
                    let detail = format!("{reference} is {} by now", now.short());
                    self.newer = Some(now);
                    (State::Outdated, detail)
                }
                Err(failure) => {
                    let detail = failure.message.clone();
                    self.failure = Some(failure);
                    (State::Unknown, detail)
                }
            },
        };
        if self.state == State::Ok {
            self.state = state;
            if !detail.is_empty() {
                self.detail = detail;
            }
        }
    }
}

/// What a tag stands for. A registry that is away is not waited for as long as for an image.
fn find(reference: &Reference, place: &Place<'_>) -> Result<Digest, Failure> {
    let mut options = place.registry(reference).options(place.environment);
    options.limits = Limits { tries: 3, ..options.limits };
    match convert::find(reference, &options) {
        Ok(found) => Ok(found.digest),
        Err(failure) => Err(convert::hinted(failure, reference, true)),
    }
}

/// What a file says of itself.
struct Found {
    signed: bool,
    /// Whether its record says that it was made of no registry's image.
    imported: bool,
    fault: Option<(State, String)>,
    remark: String,
}

fn of_file(path: &Path, own: &LockedImage, full: bool) -> Result<Found, SifError> {
    // Refuses what is no file, and what no runtime would mount.
    read(path).map_err(|error| SifError::Io(std::io::Error::other(error.to_string())))?;
    let file = bf_core::bounded::open(path, bf_core::bounded::Links::Refuse)?;
    let file = file.file();
    let table = Sif::read(&mut &*file, file.metadata()?.len())?;
    let mut found = Found {
        signed: table.objects.iter().any(sif::Object::is_signature),
        imported: false,
        fault: None,
        remark: String::new(),
    };
    match sif::provenance_of(file) {
        Ok(record) => {
            found.imported = record.source.is_none();
            found.fault = differs(&record, own).map(|why| (State::Drifted, why));
        }
        Err(SifError::NoProvenance) => "not made by bf-admin".clone_into(&mut found.remark),
        Err(error) => found.fault = Some((State::Damaged, error.to_string())),
    }
    if full && let Some(why) = damage(file, path, own)? {
        found.fault = Some((State::Damaged, why));
    }
    Ok(found)
}

/// What our record in a file says otherwise than site.lock. Of what was imported nothing is known but the file itself.
fn differs(record: &Provenance, own: &LockedImage) -> Option<String> {
    let digest = own.digest.as_ref()?;
    let of = record.source.as_ref().or(record.manifest.as_ref());
    if of != Some(digest) {
        let of = of.map_or("nothing that has a digest", |of| of.short());
        return Some(format!("its record says that it was made of {of} instead of {}", digest.short()));
    }
    if !is_same_compression(&record.compression, &own.compression) {
        let (is, was) = (&record.compression, &own.compression);
        return Some(format!("its record says that it is compressed with {is} instead of {was}"));
    }
    // Tags of one repository may stand for the same, and the lock has the one that was asked for last.
    let place = |reference: &Reference| (reference.registry().to_owned(), reference.repository().to_owned());
    let reference = own.reference.as_ref()?;
    (place(reference) != place(&record.reference))
        .then(|| format!("its record says that it is {} instead of {reference}", record.reference))
}

/// Whether two words mean the same compression. Locks of before levels were written down have none: any level is that one.
fn is_same_compression(one: &str, other: &str) -> bool {
    let without_level =
        |longer: &str, short: &str| longer.split_once(':').is_some_and(|(name, _)| name == short);
    one == other || without_level(one, other) || without_level(other, one)
}

/// Whether an image is there and may be kept: besides its link and length what a runtime reads first of its file, and our record in it.
/// Reads a few kilobytes, whatever its length.
pub(crate) fn kept(layout: &Layout, own: &LockedImage) -> Disk {
    let disk = facts::locked_image(layout, own, Depth::Quick);
    if !matches!(disk, Disk::Whole | Disk::Drifted(_)) {
        return disk;
    }
    match of_file(&layout.image_store().join(own.store_name()), own, false) {
        // A record of something else is in a file that is what site.lock says: to make it again would change nothing.
        Ok(found) => match found.fault {
            Some((State::Damaged, why)) => Disk::Damaged(why),
            _ => disk,
        },
        Err(error) => Disk::Damaged(format!("{} is damaged: {error}", own.store_name())),
    }
}

/// Which part of a file is not what it was.
fn damage(file: &std::fs::File, path: &Path, own: &LockedImage) -> Result<Option<String>, SifError> {
    let mut parts = match (&own.partition_sha256, &own.metadata_sha256) {
        (Some(partition), Some(metadata)) => {
            let is = sif::digests(file)?;
            let mut parts = Vec::new();
            if is.partition_sha256 != *partition {
                parts.push("the root filesystem".to_owned());
            }
            if is.metadata_sha256 != *metadata {
                parts.push("what is around the root filesystem".to_owned());
            }
            parts
        }
        // Of an older lock: then a signature shows as a change.
        _ if digest::of_file(path)?.0 == own.sha256 => Vec::new(),
        _ => vec!["its SHA-256".to_owned()],
    };
    if parts.is_empty() {
        return Ok(None);
    }
    // Our own record knows it more exactly.
    match sif::verify(file) {
        Ok(damage) if !damage.is_empty() => {
            parts = damage
                .iter()
                .map(|one| format!("{} (bytes {} to {})", one.part, one.bytes.start, one.bytes.end))
                .collect();
        }
        _ => {}
    }
    Ok(Some(format!("damaged: {}", parts.join(", "))))
}

/// How a command ends that has found this. Who only asked in vain is told that; damage and what is newer are findings.
pub(crate) fn exit(items: &[Verified]) -> Exit {
    let is_finding = |item: &Verified| !matches!(item.state, State::Ok | State::Unknown);
    if items.iter().any(is_finding) {
        Exit::Findings
    } else {
        items.iter().find_map(|item| item.failure.as_ref()).map_or(Exit::Ok, |_| Exit::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_without_a_level_means_any() {
        assert!(is_same_compression("zstd:8", "zstd") && is_same_compression("gzip", "gzip:7"));
        assert!(is_same_compression("zstd:8", "zstd:8"));
        for (one, other) in [("zstd:8", "zstd:6"), ("zstd:8", "gzip"), ("zstd", "gzip"), ("zstd:8", "zst")] {
            assert!(!is_same_compression(one, other), "{one} {other}");
        }
    }
}

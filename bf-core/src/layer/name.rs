//! The names of a tar's entries: their parts, and which of them mean a deletion.

use super::EntryFault;

/// The longest part of a name that filesystems store, in bytes.
const MAX_PART: usize = 255;
/// The longest name or link that the kernel takes, without the zero at its end.
pub(super) const MAX_LENGTH: usize = 4095;
/// The deepest folder.
pub(super) const MAX_DEPTH: usize = 1024;

/// Deletes what follows (image-spec, layer.md, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// Deletes all that is in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What AUFS keeps for itself.
const METADATA: &[u8] = b".wh..wh.";

/// What an entry's name says, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// Something is there.
    Present,
    /// What a lower layer has under this name in the same folder is gone.
    Whiteout(&'a [u8]),
    /// All that lower layers have in the folder is gone.
    Opaque,
    /// Nothing of the image.
    Metadata,
}

/// The parts of a name: none for the root. Leading slashes and `.` do not count.
pub(super) fn parts(name: &[u8]) -> Result<Vec<&[u8]>, EntryFault> {
    if name.is_empty() {
        return Err(EntryFault::Empty);
    }
    if name.contains(&0) {
        return Err(EntryFault::Zero);
    }
    let parts: Vec<&[u8]> =
        name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    let length = parts.iter().map(|part| part.len() + 1).sum::<usize>();
    if length > MAX_LENGTH + 1 || parts.len() > MAX_DEPTH {
        return Err(EntryFault::LongName);
    }
    for part in &parts {
        if *part == b".." {
            return Err(EntryFault::Parent);
        }
        if part.len() > MAX_PART {
            return Err(EntryFault::LongPart);
        }
    }
    Ok(parts)
}

/// What the parts of a name mean.
pub(super) fn meaning<'a>(parts: &[&'a [u8]]) -> Result<Meaning<'a>, EntryFault> {
    let Some((last, folders)) = parts.split_last() else { return Ok(Meaning::Present) };
    if folders.iter().any(|part| part.starts_with(METADATA)) {
        return Ok(Meaning::Metadata);
    }
    match last.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::Present),
        Some(_) if *last == OPAQUE => Ok(Meaning::Opaque),
        Some(_) if last.starts_with(METADATA) => Ok(Meaning::Metadata),
        Some(b"" | b"." | b"..") => Err(EntryFault::Whiteout),
        Some(name) => Ok(Meaning::Whiteout(name)),
    }
}

/// Whether a folder that no entry makes can have this name: one part, of a name or of the text of a link.
pub(super) fn storable(part: &[u8]) -> Result<(), EntryFault> {
    if part.starts_with(WHITEOUT) {
        return Err(EntryFault::Marker);
    }
    if part.len() > MAX_PART {
        return Err(EntryFault::LongPart);
    }
    Ok(())
}

/// The text of a symbolic link, as it is.
pub(super) fn target(text: &[u8]) -> Result<(), EntryFault> {
    match text {
        [] => Err(EntryFault::NoTarget),
        _ if text.contains(&0) => Err(EntryFault::Zero),
        _ if text.len() > MAX_LENGTH => Err(EntryFault::LongName),
        _ => Ok(()),
    }
}

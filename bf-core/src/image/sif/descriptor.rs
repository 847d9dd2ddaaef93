//! One object of a SIF, as its table describes it.

use super::{SifError, natural};

/// The filesystem of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// What images that were pulled have.
    Squashfs,
    /// Anything else that Apptainer can run: ext3, encrypted.
    Other,
}

/// The partition with the root filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is.
    pub size: u64,
    /// Its filesystem.
    pub filesystem: Filesystem,
    /// What it runs on, as `uname -m` says it; nothing where the code is not known.
    pub architecture: Option<&'static str>,
    /// `gzip`, `zstd`, ..., of a squashfs.
    pub compression: Option<&'static str>,
}

/// A used entry of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) kind: i32,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) primary: Option<Primary>,
}

impl Descriptor {
    /// Bytes of an entry.
    pub(super) const SIZE: usize = 585;
    /// Where the bytes begin whose meaning depends on the kind.
    const EXTRA: usize = 201;
    /// The text that it was made by.
    pub(super) const DEFINITION: i32 = 0x4001;
    const PARTITION: i32 = 0x4004;
    const PRIMARY: i32 = 2;
    const SQUASHFS: i32 = 1;

    /// Reads an entry of [`Self::SIZE`] bytes; nothing if it is not used.
    pub(super) fn read(raw: &[u8]) -> Result<Option<Self>, SifError> {
        if raw[4] == 0 {
            return Ok(None);
        }
        let (offset, size) = (natural(raw, 17)?, natural(raw, 25)?);
        let extra = &raw[Self::EXTRA..];
        let kind = number(raw, 0);
        let is_primary = kind == Self::PARTITION && number(extra, 4) == Self::PRIMARY;
        let primary = is_primary.then(|| Primary {
            offset,
            size,
            filesystem: match number(extra, 0) {
                Self::SQUASHFS => Filesystem::Squashfs,
                _ => Filesystem::Other,
            },
            architecture: architecture(&extra[8..11]),
            compression: None,
        });
        Ok(Some(Self { kind, offset, size, primary }))
    }
}

fn number(bytes: &[u8], at: usize) -> i32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    i32::from_le_bytes(raw)
}

fn architecture(code: &[u8]) -> Option<&'static str> {
    Some(match code {
        b"01\0" => "i686",
        b"02\0" => "x86_64",
        b"03\0" => "arm",
        b"04\0" => "aarch64",
        b"05\0" => "ppc64",
        b"06\0" => "ppc64le",
        b"11\0" => "s390x",
        b"12\0" => "riscv64",
        _ => return None,
    })
}

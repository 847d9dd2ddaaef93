//! What a writer can be told: the compression, the number of threads, the time.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use super::SquashfsError;

/// How blocks are compressed. Written as `gzip`, `gzip:6`, `zstd`, `zstd:6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zlib streams: every kernel and every squashfuse reads them. The level is libdeflate's, 1 to 12.
    Gzip(u8),
    /// Zstandard frames: several times faster to read. The level is 1 to 22.
    Zstd(i32),
}

impl Compression {
    /// What `gzip` stands for: the lowest level that makes no larger file than Apptainer, which takes zlib's highest.
    pub const GZIP: Self = Self::Gzip(7);
    /// What `zstd` stands for: the lowest level that makes no larger file than Apptainer.
    pub const ZSTD: Self = Self::Zstd(8);

    /// Whether the level is one that there is.
    pub(super) fn check(self) -> Result<(), SquashfsError> {
        match self {
            Self::Gzip(1..=12) | Self::Zstd(1..=22) => Ok(()),
            _ => Err(SquashfsError::Compression { given: self.to_string() }),
        }
    }
}

impl FromStr for Compression {
    type Err = SquashfsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || SquashfsError::Compression { given: text.chars().take(40).collect() };
        let (name, level) = match text.split_once(':') {
            // `u8::from_str` takes a sign; nobody who writes `zstd:+3` or `zstd:03` wants what they get.
            Some((name, digits))
                if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0') =>
            {
                (name, Some(digits.parse::<u8>().map_err(|_| unknown())?))
            }
            Some(_) => return Err(unknown()),
            None => (text, None),
        };
        let compression = match name {
            "gzip" => level.map_or(Self::GZIP, Self::Gzip),
            "zstd" => level.map_or(Self::ZSTD, |level| Self::Zstd(level.into())),
            _ => return Err(unknown()),
        };
        compression.check().map_err(|_| unknown())?;
        Ok(compression)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip(level) => write!(f, "gzip:{level}"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// How to write.
#[derive(Debug, Clone)]
pub struct Options {
    /// For data and for the tables.
    pub compression: Compression,
    /// Threads that compress. One more writes, which takes little time, and the caller's reads.
    pub threads: NonZeroUsize,
    /// When the filesystem was made, in seconds since 1970: of the superblock alone, inodes have their own.
    pub mtime: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_read_and_said_alike() {
        for (text, compression) in [
            ("gzip", Compression::Gzip(7)),
            ("gzip:12", Compression::Gzip(12)),
            ("zstd", Compression::Zstd(8)),
            ("zstd:22", Compression::Zstd(22)),
        ] {
            assert_eq!(text.parse::<Compression>().unwrap(), compression);
            assert_eq!(compression.to_string().parse::<Compression>().unwrap(), compression);
        }
    }

    #[test]
    fn errors_say_what_is_allowed() {
        for text in [
            "", "xz", "gzip:", "gzip:0", "gzip:13", "zstd:23", "zstd:-1", "zstd:+3", "zstd:03", "Zstd",
            "gzip:6:6",
        ] {
            let error = text.parse::<Compression>().unwrap_err().to_string();
            assert!(error.contains("gzip:1") && error.contains("zstd:22"), "{error}");
        }
    }
}

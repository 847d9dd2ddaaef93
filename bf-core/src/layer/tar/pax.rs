//! Extended headers: records `LENGTH KEY=VALUE\n` that say what a header has no room for.

use std::collections::BTreeMap;

use super::sparse::{MAX_PIECES, MapError, Pieces};
use super::{MAX_SIZE, TarError, header};

/// The largest extended header, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// The most bytes that the names of one entry's extended attributes, with a zero behind each, and their values have. In Linux the
/// names of a file have at most as many together, and so has one value.
const MAX_XATTRS: usize = 64 * 1024;

/// What extended headers have said.
#[derive(Debug, Clone, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<u32>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: Sparse,
}

/// What they have said of a sparse file.
#[derive(Debug, Clone, Default)]
pub(super) struct Sparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// The size as version 1.0 has it, and as the versions before.
    pub(super) real_size: Option<u64>,
    size: Option<u64>,
    count: Option<u64>,
    /// Offsets and lengths in turn, as the versions 0.0 and 0.1 have them.
    numbers: Vec<u64>,
}

impl Sparse {
    /// Size and pieces as the versions 0.0 and 0.1 say them.
    pub(super) fn old(&self) -> Result<Option<(u64, Pieces)>, TarError> {
        let Some(size) = self.size.or(self.real_size) else {
            if self.numbers.is_empty() {
                return Ok(None);
            }
            return Err(TarError::malformed("a sparse file has no size"));
        };
        let pieces: Pieces =
            self.numbers.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect();
        let odd = self.numbers.len() % 2 == 1;
        if odd || self.count.is_some_and(|count| count != pieces.len() as u64) {
            return Err(TarError::malformed("a sparse file's map has not as many pieces as it says"));
        }
        Ok(Some((size, pieces)))
    }

    fn push(&mut self, number: u64) -> Result<(), TarError> {
        if self.numbers.len() >= 2 * MAX_PIECES {
            return Err(MapError::TooMany.into());
        }
        self.numbers.push(number);
        Ok(())
    }
}

impl Pax {
    /// Takes a header's records. One without a value takes back what was said before.
    pub(super) fn take(&mut self, mut text: &[u8]) -> Result<(), TarError> {
        const BAD: TarError = TarError::Malformed { reason: "an extended header has a bad record" };
        while !text.is_empty() {
            let space = text.iter().take(8).position(|byte| *byte == b' ').ok_or(BAD)?;
            let (digits, _) = text.split_at(space);
            let length = usize::try_from(decimal(digits)?).map_err(|_| BAD)?;
            let record =
                text.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(BAD)?;
            let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0).ok_or(BAD)?;
            let (key, value) = record.split_at(equals);
            self.record(key, value.get(1..).unwrap_or_default())?;
            text = text.get(length..).unwrap_or_default();
        }
        let bytes: usize = self.xattrs.iter().map(|(name, value)| name.len() + 1 + value.len()).sum();
        if bytes > MAX_XATTRS {
            let limit = MAX_XATTRS as u64;
            return Err(TarError::TooLarge { what: "bytes of extended attributes", limit });
        }
        Ok(())
    }

    /// Takes the records of a global header, which holds for all entries that follow.
    ///
    /// Of these only owner and time can be the same for many. A name, a link's target, a size, a sparse file's map or attributes for
    /// everything is what nobody writes but to make much of little; they are ignored. GNU tar would take them over; Go's
    /// `archive/tar` takes over nothing from a global header.
    pub(super) fn take_global(&mut self, text: &[u8]) -> Result<(), TarError> {
        self.take(text)?;
        *self = Self { uid: self.uid, gid: self.gid, mtime: self.mtime, ..Self::default() };
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        let bytes = || (!value.is_empty()).then(|| value.to_vec());
        let number = || (!value.is_empty()).then(|| decimal(value)).transpose();
        let owner = || number()?.map(|id| header::owner(i64::try_from(id).unwrap_or(i64::MAX))).transpose();
        match key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.link = bytes(),
            b"size" => {
                self.size = number()?;
                if self.size.is_some_and(|size| size > MAX_SIZE) {
                    return Err(TarError::TooLarge { what: "bytes of a file", limit: MAX_SIZE });
                }
            }
            b"uid" => self.uid = owner()?,
            b"gid" => self.gid = owner()?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(seconds(value)?) },
            b"GNU.sparse.major" => self.sparse.major = number()?,
            b"GNU.sparse.minor" => self.sparse.minor = number()?,
            b"GNU.sparse.name" => self.sparse.name = bytes(),
            b"GNU.sparse.realsize" => self.sparse.real_size = number()?,
            b"GNU.sparse.size" => self.sparse.size = number()?,
            b"GNU.sparse.numblocks" => self.sparse.count = number()?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let lengths = key.ends_with(b"numbytes");
                if lengths == self.sparse.numbers.len().is_multiple_of(2) {
                    return Err(TarError::malformed("a sparse file's map is not in order"));
                }
                self.sparse.push(decimal(value)?)?;
            }
            b"GNU.sparse.map" => {
                self.sparse.numbers.clear();
                for part in value.split(|byte| *byte == b',').filter(|_| !value.is_empty()) {
                    self.sparse.push(decimal(part)?)?;
                }
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.insert(name.to_vec(), value.to_vec());
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    // Who writes both says the same twice, and the other one needs no decoding.
                    let value = base64(value)?;
                    self.xattrs.entry(unescaped(name)?).or_insert(value);
                }
            }
        }
        Ok(())
    }
}

fn decimal(digits: &[u8]) -> Result<u64, TarError> {
    const BAD: TarError = TarError::Malformed { reason: "an extended header has a bad number" };
    if digits.is_empty() {
        return Err(BAD);
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => {
            value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0'))).ok_or(BAD)
        }
        _ => Err(BAD),
    })
}

/// Seconds with a sign and a fraction, which is cut off.
fn seconds(value: &[u8]) -> Result<u32, TarError> {
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |rest| (true, rest));
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let whole = decimal(parts.next().unwrap_or_default())?;
    if parts.next().is_some_and(|fraction| !fraction.iter().all(u8::is_ascii_digit)) {
        return Err(TarError::malformed("an extended header has a bad time"));
    }
    Ok(if negative { 0 } else { u32::try_from(whole).unwrap_or(u32::MAX) })
}

/// What `%41` and the like stand for.
fn unescaped(name: &[u8]) -> Result<Vec<u8>, TarError> {
    const BAD: TarError =
        TarError::Malformed { reason: "the name of an extended attribute is badly escaped" };
    let mut result = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' {
            let mut digit = || {
                rest.next()
                    .and_then(|digit| char::from(*digit).to_digit(16))
                    .and_then(|digit| u8::try_from(digit).ok())
            };
            let (high, low) = (digit().ok_or(BAD)?, digit().ok_or(BAD)?);
            result.push(high << 4 | low);
        } else {
            result.push(*byte);
        }
    }
    Ok(result)
}

/// Base64 with or without its padding.
fn base64(text: &[u8]) -> Result<Vec<u8>, TarError> {
    const BAD: TarError = TarError::Malformed { reason: "the value of an extended attribute is bad base64" };
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let (digits, padding) = text.split_at(end);
    if padding.len() > 2 || padding.iter().any(|byte| *byte != b'=') || digits.len() % 4 == 1 {
        return Err(BAD);
    }
    let mut result = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut value) = (0, 0_u32);
    for digit in digits {
        let six = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(BAD),
        };
        value = (value << 6 | u32::from(six)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            result.push((value >> bits & 0xff) as u8);
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_and_escapes_are_decoded() {
        for (text, bytes) in
            [("", &b""[..]), ("TQ==", b"M"), ("TWE", b"Ma"), ("TWFu", b"Man"), ("//79", b"\xff\xfe\xfd")]
        {
            assert_eq!(base64(text.as_bytes()).unwrap(), bytes, "{text}");
        }
        assert!(base64(b"T").is_err() && base64(b"T*==").is_err() && base64(b"TQ===").is_err());
        assert_eq!(unescaped(b"user.a%3Db").unwrap(), b"user.a=b");
        assert!(unescaped(b"a%4").is_err() && unescaped(b"%zz").is_err());
    }

    #[test]
    fn times_are_cut_and_brought_into_range() {
        for (text, value) in [("12.9", 12), ("-3.5", 0), ("99999999999", u32::MAX), ("0", 0)] {
            assert_eq!(seconds(text.as_bytes()).unwrap(), value, "{text}");
        }
        assert!(seconds(b"1e9").is_err() && seconds(b"").is_err() && seconds(b"1.x").is_err());
    }

    #[test]
    fn records_that_do_not_fit_are_refused() {
        for bad in [
            "5 a=b\n",
            "7 a=b\n",
            "6 a=b ",
            "x a=b\n",
            "6 =ab\n",
            "4 a\n",
            "99999999 a=b\n",
            "0 a=b\n",
            "12 size=-5x\n",
        ] {
            assert!(Pax::default().take(bad.as_bytes()).is_err(), "{bad}");
        }
        let mut pax = Pax::default();
        pax.take(b"6 a=b\n13 path=x/yz\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"x/yz"[..]));
        pax.take(b"8 path=\n").unwrap();
        assert_eq!(pax.path, None);
    }
}

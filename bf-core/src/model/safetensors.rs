//! Reads the header of a safetensors file: how many parameters of which type, and whether the file is whole.
//!
//! Format: <https://huggingface.co/docs/safetensors>. Eight bytes, little endian, are the length N of the header; N bytes of
//! JSON follow, `{"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}`; then the data,
//! which the tensors must cover without holes. The header is parsed as a stream and nothing of it is kept but sums,
//! so a hostile one costs time in proportion to the file and memory only for its longest string.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::HeaderError;
use super::header::LFS_POINTER;

/// The longest header in bytes: what the safetensors library itself refuses to exceed.
const MAX_HEADER: u64 = 100_000_000;

/// The longest name of a type that counts as one, in bytes.
const MAX_DTYPE: usize = 16;

/// The most different types in one file; the format has fewer than 25.
const MAX_DTYPES: usize = 64;

/// The most dimensions of a tensor.
const MAX_DIMS: usize = 32;

/// What a header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many tensors there are.
    pub tensors: u64,
    /// How many parameters there are of each type, by the format's names (`BF16`).
    pub by_dtype: BTreeMap<String, u64>,
}

impl Summary {
    /// All parameters; as in every tool, packed ones (GPTQ, AWQ) count once a stored number.
    pub fn parameters(&self) -> u64 {
        self.by_dtype.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The type of most parameters, ties by name.
    pub fn dominant_dtype(&self) -> Option<&str> {
        self.by_dtype.iter().rev().max_by_key(|(_, count)| **count).map(|(dtype, _)| dtype.as_str())
    }

    /// Adds what another file of the same model has.
    pub fn add(&mut self, other: &Self) {
        self.tensors = self.tensors.saturating_add(other.tensors);
        for (dtype, count) in &other.by_dtype {
            let sum = self.by_dtype.entry(dtype.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

/// Reads the header of the file at `path` and compares it with the file's length.
///
/// # Errors
/// [`HeaderError`] when the file cannot be read or is not a whole safetensors file.
pub fn read(path: &Path) -> Result<Summary, HeaderError> {
    let file = crate::bounded::open(path, crate::bounded::Links::Follow)?;
    let bytes = file.metadata()?.len();
    read_from(BufReader::new(file), bytes)
}

/// Reads a header from `reader`, the begin of a file of `bytes` bytes.
///
/// # Errors
/// As [`read`].
pub fn read_from(mut reader: impl Read, bytes: u64) -> Result<Summary, HeaderError> {
    if bytes < 8 {
        return Err(HeaderError::Truncated { bytes, needed: 8 });
    }
    let mut length = [0; 8];
    reader.read_exact(&mut length)?;
    if length == LFS_POINTER {
        return Err(HeaderError::LfsPointer);
    }
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(HeaderError::Malformed { reason: "its header would be longer than 100 MB", at: 0 });
    }
    if length > bytes - 8 {
        return Err(HeaderError::Truncated { bytes, needed: length + 8 });
    }
    let mut json = serde_json::Deserializer::from_reader(reader.take(length));
    let layout = Layout::deserialize(&mut json)
        .and_then(|layout| json.end().map(|()| layout))
        .map_err(|source| HeaderError::Json { source })?;
    let expected = (length + 8).saturating_add(layout.end);
    if bytes < expected {
        return Err(HeaderError::Truncated { bytes, needed: expected });
    }
    if bytes > expected {
        return Err(HeaderError::TooLong { bytes, expected });
    }
    if layout.covered != layout.end {
        return Err(HeaderError::Malformed { reason: "its tensors overlap or leave holes", at: length + 8 });
    }
    Ok(layout.summary)
}

/// The sums over all tensors, filled while the JSON streams by.
#[derive(Default)]
struct Layout {
    summary: Summary,
    /// Where the last tensor ends, in bytes from the begin of the data.
    end: u64,
    /// The lengths of all tensors, in bytes.
    covered: u64,
}

impl<'de> Deserialize<'de> for Layout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LayoutVisitor)
    }
}

struct LayoutVisitor;

impl<'de> Visitor<'de> for LayoutVisitor {
    type Value = Layout;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Layout, A::Error> {
        let mut layout = Layout::default();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            layout.tensor(&map.next_value::<Tensor>()?).map_err(A::Error::custom)?;
        }
        Ok(layout)
    }
}

impl Layout {
    fn tensor(&mut self, tensor: &Tensor) -> Result<(), &'static str> {
        let [begin, end] = tensor.data_offsets;
        let length = end.checked_sub(begin).ok_or("a tensor ends before it begins")?;
        let elements = tensor.shape.elements;
        if let Some(bits) = bits(&tensor.dtype) {
            let wanted = elements.checked_mul(bits).ok_or("a tensor is impossibly large")?.div_ceil(8);
            if wanted != length {
                return Err("a tensor's shape and its length in bytes differ");
            }
        }
        if tensor.dtype.len() > MAX_DTYPE
            || !tensor.dtype.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            return Err("a tensor's type has no usable name");
        }
        if !self.summary.by_dtype.contains_key(&tensor.dtype) && self.summary.by_dtype.len() >= MAX_DTYPES {
            return Err("there are too many different types");
        }
        let count = self.summary.by_dtype.entry(tensor.dtype.clone()).or_default();
        *count = count.saturating_add(elements);
        self.summary.tensors += 1;
        self.end = self.end.max(end);
        self.covered = self.covered.checked_add(length).ok_or("the tensors are impossibly large")?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

/// The product of a shape's dimensions; the dimensions themselves are not kept.
struct Shape {
    elements: u64,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut elements: u64 = 1;
        let mut dims = 0;
        while let Some(dim) = seq.next_element::<u64>()? {
            dims += 1;
            elements = elements
                .checked_mul(dim)
                .filter(|_| dims <= MAX_DIMS)
                .ok_or_else(|| A::Error::custom("a tensor is impossibly large"))?;
        }
        Ok(Shape { elements })
    }
}

/// Bits of one parameter, where we know the type (safetensors 0.7, `tensor.rs`).
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::testing::safetensors;

    fn parse(bytes: &[u8]) -> Result<Summary, HeaderError> {
        read_from(bytes, bytes.len() as u64)
    }

    fn with_header(json: &str, data: usize) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    #[test]
    fn parameters_are_counted_by_type() {
        let summary =
            parse(&safetensors(&[("a", "BF16", &[4, 8]), ("b", "F32", &[3]), ("c", "BF16", &[])])).unwrap();
        assert_eq!(summary.parameters(), 36);
        assert_eq!(summary.dominant_dtype(), Some("BF16"));
        assert_eq!(summary.tensors, 3);
        let mut both = summary.clone();
        both.add(&summary);
        assert_eq!(both.parameters(), 72);
        assert_eq!(parse(&safetensors(&[])).unwrap().dominant_dtype(), None);
    }

    #[test]
    fn cut_and_grown_files_are_told() {
        let whole = safetensors(&[("a", "F16", &[16])]);
        for length in 0..whole.len() {
            let error = parse(&whole[..length]).unwrap_err();
            assert!(matches!(error, HeaderError::Truncated { .. }), "{length}: {error}");
        }
        let mut grown = whole;
        grown.push(0);
        assert!(matches!(parse(&grown), Err(HeaderError::TooLong { .. })));
    }

    #[test]
    fn hostile_headers_are_refused() {
        let dims = vec!["1"; 100].join(",");
        for json in [
            r#"{"a":{"dtype":"F16","shape":[18446744073709551615,2],"data_offsets":[0,4]}}"#.to_owned(),
            r#"{"a":{"dtype":"F16","shape":[18446744073709551615],"data_offsets":[0,4]}}"#.into(),
            r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[4,0]}}"#.into(),
            r#"{"a":{"dtype":"F16","shape":[3],"data_offsets":[0,4]}}"#.into(),
            r#"{"a":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}"#.into(),
            r#"{"a":{"dtype":"F16","shape":[-2],"data_offsets":[0,4]}}"#.into(),
            r#"{"a":{"dtype":"\u001b[2J","shape":[2],"data_offsets":[0,4]}}"#.into(),
            format!(r#"{{"a":{{"dtype":"F16","shape":[{dims}],"data_offsets":[0,4]}}}}"#),
            "[".repeat(10_000),
            "{} {}".into(),
            "null".into(),
        ] {
            assert!(parse(&with_header(&json, 4)).is_err(), "{json}");
        }
        assert!(matches!(
            parse(b"version https://git-lfs.github.com/spec/v1\n"),
            Err(HeaderError::LfsPointer)
        ));
        assert!(matches!(parse(&[0xff; 64]), Err(HeaderError::Malformed { .. })));
    }

    #[test]
    fn a_type_of_the_future_is_counted() {
        let json =
            r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F2","shape":[16],"data_offsets":[0,4]}}  "#;
        assert_eq!(parse(&with_header(json, 4)).unwrap().parameters(), 16);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_header_makes_it_panic(json in "[\\[\\]{}\":,a-f0-9 ]{0,80}", data in 0_usize..9) {
            let _ = parse(&with_header(&json, data));
        }

        #[test]
        fn no_change_to_a_valid_file_makes_it_panic(at in 0_usize..400, to in any::<u8>(), cut in 0_usize..400) {
            let mut bytes = safetensors(&[("a", "BF16", &[4, 8]), ("b", "F32", &[3])]);
            let at = at % bytes.len();
            bytes[at] = to;
            bytes.truncate(bytes.len() - cut % bytes.len());
            if let Ok(summary) = parse(&bytes) {
                prop_assert!(summary.tensors <= 2);
            }
        }
    }
}

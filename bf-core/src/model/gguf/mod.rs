//! Reads the header of a GGUF file: what the model is, how it is quantised, and whether the file is whole.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little endian. `GGUF`, a u32
//! version, u64 counts of tensors and of metadata entries; the entries (string key, u32 type, value); for each tensor its name,
//! u32 count of dimensions, u64 dimensions, u32 type and u64 offset from the data's begin, which is the header's end
//! rounded up to `general.alignment`. Of all this only a few short values are kept: memory stays below
//! [`MAX_TEXT`] a value and [`MAX_TYPES`] sums, and time is bounded by [`MAX_HEADER`], whatever a file claims.

mod quant;
mod reader;
mod shape;

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use self::reader::{Reader, Value};
use super::HeaderError;
pub use quant::{file_type_name, label_in_name};
pub use shape::Shape;

/// The longest header that is read, in bytes; vocabularies make some as long as 20 MB.
pub const MAX_HEADER: u64 = 256_000_000;

/// The longest text that is kept, in bytes.
pub const MAX_TEXT: u64 = 1024;

/// The most different tensor types in one file; ggml has about 40.
pub const MAX_TYPES: usize = 256;

/// The most metadata entries; real files have fewer than 100.
const MAX_ENTRIES: u64 = 65_536;

/// The most tensors; real files have fewer than 10 000.
const MAX_TENSORS: u64 = 1_000_000;

/// The longest metadata key, as the format says, in bytes.
const MAX_KEY: u64 = 65_535;

/// The most dimensions of a tensor; ggml has 4.
const MAX_DIMS: u32 = 8;

/// Where data begins is a multiple of this, in bytes, unless the file says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// What a header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// `general.architecture`: `llama`, `qwen2`, ...
    pub architecture: Option<String>,
    /// `general.name`.
    pub name: Option<String>,
    /// `general.license`.
    pub license: Option<String>,
    /// `<architecture>.context_length`, in tokens.
    pub context_length: Option<u64>,
    /// The name of `general.file_type`, else of the type of most parameters: `Q4_K_M`.
    pub quantisation: Option<String>,
    /// What its layers are like.
    pub shape: Shape,
    /// How many tensors there are.
    pub tensors: u64,
    /// How many parameters there are.
    pub parameters: u64,
}

/// Reads the header of the file at `path` and compares it with the file's length.
///
/// # Errors
/// [`HeaderError`] when the file cannot be read or is not a whole GGUF file.
pub fn read(path: &Path) -> Result<Summary, HeaderError> {
    let file = crate::bounded::open(path, crate::bounded::Links::Follow)?;
    let bytes = file.metadata()?.len();
    read_from(BufReader::with_capacity(64 * 1024, file), bytes)
}

/// Reads a header from `reader`, the begin of a file of `bytes` bytes.
///
/// # Errors
/// As [`read`].
pub fn read_from(reader: impl Read, bytes: u64) -> Result<Summary, HeaderError> {
    let mut reader = Reader::new(reader, bytes, MAX_HEADER);
    let (tensors, entries) = preamble(&mut reader)?;
    let mut facts = Facts::default();
    for _ in 0..entries {
        entry(&mut reader, &mut facts)?;
    }
    let mut layout = Layout::default();
    for _ in 0..tensors {
        tensor(&mut reader, &mut layout)?;
    }
    layout.check(reader.position(), facts.alignment()?, bytes)?;
    Ok(facts.summary(tensors, &layout))
}

/// The counts of tensors and of metadata entries.
fn preamble(reader: &mut Reader<impl Read>) -> Result<(u64, u64), HeaderError> {
    let magic: [u8; 4] = reader.bytes()?;
    if magic[..] == super::header::LFS_POINTER[..4] {
        return Err(HeaderError::LfsPointer);
    }
    if &magic != b"GGUF" {
        return Err(HeaderError::Malformed { reason: "it does not begin with GGUF", at: 0 });
    }
    match reader.u32()? {
        2 | 3 => {}
        1 => return Err(HeaderError::Unsupported { what: "GGUF version 1" }),
        version if version.swap_bytes() <= 16 => {
            return Err(HeaderError::Unsupported { what: "big endian GGUF" });
        }
        _ => return Err(HeaderError::Unsupported { what: "this version of GGUF" }),
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    if tensors > MAX_TENSORS {
        return Err(HeaderError::Malformed { reason: "it claims more than a million tensors", at: 8 });
    }
    if entries > MAX_ENTRIES {
        return Err(HeaderError::Malformed { reason: "it claims more than 65536 metadata entries", at: 16 });
    }
    Ok((tensors, entries))
}

/// The few metadata values that are kept.
#[derive(Default)]
struct Facts {
    architecture: Option<String>,
    name: Option<String>,
    license: Option<String>,
    file_type: Option<u64>,
    alignment: Option<u64>,
    /// Of all architectures: which one counts may come later than its numbers.
    shape: Shape,
}

fn entry(reader: &mut Reader<impl Read>, facts: &mut Facts) -> Result<(), HeaderError> {
    let key = reader.text(MAX_KEY, true)?.unwrap_or_default();
    let value = reader.value()?;
    match (key.as_str(), value) {
        ("general.architecture", Value::Text(text)) => facts.architecture = text,
        ("general.name", Value::Text(text)) => facts.name = text,
        ("general.license", Value::Text(text)) => facts.license = text,
        ("general.file_type", Value::Number(number)) => facts.file_type = Some(number),
        ("general.alignment", Value::Number(number)) => facts.alignment = Some(number),
        (_, Value::Number(number)) if Shape::keeps(&key) => facts.shape.add(key, vec![number]),
        (_, Value::Numbers(numbers)) if Shape::keeps(&key) => facts.shape.add(key, numbers),
        _ => {}
    }
    Ok(())
}

impl Facts {
    /// In bytes, a power of two.
    fn alignment(&self) -> Result<u64, HeaderError> {
        let alignment = self.alignment.unwrap_or(DEFAULT_ALIGNMENT);
        if alignment.is_power_of_two() && alignment <= 1 << 20 {
            return Ok(alignment);
        }
        Err(HeaderError::Malformed { reason: "its alignment is no power of two up to 1 MiB", at: 0 })
    }

    fn summary(mut self, tensors: u64, layout: &Layout) -> Summary {
        let shape = std::mem::take(&mut self.shape).of(self.architecture.as_deref().unwrap_or_default());
        let quantisation = self.file_type.and_then(file_type_name).or_else(|| layout.dominant_type());
        Summary {
            architecture: self.architecture,
            name: self.name,
            license: self.license,
            context_length: shape.one("context_length"),
            shape,
            quantisation: quantisation.map(str::to_owned),
            tensors,
            parameters: layout.parameters.values().fold(0, |sum, count| sum.saturating_add(*count)),
        }
    }
}

/// The sums over all tensors.
#[derive(Default)]
struct Layout {
    /// How many parameters there are of each ggml type.
    parameters: BTreeMap<u32, u64>,
    /// Where the last tensor whose type we know ends, in bytes from the data's begin.
    end: u64,
}

fn tensor(reader: &mut Reader<impl Read>, layout: &mut Layout) -> Result<(), HeaderError> {
    reader.text(MAX_KEY, false)?;
    let dims = reader.u32()?;
    if dims > MAX_DIMS {
        return Err(reader.malformed("a tensor has more than 8 dimensions"));
    }
    let mut elements: u64 = 1;
    for _ in 0..dims {
        let dim = reader.u64()?;
        elements =
            elements.checked_mul(dim).ok_or_else(|| reader.malformed("a tensor is impossibly large"))?;
    }
    let (kind, offset) = (reader.u32()?, reader.u64()?);
    if layout.parameters.len() >= MAX_TYPES && !layout.parameters.contains_key(&kind) {
        return Err(reader.malformed("there are too many different types"));
    }
    let count = layout.parameters.entry(kind).or_default();
    *count = count.saturating_add(elements);
    if let Some((block, bytes)) = quant::block(kind) {
        let end = elements.div_ceil(block).checked_mul(bytes).and_then(|length| offset.checked_add(length));
        layout.end = layout.end.max(end.ok_or_else(|| reader.malformed("a tensor is impossibly large"))?);
    }
    Ok(())
}

impl Layout {
    /// Compares where the tensors end with the file's length, both in bytes.
    fn check(&self, header: u64, alignment: u64, bytes: u64) -> Result<(), HeaderError> {
        if self.end == 0 {
            return Ok(());
        }
        let needed = header.next_multiple_of(alignment).saturating_add(self.end);
        if needed > bytes {
            return Err(HeaderError::Truncated { bytes, needed });
        }
        Ok(())
    }

    fn dominant_type(&self) -> Option<&'static str> {
        let (kind, _) = self.parameters.iter().max_by_key(|(_, count)| **count)?;
        quant::type_name(*kind)
    }
}

#[cfg(test)]
mod tests;

//! Builders of small files and caches for the tests of this module.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Location, Root};

/// A whole safetensors file of tensors given as (name, type, shape).
pub(crate) fn safetensors(tensors: &[(&str, &str, &[u64])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, dtype, shape) in tensors {
        let width = if *dtype == "F32" { 4 } else { 2 };
        let begin = end;
        end += shape.iter().product::<u64>() * width;
        let tensor = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]});
        header.insert((*name).to_owned(), tensor);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.resize(bytes.len() + usize::try_from(end).unwrap(), 0);
    bytes
}

/// A whole GGUF file, version 3. Tensor types: 0 (`F32`), 3 (`Q4_1`), 14 (`Q6_K`), or unknown ones, which take no data.
pub(crate) struct Gguf {
    entries: Vec<u8>,
    entry_count: u64,
    tensors: Vec<u8>,
    tensor_count: u64,
    data: u64,
    alignment: u64,
}

impl Gguf {
    pub(crate) fn new() -> Self {
        Self { entries: vec![], entry_count: 0, tensors: vec![], tensor_count: 0, data: 0, alignment: 32 }
    }

    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key, 8);
        string(&mut self.entries, value);
        self
    }

    pub(crate) fn number(mut self, key: &str, value: u32) -> Self {
        self.key(key, 4);
        self.entries.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn numbers(mut self, key: &str, values: &[i32]) -> Self {
        self.key(key, 9);
        self.entries.extend(5_u32.to_le_bytes());
        self.entries.extend((values.len() as u64).to_le_bytes());
        for value in values {
            self.entries.extend(value.to_le_bytes());
        }
        self
    }

    pub(crate) fn texts(mut self, key: &str, values: &[&str]) -> Self {
        self.key(key, 9);
        self.entries.extend(8_u32.to_le_bytes());
        self.entries.extend((values.len() as u64).to_le_bytes());
        for value in values {
            string(&mut self.entries, value);
        }
        self
    }

    pub(crate) fn alignment(mut self, bytes: u32) -> Self {
        self.alignment = u64::from(bytes);
        self.number("general.alignment", bytes)
    }

    pub(crate) fn tensor(mut self, name: &str, dims: &[u64], kind: u32) -> Self {
        string(&mut self.tensors, name);
        self.tensors.extend(u32::try_from(dims.len()).unwrap().to_le_bytes());
        for dim in dims {
            self.tensors.extend(dim.to_le_bytes());
        }
        self.tensors.extend(kind.to_le_bytes());
        let offset = self.data.next_multiple_of(self.alignment);
        self.tensors.extend(offset.to_le_bytes());
        let elements = dims.iter().fold(1_u64, |product, dim| product.saturating_mul(*dim));
        let length = match kind {
            0 => elements.saturating_mul(4),
            3 => elements / 32 * 20,
            14 => elements / 256 * 210,
            _ => 0,
        };
        self.data = offset.saturating_add(length);
        self.tensor_count += 1;
        self
    }

    pub(crate) fn bytes_without_data(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(self.tensor_count.to_le_bytes());
        bytes.extend(self.entry_count.to_le_bytes());
        bytes.extend(&self.entries);
        bytes.extend(&self.tensors);
        bytes
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes_without_data();
        if self.data > 0 {
            let begin = (bytes.len() as u64).next_multiple_of(self.alignment);
            bytes.resize(usize::try_from(begin + self.data).unwrap(), 0);
        }
        bytes
    }

    fn key(&mut self, key: &str, kind: u32) {
        string(&mut self.entries, key);
        self.entries.extend(kind.to_le_bytes());
        self.entry_count += 1;
    }
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A cache in a temporary folder.
pub(crate) struct Cache(TempDir);

impl Cache {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn root(&self, location: Location) -> Root {
        Root { path: self.0.path().to_owned(), location }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Adds a file as the Hub's clients do: a blob, and a relative link to it in the snapshot.
    pub(crate) fn linked(&self, model: &str, commit: &str, file: &str, content: &[u8]) -> &Self {
        let folder = self.path(model);
        let blob = format!("{:x}{}", content.len(), file.replace('/', "-"));
        write(&folder.join("blobs").join(&blob), content);
        let link = folder.join("snapshots").join(commit).join(file);
        fs_err::create_dir_all(link.parent().unwrap()).unwrap();
        let up = "../".repeat(file.matches('/').count() + 2);
        symlink(format!("{up}blobs/{blob}"), link).unwrap();
        self
    }

    /// Adds a real file below the cache.
    pub(crate) fn file(&self, below: &str, content: &[u8]) -> &Self {
        write(&self.path(below), content);
        self
    }

    /// Adds a link below the cache.
    pub(crate) fn link(&self, below: &str, target: &str) -> &Self {
        let link = self.path(below);
        fs_err::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
        self
    }

    /// Makes a snapshot as old as `seconds` after 1970, so that the newest one is certain.
    pub(crate) fn age(&self, below: &str, seconds: u64) -> &Self {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs_err::File::open(self.path(below)).unwrap().into_parts().0.set_modified(time).unwrap();
        self
    }
}

fn write(path: &Path, content: &[u8]) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, content).unwrap();
}

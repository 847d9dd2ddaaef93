//! Layers made by hand, a place in memory for their contents, and what comes of them as text.

pub(super) mod build;
mod hostile;
mod oracle;
mod random;
mod rules;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Cursor;

use super::*;
use crate::digest::of_bytes;
use crate::squashfs::{InodeId, Kind};
use build::Tar;

/// The contents of files in memory, in the order in which they came.
#[derive(Debug, Default)]
struct Memory {
    files: Vec<Vec<u8>>,
}

struct MemoryFile<'a> {
    memory: &'a mut Memory,
    bytes: Vec<u8>,
}

impl Contents for Memory {
    type Error = Infallible;
    type File<'a> = MemoryFile<'a>;

    fn begin(&mut self) -> Result<MemoryFile<'_>, Infallible> {
        Ok(MemoryFile { memory: self, bytes: Vec::new() })
    }
}

impl FileContents for MemoryFile<'_> {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn hole(&mut self, bytes: u64) -> Result<(), Infallible> {
        // What a test of absurd sizes asks for is not made.
        let length = self.bytes.len() + usize::try_from(bytes.min(1 << 20)).unwrap();
        self.bytes.resize(length, 0);
        Ok(())
    }

    fn finish(self) -> Result<Content, Infallible> {
        self.memory.files.push(self.bytes);
        Ok(Content::numbered(u32::try_from(self.memory.files.len() - 1).unwrap()))
    }
}

/// Layers in memory, the lowest first, as they are stored and as they are unpacked.
struct Stored(Vec<(Vec<u8>, Digest)>);

impl Source for Stored {
    type Error = Infallible;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn open(&mut self, index: usize) -> Result<Layer<'_>, Infallible> {
        let (bytes, diff_id) = &self.0[index];
        let name = format!("layer{index}");
        Ok(whole(Box::new(Cursor::new(bytes)), diff_id.clone(), name))
    }
}

/// A layer of which no read waits.
fn whole(input: Box<dyn Read + Send + '_>, diff_id: Digest, name: String) -> Layer<'_> {
    Layer { input, diff_id, name, stop: Box::new(|| ()) }
}

fn diff_id(tar: &[u8]) -> Digest {
    format!("sha256:{}", of_bytes(tar)).parse().unwrap()
}

fn stored(layers: Vec<Vec<u8>>) -> Stored {
    Stored(layers.into_iter().map(|tar| (tar.clone(), diff_id(&tar))).collect())
}

fn error(result: ApplyError<Infallible, Infallible>) -> LayerError {
    match result {
        ApplyError::Layer(error) => error,
        ApplyError::Source(never) | ApplyError::Contents(never) => match never {},
    }
}

fn apply_with(source: &mut Stored, limits: &Limits) -> Result<(Merged, Memory), LayerError> {
    let mut memory = Memory::default();
    let merged = apply(source, &mut memory, limits, &mut |_| {}).map_err(error)?;
    Ok((merged, memory))
}

/// All layers as one, the lowest first.
fn merge(layers: Vec<Vec<u8>>) -> Result<(Merged, Memory), LayerError> {
    apply_with(&mut stored(layers), &Limits::default())
}

/// A thing by what it is, and the first of its names.
type Listing = BTreeMap<String, (String, String)>;

fn listing(merged: &Merged, memory: &Memory) -> Listing {
    fn walk(
        merged: &Merged,
        memory: &Memory,
        id: InodeId,
        path: &str,
        first: &mut BTreeMap<InodeId, String>,
        all: &mut Listing,
    ) {
        let inode = merged.tree.inode(id);
        let what = match &inode.kind {
            Kind::Directory(_) => "folder".to_owned(),
            Kind::File(content) => {
                format!("file {}", String::from_utf8_lossy(&memory.files[content.number() as usize]))
            }
            Kind::Symlink(text) => format!("-> {}", String::from_utf8_lossy(text)),
            other => format!("{other:?}"),
        };
        let first_name = first.entry(id).or_insert_with(|| path.to_owned()).clone();
        all.insert(path.to_owned(), (format!("{what} {:o}", inode.meta.mode), first_name));
        if let Kind::Directory(names) = &inode.kind {
            for (name, child) in names {
                let path = format!("{path}/{}", String::from_utf8_lossy(name));
                walk(merged, memory, *child, &path, first, all);
            }
        }
    }
    let mut all = Listing::new();
    walk(merged, memory, merged.tree.root(), "", &mut BTreeMap::new(), &mut all);
    // A hard link's names are walked in another order than sorted text: the least one stands for all.
    let mut least: BTreeMap<String, String> = BTreeMap::new();
    for (path, (_, first)) in &all {
        let name = least.entry(first.clone()).or_insert_with(|| path.clone());
        *name = name.clone().min(path.clone());
    }
    for (_, first) in all.values_mut() {
        *first = least[first].clone();
    }
    all
}

/// What comes of layers, as lines `path what`.
fn lines(layers: Vec<Vec<u8>>) -> Vec<String> {
    let (merged, memory) = merge(layers).unwrap();
    lines_of(&listing(&merged, &memory))
}

fn lines_of(listing: &Listing) -> Vec<String> {
    listing
        .iter()
        .filter(|(path, _)| !path.is_empty())
        .map(
            |(path, (what, first))| {
                if first == path { format!("{path} {what}") } else { format!("{path} = {first}") }
            },
        )
        .collect()
}

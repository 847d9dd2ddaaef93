//! One reading of a layer: what its entries do is kept, and the contents of files that will be seen are passed on.

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;

use super::error::{EntryFault, LayerError, shown};
use super::name::{self, Meaning};
use super::paths::{Paths, ROOT};
use super::shade::Shades;
use super::tar::{Entry, EntryKind, Piece, Reader};
use super::{Contents, Count, FileContents, Limits, Stopped, TarError};
use crate::squashfs::{Content, XattrSet};

/// Extended attributes that squashfs can store, by the beginning of their names.
const STORED: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
/// What an extended attribute costs beside its bytes, and a set of them: counted as if they were bytes.
const ATTRIBUTE: u64 = 100;
/// How many bytes of a tar are read between two calls that tell of it.
const STEP: u64 = 8 << 20;

/// Owner, mode, time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: u32,
    /// Which of [`Record::xattrs`]; 0 are none.
    pub(super) xattrs: u32,
}

/// What an entry does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Folder,
    File {
        /// Nothing when it was thought to be hidden.
        content: Option<Content>,
        /// Which entry of the tar it is.
        entry: u32,
        size: u64,
    },
    /// Which of [`Record::links`].
    Symlink(u32),
    /// To which path.
    HardLink(u32),
    Block(u32, u32),
    Character(u32, u32),
    Fifo,
    Whiteout,
    Opaque,
}

/// An entry of a layer, in its order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Op {
    pub(super) path: u32,
    pub(super) act: Act,
    pub(super) attributes: Attributes,
}

/// What all layers do.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) paths: Paths,
    shades: Shades,
    /// The lowest layer first.
    pub(super) layers: Vec<Vec<Op>>,
    pub(super) links: Vec<Box<[u8]>>,
    /// Each set once.
    pub(super) xattrs: Vec<XattrSet>,
    known_xattrs: HashMap<XattrSet, u32>,
    pub(super) dropped_xattrs: u64,
    pub(super) skipped: u64,
    /// Entries of all layers, and bytes of their files with holes, of link targets and of extended attributes.
    pub(super) entries: u64,
    bytes: u64,
    text: u64,
    /// Files of all layers, and those whose contents were passed on.
    pub(super) files: Count,
    pub(super) passed: Count,
}

impl Record {
    pub(super) fn new(layers: usize) -> Self {
        Self {
            paths: Paths::new(),
            shades: Shades::default(),
            layers: std::iter::repeat_with(Vec::new).take(layers).collect(),
            links: Vec::new(),
            xattrs: vec![XattrSet::default()],
            known_xattrs: HashMap::from([(XattrSet::default(), 0)]),
            dropped_xattrs: 0,
            skipped: 0,
            entries: 0,
            bytes: 0,
            text: 0,
            files: Count::default(),
            passed: Count::default(),
        }
    }

    /// Gives the memory back that only layers need: all are read and replayed.
    pub(super) fn close(&mut self) {
        self.paths.close();
        self.shades = Shades::default();
        self.known_xattrs = HashMap::new();
    }

    /// Reads a layer; those above it were read before. `tell` hears how far.
    pub(super) fn take<C: Contents>(
        &mut self,
        index: usize,
        layer: &str,
        reader: &mut Reader<impl BufRead>,
        contents: &mut C,
        limits: &Limits,
        tell: &mut dyn FnMut(u64),
    ) -> Result<(), Stopped<C::Error>> {
        let mut ops = Vec::new();
        let mut number = 0;
        while let Some(entry) = reader.entry()? {
            let entry_number = number;
            number += 1;
            let fault =
                |fault| LayerError::Entry { layer: layer.to_owned(), path: shown(&entry.name), fault };
            self.count(&entry);
            let op = self.op(&entry).map_err(fault)?;
            self.check(layer, limits)?;
            if let Some(mut op) = op {
                if let Act::File { content, entry: which, .. } = &mut op.act {
                    *which = entry_number;
                    self.files.add(entry.size);
                    if !self.shades.hidden(&self.paths, op.path, index == 0) {
                        *content = Some(copy(reader, contents, tell)?);
                        self.passed.add(entry.size);
                    }
                }
                self.note(&op, index == 0);
                ops.push(op);
            }
            while reader.pass()? {
                tell(reader.position());
            }
            tell(reader.position());
        }
        self.shades.commit();
        ops.shrink_to_fit();
        if let Some(place) = self.layers.get_mut(index) {
            *place = ops;
        }
        Ok(())
    }

    fn count(&mut self, entry: &Entry) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(entry.size);
    }

    fn check(&self, layer: &str, limits: &Limits) -> Result<(), LayerError> {
        // A path that no entry has costs nearly as much as one that is an entry.
        let entries = self.entries.max(self.paths.len() as u64);
        for (there, limit, what) in [
            (entries, limits.entries, "entries"),
            (self.bytes, limits.bytes, "bytes"),
            (self.text + self.paths.bytes(), limits.text, "bytes of names"),
        ] {
            if there > limit {
                return Err(LayerError::Limit { layer: layer.to_owned(), what, limit });
            }
        }
        Ok(())
    }

    /// What an entry does; nothing when it is no thing of the image.
    fn op(&mut self, entry: &Entry) -> Result<Option<Op>, EntryFault> {
        let mut parts = name::parts(&entry.name)?;
        let (path, deletion) = match name::meaning(&parts)? {
            Meaning::Metadata => {
                self.skipped += 1;
                return Ok(None);
            }
            Meaning::Present => (self.paths.path(&parts), None),
            Meaning::Opaque => {
                parts.pop();
                (self.paths.path(&parts), Some(Act::Opaque))
            }
            Meaning::Whiteout(name) => {
                parts.pop();
                parts.push(name);
                (self.paths.path(&parts), Some(Act::Whiteout))
            }
        };
        let mut attributes =
            Attributes { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, xattrs: 0 };
        let act = match deletion {
            Some(act) => act,
            None if path == ROOT && entry.kind != EntryKind::Folder => return Err(EntryFault::Root),
            None => self.act(entry)?,
        };
        if !matches!(act, Act::HardLink(_) | Act::Whiteout | Act::Opaque) {
            attributes.xattrs = self.xattrs(entry);
        }
        Ok(Some(Op { path, act, attributes }))
    }

    fn act(&mut self, entry: &Entry) -> Result<Act, EntryFault> {
        Ok(match entry.kind {
            EntryKind::Folder => Act::Folder,
            EntryKind::File => Act::File { content: None, entry: 0, size: entry.size },
            EntryKind::Symlink => {
                name::target(&entry.link)?;
                self.text += entry.link.len() as u64;
                self.links.push(entry.link.clone().into_boxed_slice());
                Act::Symlink(u32::try_from(self.links.len() - 1).unwrap_or(u32::MAX))
            }
            EntryKind::HardLink => Act::HardLink(self.paths.path(&name::parts(&entry.link)?)),
            EntryKind::Character => Act::Character(entry.device.0, entry.device.1),
            EntryKind::Block => Act::Block(entry.device.0, entry.device.1),
            EntryKind::Fifo => Act::Fifo,
        })
    }

    fn xattrs(&mut self, entry: &Entry) -> u32 {
        let stored =
            |name: &[u8]| STORED.iter().any(|prefix| name.starts_with(prefix) && name.len() > prefix.len());
        let kept: XattrSet = entry.xattrs.iter().filter(|(name, _)| stored(name)).cloned().collect();
        self.dropped_xattrs += (entry.xattrs.len() - kept.len()) as u64;
        if let Some(number) = self.known_xattrs.get(&kept) {
            return *number;
        }
        let bytes = kept.iter().map(|(name, value)| (name.len() + value.len()) as u64 + ATTRIBUTE);
        self.text += ATTRIBUTE + bytes.sum::<u64>();
        let number = u32::try_from(self.xattrs.len()).unwrap_or(0);
        self.xattrs.push(kept.clone());
        self.known_xattrs.insert(kept, number);
        number
    }

    /// What the layers below must know of it.
    fn note(&mut self, op: &Op, lowest: bool) {
        match op.act {
            Act::Whiteout => self.shades.whiteout(op.path),
            Act::Opaque => self.shades.opaque(op.path),
            Act::HardLink(target) => {
                if !self.shades.hidden(&self.paths, op.path, lowest) {
                    self.shades.link(target);
                }
                self.shades.present(&self.paths, op.path, false);
            }
            act => self.shades.present(&self.paths, op.path, matches!(act, Act::Folder)),
        }
    }
}

/// Reads a layer again, for the contents of some entries: `(number, content)` of each.
pub(super) fn fetch<C: Contents>(
    wanted: &mut BTreeMap<u32, Option<Content>>,
    reader: &mut Reader<impl BufRead>,
    contents: &mut C,
    tell: &mut dyn FnMut(u64),
) -> Result<(), Stopped<C::Error>> {
    let mut number = 0;
    while reader.entry()?.is_some() {
        if let Some(content) = wanted.get_mut(&number) {
            *content = Some(copy(reader, contents, tell)?);
        }
        number += 1;
        while reader.pass()? {
            tell(reader.position());
        }
    }
    Ok(())
}

/// Passes the bytes of a file on.
fn copy<C: Contents>(
    reader: &mut Reader<impl BufRead>,
    contents: &mut C,
    tell: &mut dyn FnMut(u64),
) -> Result<Content, Stopped<C::Error>> {
    let mut file = contents.begin().map_err(Stopped::Contents)?;
    loop {
        let position = reader.position();
        match reader.piece()? {
            None => return file.finish().map_err(Stopped::Contents),
            Some(Piece::Hole(bytes)) => file.hole(bytes).map_err(Stopped::Contents)?,
            Some(Piece::Data(bytes)) => file.write(bytes).map_err(Stopped::Contents)?,
        }
        tell(position);
    }
}

/// Calls `tell` not more often than once in [`STEP`] bytes.
pub(super) fn seldom(tell: &mut dyn FnMut(u64)) -> impl FnMut(u64) {
    let mut next = STEP;
    move |position| {
        if position >= next {
            next = position + STEP;
            tell(position);
        }
    }
}

impl<E> From<TarError> for Stopped<E> {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

impl<E> From<LayerError> for Stopped<E> {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

//! Does what all entries say, the lowest layer first, on a filesystem that has no contents.
//!
//! The rules are those of umoci 0.4 and later, with which Apptainer unpacks images (`oci/layer/tar_extract.go`; Apptainer 1.4 does not
//! set its `KeepDirlinks`): symbolic links on the way to an entry are followed inside the image, the last part is not; a folder's entry
//! replaces a link; a folder stays when its entry comes again; all else replaces what is there; a deletion spares what its own layer
//! has made before. Where the outcome there depends on the process (the umask, the clock) a folder without an entry has mode 0755,
//! belongs to root and is from 1970.

use std::collections::BTreeMap;

use super::error::{EntryFault, LayerError};
use super::name::{self, MAX_DEPTH};
use super::record::{Act, Attributes, Op, Record};
use crate::squashfs::Content;

/// How many links are followed on the way to one entry, as in umoci.
const MAX_LINKS: usize = 255;
/// How many parts of names are looked at on the way to one entry: links could make billions of it.
const MAX_STEPS: usize = 16 * 1024;
/// How many parts of links are looked at in an image, for each thing that it may have. Usual are one or two.
const STEPS_PER_ENTRY: u64 = 32;
/// What a folder has that no entry speaks of.
const IMPLIED: Attributes = Attributes { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: 0 };

/// A name in a folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dent {
    pub(super) node: u32,
    /// The last layer that has put something there, or below.
    touched: u32,
}

#[derive(Debug)]
pub(super) enum Body {
    Folder(BTreeMap<u32, Dent>),
    /// Of which layer, which entry of its tar, and what it has.
    File {
        layer: u32,
        entry: u32,
        content: Option<Content>,
        size: u64,
    },
    Symlink(u32),
    Block(u32, u32),
    Character(u32, u32),
    Fifo,
}

/// A thing, whatever its names.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) attributes: Attributes,
    pub(super) body: Body,
    /// The last layer that has deleted all of this folder that it has not made, plus one. What it puts there later it has made, so
    /// that there is nothing to be done a second time, however often a tar says it.
    purged: u32,
}

/// A part of a path without links: its name, and what is there.
#[derive(Debug, Clone, Copy)]
struct Step {
    name: u32,
    node: Option<u32>,
}

/// The filesystem.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    record: &'a mut Record,
    /// The first is the root. Those that nothing names any more stay.
    nodes: Vec<Node>,
    layer: u32,
    /// How many more parts of links may be looked at for all entries together.
    budget: u64,
}

/// Does what the layers say. `names` are theirs, and `limit` the most things there may be.
pub(super) fn replay(record: &mut Record, names: &[String], limit: u64) -> Result<Vec<Node>, LayerError> {
    let layers = std::mem::take(&mut record.layers);
    let root = Node { attributes: IMPLIED, body: Body::Folder(BTreeMap::new()), purged: 0 };
    let budget = limit.saturating_mul(STEPS_PER_ENTRY);
    let mut replay = Replay { record, nodes: vec![root], layer: 0, budget };
    for (ops, name) in layers.into_iter().zip(names) {
        for op in ops {
            replay.act(&op).map_err(|fault| LayerError::Entry {
                layer: name.clone(),
                path: replay.record.paths.shown(op.path),
                fault,
            })?;
            if replay.nodes.len() as u64 > limit {
                return Err(LayerError::Limit { layer: name.clone(), what: "entries", limit });
            }
        }
        replay.layer += 1;
    }
    Ok(replay.nodes)
}

impl Replay<'_> {
    fn act(&mut self, op: &Op) -> Result<(), EntryFault> {
        let mut parts = self.record.paths.parts(op.path);
        if let Act::Opaque = op.act {
            let steps = self.resolve(&parts)?;
            if let Some(folder) = end(&steps) {
                self.purge(folder);
            }
            return Ok(());
        }
        let Some(name) = parts.pop() else {
            // Only folders are recorded of the root.
            self.set(0, op.attributes);
            return Ok(());
        };
        let steps = self.resolve(&parts)?;
        if let Act::Whiteout = op.act {
            self.whiteout(&steps, name);
            return Ok(());
        }
        let folder = self.ensure(&steps)?;
        let there = self.child(folder, name);
        if let (Act::Folder, Some(node)) = (op.act, there.filter(|node| self.is_folder(*node))) {
            self.set(node, op.attributes);
            self.put(folder, name, node);
            return Ok(());
        }
        // A link to the name that it takes the place of finds nothing.
        self.remove(folder, name);
        let node = match op.act {
            Act::HardLink(target) => self.target(target)?,
            Act::Folder => self.add(op.attributes, Body::Folder(BTreeMap::new()))?,
            Act::File { content, entry, size } => {
                self.add(op.attributes, Body::File { layer: self.layer, entry, content, size })?
            }
            Act::Symlink(text) => self.add(op.attributes, Body::Symlink(text))?,
            Act::Block(major, minor) => self.add(op.attributes, Body::Block(major, minor))?,
            Act::Character(major, minor) => self.add(op.attributes, Body::Character(major, minor))?,
            Act::Fifo | Act::Whiteout | Act::Opaque => self.add(op.attributes, Body::Fifo)?,
        };
        self.put(folder, name, node);
        Ok(())
    }

    /// What a hard link points to: links on the way are followed, the last part is not.
    fn target(&mut self, path: u32) -> Result<u32, EntryFault> {
        let mut parts = self.record.paths.parts(path);
        let Some(name) = parts.pop() else { return Err(EntryFault::Folder { target: "/".into() }) };
        let steps = self.resolve(&parts)?;
        let node = end(&steps).and_then(|folder| self.child(folder, name));
        let target = || self.record.paths.shown(path);
        match node {
            None => Err(EntryFault::Missing { target: target() }),
            Some(node) if self.is_folder(node) => Err(EntryFault::Folder { target: target() }),
            Some(node) => Ok(node),
        }
    }

    /// Follows all links of a path inside the image. What is not there is a folder to be made.
    fn resolve(&mut self, parts: &[u32]) -> Result<Vec<Step>, EntryFault> {
        let mut steps: Vec<Step> = Vec::with_capacity(parts.len());
        let mut rest: Vec<u32> = parts.iter().rev().copied().collect();
        let dots = self.record.paths.name(b"..");
        let (mut links, mut count) = (0, 0);
        while let Some(name) = rest.pop() {
            count += 1;
            if links > 0 {
                self.budget = self.budget.saturating_sub(1);
            }
            if count > MAX_STEPS || self.budget == 0 {
                return Err(EntryFault::Loop);
            }
            if name == dots {
                steps.pop();
                continue;
            }
            let node = end(&steps).and_then(|folder| self.child(folder, name));
            if let Some(Body::Symlink(text)) = node.map(|node| &self.nodes[node as usize].body) {
                links += 1;
                let text = self.record.links.get(*text as usize).map_or(&b""[..], |text| text);
                if links > MAX_LINKS {
                    return Err(EntryFault::Loop);
                }
                if text.starts_with(b"/") {
                    steps.clear();
                }
                let parts = text.rsplit(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
                rest.extend(parts.map(|part| self.record.paths.name(part)));
                continue;
            }
            if steps.len() >= MAX_DEPTH {
                return Err(EntryFault::LongName);
            }
            steps.push(Step { name, node });
        }
        Ok(steps)
    }

    fn child(&self, folder: u32, name: u32) -> Option<u32> {
        match &self.nodes.get(folder as usize)?.body {
            Body::Folder(names) => names.get(&name).map(|dent| dent.node),
            _ => None,
        }
    }

    fn is_folder(&self, node: u32) -> bool {
        matches!(self.nodes.get(node as usize), Some(Node { body: Body::Folder(_), .. }))
    }

    /// Makes the folders of a path that are not there, in place of what is no folder. The last one.
    fn ensure(&mut self, steps: &[Step]) -> Result<u32, EntryFault> {
        let mut folder = 0;
        for step in steps {
            let node = if let Some(node) = step.node.filter(|node| self.is_folder(*node)) {
                node
            } else {
                // No entry has such a name, but one may be below it, and a link may lead there.
                name::storable(self.record.paths.text(step.name))?;
                self.add(IMPLIED, Body::Folder(BTreeMap::new()))?
            };
            self.put(folder, step.name, node);
            folder = node;
        }
        Ok(folder)
    }

    fn names(&mut self, folder: u32) -> Option<&mut BTreeMap<u32, Dent>> {
        match &mut self.nodes.get_mut(folder as usize)?.body {
            Body::Folder(names) => Some(names),
            _ => None,
        }
    }

    fn put(&mut self, folder: u32, name: u32, node: u32) {
        let touched = self.layer;
        if let Some(names) = self.names(folder) {
            names.insert(name, Dent { node, touched });
        }
    }

    fn remove(&mut self, folder: u32, name: u32) {
        if let Some(names) = self.names(folder) {
            names.remove(&name);
        }
    }

    fn set(&mut self, node: u32, attributes: Attributes) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.attributes = attributes;
        }
    }

    fn add(&mut self, attributes: Attributes, body: Body) -> Result<u32, EntryFault> {
        let number = u32::try_from(self.nodes.len()).map_err(|_| EntryFault::LongName)?;
        self.nodes.push(Node { attributes, body, purged: 0 });
        Ok(number)
    }

    fn whiteout(&mut self, steps: &[Step], name: u32) {
        let layer = self.layer;
        let Some(folder) = end(steps) else { return };
        let Some(dent) = self.names(folder).and_then(|names| names.get(&name)).copied() else { return };
        if dent.touched == layer {
            self.purge(dent.node);
        } else {
            self.remove(folder, name);
        }
    }

    /// Removes what the present layer has not made from a folder, at any depth.
    fn purge(&mut self, folder: u32) {
        let layer = self.layer;
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            let Some(node) = self.nodes.get_mut(folder as usize).filter(|node| node.purged != layer + 1)
            else {
                continue;
            };
            node.purged = layer + 1;
            if let Some(names) = self.names(folder) {
                names.retain(|_, dent| dent.touched == layer);
                folders.extend(names.values().map(|dent| dent.node));
            }
        }
    }
}

/// What is at the end of a path.
fn end(steps: &[Step]) -> Option<u32> {
    steps.last().map_or(Some(0), |step| step.node)
}

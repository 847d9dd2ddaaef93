//! The replayed filesystem as a squashfs has it.

use std::collections::BTreeMap;

use super::Count;
use super::record::{Attributes, Record};
use super::replay::{Body, Node};
use crate::squashfs::{Content, Inode, InodeId, Kind, Meta, Tree};

/// Files that are seen and whose contents were not passed on, by layer and entry of its tar.
pub(super) type Missing = BTreeMap<u32, BTreeMap<u32, Option<Content>>>;

/// Files of the image.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    pub(super) all: Count,
    /// Those of them that have their contents already.
    pub(super) written: Count,
}

/// What of the files that are seen is there, and what is missing.
pub(super) fn seen(nodes: &[Node]) -> (Seen, Missing) {
    let (mut seen, mut missing) = (Seen::default(), Missing::new());
    let mut known = vec![false; nodes.len()];
    let mut rest = vec![0];
    while let Some(number) = rest.pop() {
        let Some(first) = known.get_mut(number as usize).filter(|known| !**known) else { continue };
        *first = true;
        match nodes.get(number as usize).map(|node| &node.body) {
            Some(Body::Folder(names)) => rest.extend(names.values().map(|dent| dent.node)),
            Some(Body::File { layer, entry, content, size }) => {
                seen.all.add(*size);
                if content.is_some() {
                    seen.written.add(*size);
                } else {
                    missing.entry(*layer).or_default().insert(*entry, None);
                }
            }
            _ => {}
        }
    }
    (seen, missing)
}

/// The tree. Nothing when it has more inodes than squashfs can count, or `missing` has not all that is needed.
pub(super) fn tree(record: &Record, mut nodes: Vec<Node>, missing: &Missing) -> Option<Tree> {
    let root = nodes.first()?;
    let mut tree = Tree::new(meta(record, root.attributes));
    let mut ids: Vec<Option<InodeId>> = vec![None; nodes.len()];
    let mut rest = vec![(0_u32, tree.root())];
    while let Some((folder, id)) = rest.pop() {
        let Some(Node { body: Body::Folder(names), .. }) = nodes.get_mut(folder as usize) else { continue };
        // Taken, so that not all names are in memory twice.
        for (name, dent) in std::mem::take(names) {
            let node = nodes.get(dent.node as usize)?;
            let place = ids.get_mut(dent.node as usize)?;
            let child = if let Some(child) = place {
                *child
            } else {
                let kind = kind(record, &node.body, missing)?;
                let folder = matches!(kind, Kind::Directory(_));
                let child = tree.add(Inode { meta: meta(record, node.attributes), kind }).ok()?;
                *place = Some(child);
                if folder {
                    rest.push((dent.node, child));
                }
                child
            };
            tree.link(id, record.paths.text(name), child);
        }
    }
    Some(tree)
}

fn kind(record: &Record, body: &Body, missing: &Missing) -> Option<Kind> {
    Some(match body {
        Body::Folder(_) => Kind::Directory(BTreeMap::new()),
        Body::File { content: Some(content), .. } => Kind::File(*content),
        Body::File { layer, entry, .. } => Kind::File((*missing.get(layer)?.get(entry)?)?),
        Body::Symlink(text) => Kind::Symlink(record.links.get(*text as usize)?.to_vec()),
        Body::Block(major, minor) => Kind::Block(*major, *minor),
        Body::Character(major, minor) => Kind::Character(*major, *minor),
        Body::Fifo => Kind::Fifo,
    })
}

fn meta(record: &Record, attributes: Attributes) -> Meta {
    let Attributes { mode, uid, gid, mtime, xattrs } = attributes;
    let xattrs = record.xattrs.get(xattrs as usize).cloned().unwrap_or_default();
    Meta { mode, uid, gid, mtime, xattrs }
}

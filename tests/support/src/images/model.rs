//! What a list of layers amounts to, computed in the plainest way: from the lowest layer up, each one first hiding and then adding, as
//! the image specification says ("Applying Changesets", "Whiteouts"). It knows nothing of tar, of compression or of the converter.
//!
//! Where the specification is silent, it does what runtimes do that unpack onto a disk: what lies in the way is replaced, a folder over
//! a folder keeps what is in it, the folders of a path are followed through symbolic links without leaving the root.

use std::collections::BTreeMap;

use super::item::{Item, Layer, Meta, What};
use super::tree::{ImageEntry, ImageTree, Kind, Sum};

/// Symbolic links that are followed on one way: as Linux has it.
const LINKS: usize = 40;

#[derive(Debug)]
struct Node {
    what: What,
    meta: Meta,
    /// No layer names it: only a path goes through it.
    phantom: bool,
    sum: Option<[u8; 32]>,
}

/// All names by path, and what they name.
#[derive(Debug, Default)]
struct Model {
    nodes: Vec<Node>,
    names: BTreeMap<Vec<Vec<u8>>, usize>,
}

/// The tree of these layers, the lowest first.
pub fn expected(layers: &[Layer]) -> ImageTree {
    let mut model = Model::default();
    model.phantom(Vec::new());
    for layer in layers {
        model.apply(layer);
    }
    model.tree()
}

fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.map(<[u8]>::to_vec).collect()
}

impl Model {
    fn apply(&mut self, layer: &Layer) {
        // Markers hide what layers below have, and nothing of their own layer, wherever they stand in it.
        let (markers, others): (Vec<&Item>, Vec<&Item>) = layer.0.iter().partition(|item| is_marker(item));
        for marker in markers {
            let mut path = parts(&marker.path);
            let name = path.pop().expect("a marker has a name");
            let Some(folder) = self.resolve(&path, false) else { continue };
            if name == b".wh..wh..opq" {
                self.remove_below(&folder);
            } else {
                let mut hidden = folder;
                hidden.push(name[b".wh.".len()..].to_vec());
                self.remove(&hidden);
            }
        }
        for item in others {
            self.add(item);
        }
    }

    fn add(&mut self, item: &Item) {
        let mut path = parts(&item.path);
        let Some(name) = path.pop() else {
            let root = self.names[&Vec::new()];
            self.nodes[root] = node(item);
            return;
        };
        let mut place = self.resolve(&path, true).expect("a folder can be made");
        place.push(name);
        if let What::HardLink(target) = &item.what {
            let mut target = parts(target);
            let last = target.pop().expect("the target has a name");
            let mut source = self.resolve(&target, false).expect("the target's folder is there");
            source.push(last);
            let node = *self.names.get(&source).unwrap_or_else(|| panic!("no target for {item:?}"));
            self.remove(&place);
            self.names.insert(place, node);
            return;
        }
        let both_folders = matches!(item.what, What::Folder) && self.is_folder(&place);
        if both_folders {
            let old = self.names[&place];
            self.nodes[old] = node(item);
        } else {
            self.remove(&place);
            self.names.insert(place, self.nodes.len());
            self.nodes.push(node(item));
        }
    }

    fn is_folder(&self, path: &[Vec<u8>]) -> bool {
        self.names.get(path).is_some_and(|node| matches!(self.nodes[*node].what, What::Folder))
    }

    /// Where a folder's path leads to. What is missing, or is no folder, is made one if `make`.
    fn resolve(&mut self, path: &[Vec<u8>], make: bool) -> Option<Vec<Vec<u8>>> {
        let mut todo: Vec<Vec<u8>> = path.iter().rev().cloned().collect();
        let (mut at, mut links) = (Vec::new(), 0);
        while let Some(part) = todo.pop() {
            if part == b".." {
                at.pop();
                continue;
            }
            at.push(part);
            match self.names.get(&at).map(|node| &self.nodes[*node].what) {
                Some(What::Folder) => {}
                Some(What::Symlink(text)) if links < LINKS => {
                    links += 1;
                    at.pop();
                    if text.starts_with(b"/") {
                        at.clear();
                    }
                    todo.extend(parts(text).into_iter().rev());
                }
                _ if make => {
                    self.remove(&at);
                    self.phantom(at.clone());
                }
                _ => return None,
            }
        }
        Some(at)
    }

    fn phantom(&mut self, path: Vec<Vec<u8>>) {
        let mut made = node(&Item::folder(""));
        made.phantom = true;
        self.names.insert(path, self.nodes.len());
        self.nodes.push(made);
    }

    fn remove(&mut self, path: &[Vec<u8>]) {
        self.remove_below(path);
        self.names.remove(path);
    }

    fn remove_below(&mut self, path: &[Vec<u8>]) {
        let below = self.names.range(path.to_vec()..).map(|(name, _)| name.clone());
        let below: Vec<_> =
            below.take_while(|name| name.starts_with(path)).filter(|name| name != path).collect();
        for name in below {
            self.names.remove(&name);
        }
    }

    fn tree(self) -> ImageTree {
        let mut first: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        // Paths as bytes sort otherwise than paths by part.
        let names: BTreeMap<Vec<u8>, usize> =
            self.names.iter().map(|(path, node)| (path.join(&b'/'), *node)).collect();
        for (path, node) in &names {
            first.entry(*node).or_insert_with(|| path.clone());
        }
        let entry = |node: usize| {
            let Node { what, meta, phantom, sum } = &self.nodes[node];
            let (kind, bytes, link, device) = match what {
                What::File(content) => (Kind::File, content.len(), Vec::new(), (0, 0)),
                What::Folder => (Kind::Folder, 0, Vec::new(), (0, 0)),
                What::Symlink(text) => (Kind::Symlink, 0, text.clone(), (0, 0)),
                What::Character(major, minor) => (Kind::Character, 0, Vec::new(), (*major, *minor)),
                What::Block(major, minor) => (Kind::Block, 0, Vec::new(), (*major, *minor)),
                What::Fifo => (Kind::Fifo, 0, Vec::new(), (0, 0)),
                What::HardLink(_) => unreachable!("names of hard links name their target"),
            };
            ImageEntry {
                kind,
                // What the system says of every symbolic link.
                mode: if kind == Kind::Symlink { 0o777 } else { meta.mode },
                uid: meta.uid,
                gid: meta.gid,
                bytes,
                mtime: (!phantom).then_some(meta.mtime),
                link,
                sum: *sum,
                device,
                xattrs: meta.xattrs.clone(),
                group: (kind != Kind::Folder).then(|| first[&node].clone()),
            }
        };
        let mut tree = ImageTree(names.iter().map(|(path, node)| (path.clone(), entry(*node))).collect());
        tree.ungroup_single();
        tree
    }
}

fn is_marker(item: &Item) -> bool {
    parts(&item.path).last().is_some_and(|name| name.starts_with(b".wh."))
}

fn node(item: &Item) -> Node {
    let sum = match &item.what {
        What::File(content) => {
            let mut sum = Sum::new();
            content.write_to(&mut sum).expect("a sum takes all");
            Some(sum.end())
        }
        _ => None,
    };
    Node { what: item.what.clone(), meta: item.meta.clone(), phantom: false, sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(layers: &[Layer]) -> Vec<String> {
        let tree = expected(layers);
        tree.0
            .keys()
            .filter(|path| !path.is_empty())
            .map(|path| String::from_utf8_lossy(path).into())
            .collect()
    }

    #[test]
    fn layers_hide_and_replace_what_is_below() {
        let below = Layer(vec![
            Item::folder("a"),
            Item::text("a/one", "1"),
            Item::hard_link("a/two", "a/one"),
            Item::symlink("l", "a"),
        ]);
        let above = Layer(vec![Item::text("a/new", ""), Item::opaque("a")]);
        assert_eq!(names(&[below.clone(), above]), ["a", "a/new", "l"]);
        let above = Layer(vec![Item::whiteout("l/one"), Item::text("l/x/y", "")]);
        assert_eq!(names(&[below.clone(), above]), ["a", "a/two", "a/x", "a/x/y", "l"]);
        let above = Layer(vec![Item::text("a", ""), Item::whiteout("none")]);
        assert_eq!(names(&[below.clone(), above]), ["a", "l"]);
        let tree = expected(&[below]);
        assert_eq!(tree.0[&b"a/two"[..]].group.as_deref(), Some(&b"a/one"[..]));
        assert_eq!(tree.0[&b"a/two"[..]].bytes, 1);
    }
}

//! The order of inodes: their numbers, how often each is named, and whether the tree is one.

use super::{Inode, InodeId, Kind, SquashfsError, Tree};

/// Bytes of a name. The kernel itself looks up no more than 255.
const LONGEST_NAME: usize = 256;

/// What is known of a tree's inodes after one walk. Inodes that have no name are not in it.
pub(super) struct Order {
    /// Folders, each in front of those that it names.
    pub(super) folders: Vec<InodeId>,
    /// How many inodes have a number.
    pub(super) count: u32,
    /// By the places in the tree: numbers from 1 on, 0 for what has no name.
    numbers: Vec<u32>,
    /// By the places in the tree: names, and for folders `.` and each `..` of those in them too.
    links: Vec<u32>,
    /// By the places in the tree: the first folder that names it.
    parents: Vec<InodeId>,
}

impl Order {
    /// Walks the tree, and finds in it what no filesystem can have.
    pub(super) fn of(tree: &Tree) -> Result<Self, SquashfsError> {
        let root = tree.root();
        let mut order = Self {
            folders: Vec::new(),
            count: 0,
            numbers: vec![0; tree.len()],
            links: vec![0; tree.len()],
            parents: vec![root; tree.len()],
        };
        order.meet(root, root);
        if tree.get(root).is_none_or(|inode| !matches!(inode.kind, Kind::Directory(_))) {
            return Err(order.unstorable(tree, root, "the root must be a folder"));
        }
        order.link(root, 2);
        let mut open = vec![root];
        while let Some(folder) = open.pop() {
            order.folders.push(folder);
            let Some(Inode { kind: Kind::Directory(entries), .. }) = tree.get(folder) else { continue };
            for (name, &id) in entries {
                if let Some(reason) = wrong(name) {
                    let mut path = order.path(tree, folder);
                    path.push(b'/');
                    path.extend_from_slice(name);
                    return Err(SquashfsError::Unstorable { path, reason });
                }
                let Some(inode) = tree.get(id) else {
                    return Err(order.unstorable(tree, folder, "it names an inode of another tree"));
                };
                let known = order.number(id) != 0;
                if matches!(inode.kind, Kind::Directory(_)) {
                    if known {
                        return Err(order.unstorable(tree, id, "a folder cannot have two names"));
                    }
                    order.link(id, 2);
                    order.link(folder, 1);
                    open.push(id);
                } else {
                    order.link(id, 1);
                }
                if !known {
                    order.meet(id, folder);
                }
            }
        }
        Ok(order)
    }

    fn meet(&mut self, id: InodeId, parent: InodeId) {
        self.count += 1;
        if let Some(number) = self.numbers.get_mut(id.0 as usize) {
            *number = self.count;
        }
        if let Some(place) = self.parents.get_mut(id.0 as usize) {
            *place = parent;
        }
    }

    fn link(&mut self, id: InodeId, more: u32) {
        if let Some(links) = self.links.get_mut(id.0 as usize) {
            // There is no memory for so many names that this matters.
            *links = links.saturating_add(more);
        }
    }

    /// An inode's number; 0 when it has no name.
    pub(super) fn number(&self, id: InodeId) -> u32 {
        self.numbers.get(id.0 as usize).copied().unwrap_or(0)
    }

    /// How many names an inode has.
    pub(super) fn links(&self, id: InodeId) -> u32 {
        self.links.get(id.0 as usize).copied().unwrap_or(0)
    }

    /// The first folder that names an inode; the root for the root.
    pub(super) fn parent(&self, id: InodeId) -> InodeId {
        self.parents.get(id.0 as usize).copied().unwrap_or(InodeId(0))
    }

    /// An error that names the first path of an inode.
    pub(super) fn unstorable(&self, tree: &Tree, id: InodeId, reason: &'static str) -> SquashfsError {
        SquashfsError::Unstorable { path: self.path(tree, id), reason }
    }

    /// The first path of an inode.
    pub(super) fn path(&self, tree: &Tree, id: InodeId) -> Vec<u8> {
        let mut names = Vec::new();
        let mut below = id;
        while below != tree.root() {
            let parent = self.parent(below);
            if let Some(Inode { kind: Kind::Directory(entries), .. }) = tree.get(parent) {
                names.extend(
                    entries.iter().find(|(_, child)| **child == below).map(|(name, _)| name.as_slice()),
                );
            }
            below = parent;
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() { b"/".to_vec() } else { path }
    }
}

/// Why no file can have this name.
fn wrong(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" | b"." | b".." => Some("no file can have this name"),
        _ if name.contains(&b'/') || name.contains(&0) => {
            Some("a name cannot have a slash or a null byte in it")
        }
        _ if name.len() > LONGEST_NAME => Some("the name has more than 256 bytes"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::squashfs::Meta;

    fn folder(tree: &mut Tree) -> InodeId {
        tree.add(Inode { meta: Meta::default(), kind: Kind::Directory(std::collections::BTreeMap::new()) })
            .unwrap()
    }

    #[test]
    fn what_is_no_tree_is_named() {
        let mut tree = Tree::new(Meta::default());
        let (a, b) = (folder(&mut tree), folder(&mut tree));
        tree.link(tree.root(), "a", a);
        tree.link(a, "b", b);
        assert_eq!(Order::of(&tree).unwrap().links(a), 3);
        for (parent, name) in [(b, b"c".as_slice()), (tree.root(), b"x")] {
            let mut tree = tree.clone();
            tree.link(parent, name, a);
            let error = Order::of(&tree).err().unwrap().to_string();
            assert_eq!(error, "/a: a folder cannot have two names");
        }
        for name in [b"".as_slice(), b".", b"..", b"x/y", b"x\0", &[b'x'; 257]] {
            let mut tree = tree.clone();
            tree.link(b, name, b);
            let error = Order::of(&tree).err().unwrap().to_string();
            assert!(error.starts_with("/a/b/") || error.starts_with("..."), "{error}");
        }
    }

    #[test]
    fn a_root_is_no_loop_and_no_file() {
        let mut tree = Tree::new(Meta::default());
        tree.link(tree.root(), "a", tree.root());
        assert_eq!(Order::of(&tree).err().unwrap().to_string(), "/: a folder cannot have two names");
        tree.inode_mut(tree.root()).kind = Kind::Fifo;
        assert!(Order::of(&tree).is_err());
    }
}

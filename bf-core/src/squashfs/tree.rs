//! The tree that a squashfs has: inodes, and folders that name them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Which inode of a [`Tree`]. Two names with the same one are hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InodeId(pub(super) u32);

/// The bytes of a regular file that were given to the writer before: a number in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Content(pub(super) u32);

#[cfg(test)]
impl Content {
    /// For tests of what gives contents to a writer, which have none.
    pub(crate) fn numbered(number: u32) -> Self {
        Self(number)
    }

    /// Its number in the order of the writer.
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// What an inode has beside what it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// The lower twelve bits of `st_mode`: permissions, setuid, setgid, sticky.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970; squashfs has 32 bits for it.
    pub mtime: u32,
    /// Extended attributes.
    pub xattrs: XattrSet,
}

/// Extended attributes by their whole name (`security.capability`), in the order of the names. Clones share them: many inodes can
/// have the same ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct XattrSet(Option<Arc<[Xattr]>>);

type Xattr = (Box<[u8]>, Box<[u8]>);

impl XattrSet {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().flat_map(|all| all.iter()).map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |all| all.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl FromIterator<(Vec<u8>, Vec<u8>)> for XattrSet {
    /// Of two with the same name the last one counts.
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Vec<u8>)>>(all: I) -> Self {
        let all: BTreeMap<_, _> = all.into_iter().collect();
        let boxed = |(name, value): (Vec<u8>, Vec<u8>)| (name.into_boxed_slice(), value.into_boxed_slice());
        Self((!all.is_empty()).then(|| all.into_iter().map(boxed).collect()))
    }
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder, with what it names.
    Directory(BTreeMap<Vec<u8>, InodeId>),
    /// A regular file.
    File(Content),
    /// A symbolic link, with its text.
    Symlink(Vec<u8>),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A character device: major, minor.
    Character(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// One thing of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Owner, mode, time.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

/// A filesystem's tree. The root is there from the beginning.
#[derive(Debug, Clone)]
pub struct Tree {
    inodes: Vec<Inode>,
}

impl Tree {
    /// A tree that has only its root.
    pub fn new(root: Meta) -> Self {
        Self { inodes: vec![Inode { meta: root, kind: Kind::Directory(BTreeMap::new()) }] }
    }

    /// The root.
    pub fn root(&self) -> InodeId {
        InodeId(0)
    }

    /// How many inodes there are, those without a name included.
    pub fn len(&self) -> usize {
        self.inodes.len()
    }

    /// Never: there is a root.
    pub fn is_empty(&self) -> bool {
        self.inodes.is_empty()
    }

    /// Adds an inode that has no name yet.
    ///
    /// # Errors
    /// Gives it back when there are as many as squashfs can count.
    pub fn add(&mut self, inode: Inode) -> Result<InodeId, Box<Inode>> {
        // Inode numbers begin with 1.
        match u32::try_from(self.inodes.len()) {
            Ok(number) if number < u32::MAX - 1 => {
                self.inodes.push(inode);
                Ok(InodeId(number))
            }
            _ => Err(Box::new(inode)),
        }
    }

    /// One inode.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// One inode, where it is not sure that the number is of this tree.
    pub(super) fn get(&self, id: InodeId) -> Option<&Inode> {
        self.inodes.get(usize::try_from(id.0).ok()?)
    }

    /// One inode, to be changed.
    pub fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.0 as usize]
    }

    /// What `name` is in the folder `parent`; nothing when that is no folder.
    pub fn child(&self, parent: InodeId, name: &[u8]) -> Option<InodeId> {
        match &self.inode(parent).kind {
            Kind::Directory(entries) => entries.get(name).copied(),
            _ => None,
        }
    }

    /// Names an inode in a folder, in place of what had that name. Returns whether `parent` is a folder.
    pub fn link(&mut self, parent: InodeId, name: impl Into<Vec<u8>>, id: InodeId) -> bool {
        match &mut self.inode_mut(parent).kind {
            Kind::Directory(entries) => {
                entries.insert(name.into(), id);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_name_inodes_and_other_things_do_not() {
        let mut tree = Tree::new(Meta { mode: 0o755, ..Meta::default() });
        let fifo = tree.add(Inode { meta: Meta::default(), kind: Kind::Fifo }).unwrap();
        assert!(tree.link(tree.root(), "a", fifo) && tree.link(tree.root(), "b", fifo));
        assert!(!tree.link(fifo, "c", fifo));
        assert_eq!(
            (tree.child(tree.root(), b"b"), tree.child(fifo, b"c"), tree.len()),
            (Some(fifo), None, 2)
        );
    }
}

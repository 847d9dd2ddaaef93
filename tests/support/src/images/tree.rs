//! The tree of an image: what the model says must be there, or what somebody unpacked or mounted.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Result, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use sha2::{Digest, Sha256};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// One name of a tree, with all that can be seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageEntry {
    /// What it is.
    pub kind: Kind,
    /// The lower twelve bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length of a regular file in bytes, else 0.
    pub bytes: u64,
    /// Seconds since 1970; nothing where no layer says it.
    pub mtime: Option<i64>,
    /// The text of a symbolic link.
    pub link: Vec<u8>,
    /// Of a regular file's bytes: SHA-256 over its blocks that hold more than zeros, with their offsets.
    pub sum: Option<[u8; 32]>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// By their whole name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first of all names of the same file, where it has several.
    pub group: Option<Vec<u8>>,
}

/// A tree by path, without a slash in front; the root is the empty path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageTree(pub BTreeMap<Vec<u8>, ImageEntry>);

/// A sum over a file that is quick where there is nothing: SHA-256 over the offsets and bytes of all 64 KiB blocks that hold more than
/// zeros, and the length. Files of many gigabytes of nothing would take the tests' time otherwise.
pub(super) struct Sum {
    hasher: Sha256,
    block: Vec<u8>,
    bytes: u64,
}

const BLOCK: usize = 1 << 16;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

impl Sum {
    /// Of nothing yet.
    pub(super) fn new() -> Self {
        Self { hasher: Sha256::new(), block: Vec::with_capacity(BLOCK), bytes: 0 }
    }

    fn take(&mut self, block: &[u8]) {
        if block != &ZEROS[..block.len()] {
            self.hasher.update(self.bytes.to_le_bytes());
            self.hasher.update(block);
        }
        self.bytes += block.len() as u64;
    }

    /// The sum.
    pub(super) fn end(mut self) -> [u8; 32] {
        let block = std::mem::take(&mut self.block);
        self.take(&block);
        self.hasher.update(self.bytes.to_le_bytes());
        self.hasher.finalize().into()
    }

    /// Of all that is read.
    pub(super) fn of(mut from: impl Read) -> Result<[u8; 32]> {
        let (mut sum, mut buffer) = (Self::new(), vec![0; 8 * BLOCK]);
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(sum.end()),
                count => sum.write_all(&buffer[..count])?,
            }
        }
    }
}

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.block.len()));
            rest = later;
            if now.len() == BLOCK {
                self.take(now);
            } else {
                self.block.extend_from_slice(now);
                if self.block.len() == BLOCK {
                    let mut block = std::mem::take(&mut self.block);
                    self.take(&block);
                    block.clear();
                    self.block = block;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl ImageTree {
    /// Walks a folder, without following links. Panics with the path of what cannot be read: it is for root.
    pub fn of(root: &Path) -> Self {
        let mut tree = Self::default();
        let mut first_names: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
        let mut sums: BTreeMap<(u64, u64), Option<[u8; 32]>> = BTreeMap::new();
        let mut waiting = vec![Vec::new()];
        while let Some(path) = waiting.pop() {
            let full = root.join(OsString::from_vec(path.clone()));
            let full = if path.is_empty() { root.to_owned() } else { full };
            let meta = fs_err::symlink_metadata(&full).expect("an entry");
            let kind = meta.file_type();
            let kind = match () {
                () if kind.is_dir() => Kind::Folder,
                () if kind.is_symlink() => Kind::Symlink,
                () if kind.is_char_device() => Kind::Character,
                () if kind.is_block_device() => Kind::Block,
                () if kind.is_fifo() => Kind::Fifo,
                () if kind.is_socket() => Kind::Socket,
                () => Kind::File,
            };
            if kind == Kind::Folder {
                for entry in fs_err::read_dir(&full).expect("a folder") {
                    let name = entry.expect("its entries").file_name();
                    let before = if path.is_empty() { Vec::new() } else { [path.as_slice(), b"/"].concat() };
                    waiting.push([before.as_slice(), name.as_bytes()].concat());
                }
            }
            let device = if matches!(kind, Kind::Character | Kind::Block) { meta.rdev() } else { 0 };
            let inode = (meta.dev(), meta.ino());
            let read = || Sum::of(fs_err::File::open(&full).expect("a file")).expect("its bytes");
            let sum = match kind {
                Kind::File if meta.nlink() > 1 => *sums.entry(inode).or_insert_with(|| Some(read())),
                Kind::File => Some(read()),
                _ => None,
            };
            let link =
                if kind == Kind::Symlink { fs_err::read_link(&full).expect("a link") } else { "".into() };
            let entry = ImageEntry {
                kind,
                mode: meta.mode() & 0o7777,
                uid: meta.uid(),
                gid: meta.gid(),
                bytes: if kind == Kind::File { meta.len() } else { 0 },
                mtime: Some(meta.mtime()),
                link: link.into_os_string().into_vec(),
                sum,
                device: (major(device), minor(device)),
                xattrs: xattrs(&full),
                group: None,
            };
            if kind != Kind::Folder && meta.nlink() > 1 {
                let first = first_names.entry(inode).or_insert_with(|| path.clone());
                if path < *first {
                    first.clone_from(&path);
                }
                // Which is first is known at the end.
                let mark = [&inode.0.to_le_bytes()[..], &inode.1.to_le_bytes()].concat();
                tree.0.insert(path, ImageEntry { group: Some(mark), ..entry });
            } else {
                tree.0.insert(path, entry);
            }
        }
        for entry in tree.0.values_mut() {
            if let Some(mark) = &entry.group {
                let number =
                    |from: usize| u64::from_le_bytes(mark[from..from + 8].try_into().expect("8 bytes"));
                entry.group = first_names.get(&(number(0), number(8))).cloned();
            }
        }
        tree.ungroup_single();
        tree
    }

    /// A name whose other names are elsewhere has none here.
    pub(super) fn ungroup_single(&mut self) {
        let mut names: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for group in self.0.values().filter_map(|entry| entry.group.as_ref()) {
            *names.entry(group.clone()).or_default() += 1;
        }
        for entry in self.0.values_mut() {
            entry.group.take_if(|group| names.get(group) == Some(&1));
        }
    }
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let Ok(length) = rustix::fs::llistxattr(path, names.as_mut_slice()) else { return BTreeMap::new() };
    let list = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).expect("an attribute");
        value.truncate(length);
        value
    };
    list.map(|name| (name.to_vec(), value(name))).collect()
}

fn major(device: u64) -> u32 {
    rustix::fs::major(device)
}

fn minor(device: u64) -> u32 {
    rustix::fs::minor(device)
}

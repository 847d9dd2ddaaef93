//! What a layer is made of, in the order of its tar.

use std::collections::BTreeMap;

use super::content::Content;

/// How an entry says what the oldest tar had no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As POSIX 1988 has it, where that is enough; else as `Pax`.
    Ustar,
    /// With extended headers: what Docker, Podman and Go's archive/tar write. Sparse files are those of GNU tar's format 1.0.
    #[default]
    Pax,
    /// With GNU's long names and binary numbers; sparse files are those of its old format. It has no extended attributes: an entry that
    /// has some gets an extended header for these.
    Gnu,
}

/// Owner, mode, time and extended attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The lower twelve bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Further nanoseconds, which only `Format::Pax` can say.
    pub nanos: u32,
    /// By their whole name, as `user.note`.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum What {
    /// A regular file.
    File(Content),
    /// A folder.
    Folder,
    /// A symbolic link, with its text.
    Symlink(Vec<u8>),
    /// Another name of what this path of the archive names.
    HardLink(Vec<u8>),
    /// A character device: major, minor.
    Character(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry of a layer's tar.
#[derive(Debug, Clone)]
pub struct Item {
    /// As it is written, whatever that means: `a`, `./a`, `a/`.
    pub path: Vec<u8>,
    /// What it is.
    pub what: What,
    /// What else it has.
    pub meta: Meta,
    /// How it is written.
    pub format: Format,
}

/// The time of entries that have no other.
const TIME: i64 = 1_700_000_000;

impl Item {
    fn new(path: impl AsRef<[u8]>, what: What, mode: u32) -> Self {
        let meta = Meta { mode, uid: 0, gid: 0, mtime: TIME, nanos: 0, xattrs: BTreeMap::new() };
        Self { path: path.as_ref().to_vec(), what, meta, format: Format::default() }
    }

    /// A regular file, 0644 and root's.
    pub fn file(path: impl AsRef<[u8]>, content: Content) -> Self {
        Self::new(path, What::File(content), 0o644)
    }

    /// A regular file with this text.
    pub fn text(path: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> Self {
        Self::file(path, Content::of(text))
    }

    /// A folder, 0755 and root's.
    pub fn folder(path: impl AsRef<[u8]>) -> Self {
        Self::new(path, What::Folder, 0o755)
    }

    /// A symbolic link.
    pub fn symlink(path: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> Self {
        Self::new(path, What::Symlink(text.as_ref().to_vec()), 0o777)
    }

    /// A further name of `target`, a path of the archive.
    pub fn hard_link(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(path, What::HardLink(target.as_ref().to_vec()), 0o644)
    }

    /// A device or a pipe.
    pub fn special(path: impl AsRef<[u8]>, what: What) -> Self {
        Self::new(path, what, 0o600)
    }

    /// The marker that hides `path` of the layers below.
    pub fn whiteout(path: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref();
        let (folder, name) = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or((&[][..], path), |slash| (&path[..=slash], &path[slash + 1..]));
        Self::new([folder, b".wh.", name].concat(), What::File(Content::of("")), 0)
    }

    /// The marker that hides all that layers below have in the folder `path`.
    pub fn opaque(path: impl AsRef<[u8]>) -> Self {
        Self::new([path.as_ref(), b"/.wh..wh..opq"].concat(), What::File(Content::of("")), 0)
    }

    /// With this mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.meta.mode = mode;
        self
    }

    /// With this owner and group.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.meta.uid, self.meta.gid) = (uid, gid);
        self
    }

    /// With this time, in seconds since 1970.
    #[must_use]
    pub fn time(mut self, seconds: i64, nanos: u32) -> Self {
        (self.meta.mtime, self.meta.nanos) = (seconds, nanos);
        self
    }

    /// With one extended attribute more.
    #[must_use]
    pub fn xattr(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.meta.xattrs.insert(name.as_bytes().to_vec(), value.as_ref().to_vec());
        self
    }

    /// Written in this format.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }
}

/// One layer: what its tar has, in order.
#[derive(Debug, Clone, Default)]
pub struct Layer(pub Vec<Item>);

impl Layer {
    /// All entries written in this format.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        for item in &mut self.0 {
            item.format = format;
        }
        self
    }
}

//! For tests: a filesystem described in a few words, written and read back with another implementation.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;

use backhand::{FilesystemReader, InnerNode};

use super::*;

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Data(Vec<u8>),
    Hole(u64),
}

/// What has a path, to be written and as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thing {
    Folder,
    File(Vec<Part>),
    Symlink(Vec<u8>),
    Block(u32, u32),
    Character(u32, u32),
    Fifo,
    Socket,
}

impl Thing {
    /// With everything of a file in one piece.
    fn plain(self) -> Self {
        let Self::File(parts) = self else { return self };
        let mut data = Vec::new();
        for part in parts {
            match part {
                Part::Data(bytes) => data.extend(bytes),
                Part::Hole(len) => data.resize(data.len() + usize::try_from(len).unwrap(), 0),
            }
        }
        Self::File(vec![Part::Data(data)])
    }
}

/// By path: what it is and its mode, owner, group and time.
pub(super) type Files = BTreeMap<Vec<u8>, (Thing, Meta)>;

pub(super) fn options(compression: Compression, threads: usize) -> Options {
    Options { compression, threads: NonZeroUsize::new(threads).unwrap(), mtime: 7 }
}

pub(super) fn meta(mode: u16) -> Meta {
    Meta { mode, ..Meta::default() }
}

/// Pushes one file in pieces of so many bytes.
pub(super) fn push(writer: &mut Writer, parts: &[Part], chunk: usize) -> Result<Content, SquashfsError> {
    let mut file = writer.begin();
    for part in parts {
        match part {
            Part::Data(data) => data.chunks(chunk).try_for_each(|piece| file.write(piece))?,
            Part::Hole(len) => file.hole(*len)?,
        }
    }
    file.finish()
}

/// Puts something at a path whose folders are there.
pub(super) fn put(tree: &mut Tree, path: &[u8], id: InodeId) {
    let mut names: Vec<_> = path.split(|byte| *byte == b'/').skip(1).collect();
    let name = names.pop().unwrap();
    let parent = names.into_iter().fold(tree.root(), |folder, name| tree.child(folder, name).unwrap());
    assert!(tree.link(parent, name, id));
}

/// Writes files behind `offset` bytes; returns the whole file.
pub(super) fn write(files: &Files, options: &Options, offset: u64, chunk: usize) -> (Vec<u8>, Finished) {
    let mut writer = Writer::new(tempfile::tempfile().unwrap(), offset, options).unwrap();
    let mut tree = Tree::new(meta(0o755));
    for (path, (thing, meta)) in files {
        let kind = match thing {
            Thing::Folder => Kind::Directory(BTreeMap::new()),
            Thing::File(parts) => Kind::File(push(&mut writer, parts, chunk).unwrap()),
            Thing::Symlink(text) => Kind::Symlink(text.clone()),
            Thing::Block(major, minor) => Kind::Block(*major, *minor),
            Thing::Character(major, minor) => Kind::Character(*major, *minor),
            Thing::Fifo => Kind::Fifo,
            Thing::Socket => Kind::Socket,
        };
        let id = tree.add(Inode { meta: meta.clone(), kind }).unwrap();
        put(&mut tree, path, id);
    }
    finish(writer, &tree)
}

/// Ends the writing; returns the whole file.
pub(super) fn finish(writer: Writer, tree: &Tree) -> (Vec<u8>, Finished) {
    let mut finished = writer.finish(tree).unwrap();
    let mut bytes = Vec::new();
    finished.file.seek(SeekFrom::Start(0)).unwrap();
    finished.file.read_to_end(&mut bytes).unwrap();
    (bytes, finished)
}

/// What another implementation reads, without extended attributes, which it does not know.
pub(super) fn read(image: &[u8], offset: u64) -> Files {
    let reader =
        FilesystemReader::from_reader_with_offset(BufReader::new(Cursor::new(image)), offset).unwrap();
    reader
        .files()
        .filter(|node| node.fullpath.as_os_str() != OsStr::new("/"))
        .map(|node| {
            let thing = match &node.inner {
                InnerNode::Dir(_) => Thing::Folder,
                InnerNode::File(file) => {
                    let mut data = Vec::new();
                    reader.file(file).reader_checked().unwrap().read_to_end(&mut data).unwrap();
                    Thing::File(vec![Part::Data(data)])
                }
                InnerNode::Symlink(link) => Thing::Symlink(link.link.as_os_str().as_bytes().to_vec()),
                InnerNode::BlockDevice(device) => device_of(device.device_number, Thing::Block),
                InnerNode::CharacterDevice(device) => device_of(device.device_number, Thing::Character),
                InnerNode::NamedPipe => Thing::Fifo,
                InnerNode::Socket => Thing::Socket,
            };
            let header = node.header;
            let meta = Meta {
                mode: header.permissions,
                uid: header.uid,
                gid: header.gid,
                mtime: header.mtime,
                xattrs: XattrSet::default(),
            };
            (node.fullpath.as_os_str().as_bytes().to_vec(), (thing, meta))
        })
        .collect()
}

fn device_of(number: u32, make: fn(u32, u32) -> Thing) -> Thing {
    make((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00))
}

/// What is to be read of what was written.
pub(super) fn expected(files: &Files) -> Files {
    let plain = |(thing, meta): &(Thing, Meta)| {
        (thing.clone().plain(), Meta { xattrs: XattrSet::default(), ..meta.clone() })
    };
    files.iter().map(|(path, file)| (path.clone(), plain(file))).collect()
}

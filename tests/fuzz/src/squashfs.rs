//! Filesystems that are written, and read back by who did not write them: the crate backhand, or by hand `unsquashfs`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use backhand::{FilesystemReader, InnerNode};
use bf_core::squashfs::{BLOCK, Compression, Inode, InodeId, Kind, Meta, Options, Tree, Writer, XattrSet};

use crate::input::Input;
use crate::memory;

/// What has a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Folder,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Block(u32, u32),
    Character(u32, u32),
    Fifo,
    Socket,
}

/// By path: what it is, and its mode, owner, group and time.
type Things = BTreeMap<Vec<u8>, (Thing, [u32; 4])>;

/// Writes what the input describes, and compares what is read of it.
pub fn run(data: &[u8]) {
    let (image, offset, things) = write(data);
    let reader = FilesystemReader::from_reader_with_offset(BufReader::new(Cursor::new(image)), offset)
        .unwrap_or_else(|error| panic!("a squashfs: {error:?}"));
    let mut found = Things::new();
    for node in reader.files().filter(|node| node.fullpath.as_os_str() != OsStr::new("/")) {
        let thing = match &node.inner {
            InnerNode::Dir(_) => Thing::Folder,
            InnerNode::File(file) => {
                let mut content = Vec::new();
                reader
                    .file(file)
                    .reader_checked()
                    .expect("a file")
                    .read_to_end(&mut content)
                    .expect("its bytes");
                Thing::File(content)
            }
            InnerNode::Symlink(link) => Thing::Symlink(link.link.as_os_str().as_bytes().to_vec()),
            InnerNode::BlockDevice(device) => numbers(device.device_number, Thing::Block),
            InnerNode::CharacterDevice(device) => numbers(device.device_number, Thing::Character),
            InnerNode::NamedPipe => Thing::Fifo,
            InnerNode::Socket => Thing::Socket,
        };
        let header = node.header;
        let meta = [header.permissions.into(), header.uid, header.gid, header.mtime];
        found.insert(node.fullpath.as_os_str().as_bytes().to_vec(), (thing, meta));
    }
    compare(&things, &found);
}

/// Has `unsquashfs` unpack what the input describes below `folder`, and compares that. Owners and devices are root's to make.
pub fn unsquash(data: &[u8], folder: &Path) {
    let (image, offset, mut things) = write(data);
    let (file, to) = (folder.join("image"), folder.join("unpacked"));
    std::fs::write(&file, image).expect("a file");
    let mut command = Command::new("unsquashfs");
    command
        .args(["-quiet", "-no-progress", "-strict-errors", "-offset", &offset.to_string(), "-dest"])
        .arg(&to);
    let status = command.arg(&file).stdout(Stdio::null()).status().expect("unsquashfs");
    assert!(status.success(), "unsquashfs: {status}");
    let (mut found, mut open) = (Things::new(), vec![to.clone()]);
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).expect("a folder") {
            let path = entry.expect("an entry").path();
            let meta = path.symlink_metadata().expect("its facts");
            let kind = meta.file_type();
            let thing = if kind.is_dir() {
                open.push(path.clone());
                Thing::Folder
            } else if kind.is_symlink() {
                Thing::Symlink(path.read_link().expect("its text").as_os_str().as_bytes().to_vec())
            } else if kind.is_file() {
                Thing::File(std::fs::read(&path).expect("its bytes"))
            } else if kind.is_fifo() {
                Thing::Fifo
            } else {
                continue; // devices, which depend on who we are
            };
            // Links have no mode on Linux.
            let mode = if kind.is_symlink() { 0o777 } else { meta.permissions().mode() & 0o7777 };
            let name = path.strip_prefix(&to).expect("below it").as_os_str().as_bytes();
            found.insert([b"/", name].concat(), (thing, [mode, 0, 0, 0]));
        }
    }
    things.retain(|_, (thing, _)| !matches!(thing, Thing::Block(..) | Thing::Character(..) | Thing::Socket));
    for (thing, meta) in things.values_mut() {
        *meta = [if matches!(thing, Thing::Symlink(_)) { 0o777 } else { meta[0] }, 0, 0, 0];
    }
    compare(&things, &found);
    std::fs::remove_dir_all(&to).expect("it goes");
}

fn compare(expected: &Things, found: &Things) {
    assert!(expected.keys().eq(found.keys()), "{:?} and not {:?}", found.keys(), expected.keys());
    for (path, (thing, meta)) in expected {
        let (other, others) = &found[path];
        let path = String::from_utf8_lossy(path);
        assert_eq!(meta, others, "{path}");
        // Not the bytes of a file, which nobody wants to read.
        assert!(thing == other, "{path} has another content");
    }
}

fn numbers(number: u32, make: fn(u32, u32) -> Thing) -> Thing {
    make((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00))
}

/// Writes it: the file, where the squashfs begins in it, and what is in that.
fn write(data: &[u8]) -> (Vec<u8>, u64, Things) {
    let mut input = Input(data);
    let compression = input.of(&[Compression::Zstd(1), Compression::Gzip(1), Compression::Zstd(3)]);
    let threads = NonZeroUsize::MIN.saturating_add(usize::from(input.byte() % 2));
    let offset = u64::from(input.byte() % 3) * 4096;
    let options = Options { compression, threads, mtime: 7 };
    let mut writer = Writer::new(memory(&[]), offset, &options).expect("a writer");
    let mut tree = Tree::new(Meta { mode: 0o755, ..Meta::default() });
    let mut folders: Vec<(Vec<u8>, InodeId)> = vec![(Vec::new(), tree.root())];
    let mut things = Things::new();
    let mut linkable: Vec<(InodeId, (Thing, [u32; 4]))> = Vec::new();
    while !input.is_empty() && things.len() < 400 {
        let what = input.byte();
        let (parent, within) = folders[usize::from(input.byte()) % folders.len()].clone();
        let name = match input.byte() {
            255 => vec![b'n'; 255],
            short => format!("{short:x}").into_bytes(),
        };
        let path = [&parent, b"/".as_slice(), &name].concat();
        if things.contains_key(&path) {
            continue;
        }
        if what % 9 == 8 && !linkable.is_empty() {
            let (id, thing) = linkable[usize::from(input.byte()) % linkable.len()].clone();
            assert!(tree.link(within, name, id));
            things.insert(path, thing);
            continue;
        }
        let (thing, kind) = match what % 9 {
            0 | 1 => (Thing::Folder, Kind::Directory(BTreeMap::new())),
            5 => {
                // Of longer ones backhand says "field failed assertion"; the kernel and unsquashfs read them.
                let text = vec![b't'; 1 + usize::from(input.byte() % 250)];
                (Thing::Symlink(text.clone()), Kind::Symlink(text))
            }
            6 => {
                let (major, minor) = (u32::from(input.short()) & 0xfff, u32::from(input.short()));
                let block = what < 128;
                let thing = if block { Thing::Block(major, minor) } else { Thing::Character(major, minor) };
                (thing, if block { Kind::Block(major, minor) } else { Kind::Character(major, minor) })
            }
            7 if what < 128 => (Thing::Fifo, Kind::Fifo),
            7 => (Thing::Socket, Kind::Socket),
            _ => {
                let (content, parts) = content(&mut input);
                let mut file = writer.begin();
                for part in parts {
                    match part {
                        Part::Data(data) => file.write(&data).expect("bytes"),
                        Part::Hole(bytes) => file.hole(bytes).expect("a hole"),
                    }
                }
                (Thing::File(content), Kind::File(file.finish().expect("a file")))
            }
        };
        let meta = [
            u32::from(input.short() & 0o7777),
            input.byte().into(),
            u32::from(input.byte()) << 16,
            7 + u32::from(what),
        ];
        let can = matches!(thing, Thing::Folder | Thing::File(_));
        let xattrs = if can && what >= 200 {
            XattrSet::from_iter([(
                vec![b"user.".as_slice(), &[b'a' + what % 5]].concat(),
                vec![what; usize::from(what)],
            )])
        } else {
            XattrSet::default()
        };
        let [mode, uid, gid, mtime] = meta;
        let mode = u16::try_from(mode).expect("twelve bits");
        let is_folder = thing == Thing::Folder;
        let id = tree.add(Inode { meta: Meta { mode, uid, gid, mtime, xattrs }, kind }).expect("an inode");
        assert!(tree.link(within, name, id));
        things.insert(path.clone(), (thing.clone(), meta));
        if is_folder {
            folders.push((path, id));
        } else {
            linkable.push((id, (thing, meta)));
        }
    }
    let mut finished = writer.finish(&tree).expect("a squashfs");
    (all_of(&mut finished.file), offset, things)
}

enum Part {
    Data(Vec<u8>),
    Hole(u64),
}

/// Of up to three blocks and an end: what it amounts to, and as it is given.
fn content(input: &mut Input<'_>) -> (Vec<u8>, Vec<Part>) {
    let (mut all, mut parts) = (Vec::new(), Vec::new());
    for _ in 0..input.byte() % 4 {
        let kind = input.byte();
        let bytes = match kind % 4 {
            0 => usize::from(input.byte()),
            1 => usize::from(input.short()),
            2 => BLOCK,
            _ => BLOCK + usize::from(input.byte()) - 128,
        };
        if kind >= 192 {
            all.resize(all.len() + bytes, 0);
            parts.push(Part::Hole(bytes as u64));
        } else {
            // Alike, so that there are duplicates, and some that do not compress.
            let seed = u32::from(kind / 32);
            let noise = |at: u32| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0];
            let data: Vec<u8> =
                (0..).take(bytes).map(|at: u32| if seed < 2 { noise(at ^ seed) } else { kind }).collect();
            all.extend_from_slice(&data);
            parts.push(Part::Data(data));
        }
    }
    (all, parts)
}

fn all_of(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).expect("what was written");
    bytes
}

/// A few trees of different sizes.
pub fn seeds() -> Vec<Vec<u8>> {
    (0..12_u32)
        .map(|seed| {
            let byte =
                |at: u32| (at.wrapping_add(seed * 977).wrapping_mul(2_654_435_761) >> 11).to_le_bytes()[0];
            (0..40 + seed * 60).map(byte).collect()
        })
        .collect()
}

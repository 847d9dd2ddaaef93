use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::testing::{Files, Part, Thing, expected, finish, meta, options, push, put, read, write};
use super::*;

const EACH: [Compression; 3] = [Compression::Gzip(6), Compression::Zstd(6), Compression::Zstd(15)];

/// Bytes that compress somewhat, different for each seed.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state.is_multiple_of(3) { state.to_le_bytes()[3] } else { b'x' }
    };
    (0..length).map(|_| next()).collect()
}

fn file(seed: u64, length: usize) -> Thing {
    Thing::File(vec![Part::Data(bytes(seed, length))])
}

fn files(things: impl IntoIterator<Item = (&'static str, Thing)>) -> Files {
    let file = |(number, (path, thing)): (u16, (&str, Thing))| {
        let meta = Meta { mode: 0o600 + number % 64, uid: u32::from(number), ..Meta::default() };
        (path.as_bytes().to_vec(), (thing, meta))
    };
    (0..).zip(things).map(file).collect()
}

fn check(files: &Files) -> u64 {
    let mut sizes = EACH.map(|compression| {
        let (image, finished) = write(files, &options(compression, 2), 4096, 100_000);
        assert_eq!(image.len() as u64, 4096 + finished.bytes);
        assert_eq!(finished.bytes % 4096, 0);
        let read = read(&image, 4096);
        assert!(read == expected(files), "{compression}");
        finished.bytes
    });
    sizes.sort_unstable();
    sizes[2]
}

#[test]
fn an_empty_tree_is_a_filesystem() {
    check(&Files::new());
}

#[test]
fn all_kinds_of_things_are_read_back() {
    let mut all = files([
        ("/a", Thing::Folder),
        ("/a/b", Thing::Folder),
        ("/a/b/file", file(1, 5000)),
        ("/a/b/empty", file(1, 0)),
        ("/a/null", Thing::Character(1, 3)),
        ("/a/disk", Thing::Block(4095, 0xf_ffff)),
        ("/link", Thing::Symlink(b"a/\xff\n".to_vec())),
        ("/pipe", Thing::Fifo),
        ("/socket", Thing::Socket),
        ("/zz", file(1, 12)),
    ]);
    let odd = Meta { mode: 0o7777, uid: u32::MAX, gid: 4_000_000_000, mtime: u32::MAX, ..Meta::default() };
    all.insert(b"/\xfe\n\\ ".to_vec(), (file(3, 1), odd));
    all.insert(vec![b'/'; 1].into_iter().chain([b'n'; 256]).collect(), (Thing::Fifo, meta(0)));
    check(&all);
}

#[test]
fn sizes_around_whole_blocks_are_read_back() {
    let lengths = [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 5 * BLOCK, 1, 0];
    let all = lengths.iter().enumerate().map(|(number, &length)| {
        (format!("/{number}").into_bytes(), (file(number as u64, length), meta(0o644)))
    });
    check(&all.collect());
    // One after the other of the same, too: what is left of one in the buffer is in front of the other's block.
    let all =
        (0..9_u64).map(|number| (format!("/{number}").into_bytes(), (file(number, BLOCK - 5), meta(0))));
    check(&all.collect());
    // Full buffers behind nothing but empty files.
    let mut all = files([("/a", file(0, 0)), ("/b", file(1, BLOCK)), ("/c", file(2, 0)), ("/d", file(3, 1))]);
    all.insert(b"/b2".to_vec(), (file(4, BLOCK), meta(0)));
    check(&all);
}

#[test]
fn holes_are_zeros_and_take_no_room() {
    let block = BLOCK as u64;
    let hole = |before: &[u8], length, after: &[u8]| {
        Thing::File(vec![Part::Data(before.to_vec()), Part::Hole(length), Part::Data(after.to_vec())])
    };
    let all = files([
        ("/all", hole(b"", 8 * block, b"")),
        ("/behind", hole(b"x", 8 * block, b"")),
        ("/between", hole(b"x", 8 * block + 77, b"y")),
        ("/front", hole(b"", 8 * block + 1, b"y")),
        ("/short", hole(b"x", 9, b"y")),
        ("/written", hole(&vec![0; 3 * BLOCK], 5 * block, &[0; 10])),
        ("/zeros", hole(&vec![0; 8 * BLOCK], 0, b"")),
    ]);
    assert!(check(&all) <= 4096);
}

#[test]
fn a_hole_of_a_tebibyte_takes_little_time() {
    let start = Instant::now();
    let mut writer =
        Writer::new(tempfile::tempfile().unwrap(), 0, &options(Compression::Zstd(6), 1)).unwrap();
    let mut tree = Tree::new(meta(0o755));
    let sparse = push(&mut writer, &[Part::Hole(MAX_FILE - 1), Part::Data(b"x".to_vec())], 10).unwrap();
    let id = tree.add(Inode { meta: meta(0), kind: Kind::File(sparse) }).unwrap();
    put(&mut tree, b"/sparse", id);
    for parts in [
        vec![Part::Hole(MAX_FILE + 1)],
        vec![Part::Hole(MAX_FILE), Part::Data(vec![1])],
        vec![Part::Hole(u64::MAX)],
    ] {
        assert!(matches!(push(&mut writer, &parts, 10), Err(SquashfsError::FileTooLarge)));
    }
    // Refused files leave nothing.
    let (image, finished) = finish(writer, &tree);
    assert!(image.len() < 100_000 && finished.inodes == 2, "{}", image.len());
    assert!(start.elapsed() < Duration::from_mins(1));

    let mut writer =
        Writer::new(tempfile::tempfile().unwrap(), 0, &options(Compression::Zstd(1), 1)).unwrap();
    let mut tree = Tree::new(meta(0o755));
    let sparse = push(&mut writer, &[Part::Hole(MAX_FILE)], 10).unwrap();
    for number in 0..9 {
        let id = tree.add(Inode { meta: meta(0), kind: Kind::File(sparse) }).unwrap();
        put(&mut tree, format!("/{number}").as_bytes(), id);
    }
    let error = writer.finish(&tree).unwrap_err().to_string();
    assert_eq!(error, "/8: the image's files have more than 8 TiB, counting holes");
}

#[test]
fn what_is_there_already_is_not_stored_again() {
    let alone = check(&files([("/a", file(1, 3 * BLOCK + 10)), ("/b", file(2, 100))]));
    let all = files([
        ("/a", file(1, 3 * BLOCK + 10)),
        ("/a2", file(1, 3 * BLOCK + 10)),
        ("/b", file(2, 100)),
        ("/b2", file(2, 100)),
        ("/c", file(1, 3 * BLOCK)),
        ("/d", Thing::File(vec![Part::Data([bytes(1, 3 * BLOCK), bytes(2, 100)].concat())])),
        ("/e", file(0, 0)),
    ]);
    assert_eq!(check(&all), alone);
    let (_, finished) = write(&all, &options(Compression::Gzip(6), 2), 0, BLOCK);
    assert_eq!((finished.duplicates, finished.fragments, finished.inodes), (4, 1, 8));
}

#[test]
fn a_long_file_that_is_there_already_is_taken_back() {
    // More than is written at once, so that the way back leads into the file.
    let noise: Vec<u8> =
        (0..1_000_000_u64).flat_map(|n| n.wrapping_mul(n ^ 0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    let file = |more: &[u8]| Thing::File(vec![Part::Data([noise.as_slice(), more].concat())]);
    let alone = check(&files([("/a", file(b"")), ("/c", file(b"end"))]));
    let all = files([("/a", file(b"")), ("/b", file(b"")), ("/c", file(b"end"))]);
    assert!(alone > 2 * 1024 * 1024 && check(&all) == alone);
}

#[test]
fn names_of_one_inode_are_one_file() {
    let mut writer =
        Writer::new(tempfile::tempfile().unwrap(), 0, &options(Compression::Zstd(6), 2)).unwrap();
    let mut tree = Tree::new(meta(0o755));
    let content = push(&mut writer, &[Part::Data(bytes(1, BLOCK + 1))], BLOCK).unwrap();
    let id = tree.add(Inode { meta: meta(0o644), kind: Kind::File(content) }).unwrap();
    let folder = tree.add(Inode { meta: meta(0o755), kind: Kind::Directory(BTreeMap::default()) }).unwrap();
    for (path, id) in [(b"/d".as_slice(), folder), (b"/a", id), (b"/b", id), (b"/d/c", id)] {
        put(&mut tree, path, id);
    }
    tree.add(Inode { meta: meta(0), kind: Kind::Fifo }).unwrap();
    let (image, finished) = finish(writer, &tree);
    assert_eq!(finished.inodes, 3);
    let read = read(&image, 0);
    assert_eq!(read.len(), 4);
    assert!(read[b"/a".as_slice()] == read[b"/d/c".as_slice()]);
}

#[test]
fn files_that_are_left_do_not_appear() {
    let image = |leave: bool| {
        let mut writer =
            Writer::new(tempfile::tempfile().unwrap(), 0, &options(Compression::Gzip(1), 2)).unwrap();
        let mut tree = Tree::new(meta(0o755));
        for number in 0..6 {
            if leave {
                let mut file = writer.begin();
                file.write(&bytes(100 + number, 40_000 * usize::try_from(number).unwrap())).unwrap();
                file.hole(number * 50_000).unwrap();
            }
            let content = push(&mut writer, &[Part::Data(bytes(number, 60_000))], 1000).unwrap();
            let id = tree.add(Inode { meta: meta(0o644), kind: Kind::File(content) }).unwrap();
            put(&mut tree, format!("/{number}").as_bytes(), id);
        }
        finish(writer, &tree).0
    };
    assert!(image(true) == image(false));
}

#[test]
fn a_large_folder_is_read_back() {
    let names =
        (0..20_000_u32).map(|number| (format!("/file-{number:07}").into_bytes(), (Thing::Fifo, meta(0o644))));
    check(&names.collect());
}

#[test]
fn a_deep_path_is_read_back() {
    let mut path = Vec::new();
    let mut all = Files::new();
    for _ in 0..300 {
        path.extend_from_slice(b"/d");
        all.insert(path.clone(), (Thing::Folder, meta(0o755)));
    }
    check(&all);
}

#[test]
fn a_tree_that_is_deeper_than_a_stack_is_written() {
    let writer = Writer::new(tempfile::tempfile().unwrap(), 0, &options(Compression::Zstd(1), 1)).unwrap();
    let mut tree = Tree::new(meta(0o755));
    let mut parent = tree.root();
    for _ in 0..200_000 {
        let id = tree.add(Inode { meta: meta(0o755), kind: Kind::Directory(BTreeMap::default()) }).unwrap();
        tree.link(parent, "d", id);
        parent = id;
    }
    assert_eq!(writer.finish(&tree).unwrap().inodes, 200_001);
}

/// The error of a tree with one thing in it.
fn refusal(kind: Kind, meta: Meta) -> String {
    let writer = Writer::new(tempfile::tempfile().unwrap(), 0, &options(Compression::Gzip(1), 1)).unwrap();
    let mut tree = Tree::new(Meta::default());
    let id = tree.add(Inode { meta, kind }).unwrap();
    put(&mut tree, b"/thing", id);
    writer.finish(&tree).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_stored_is_named() {
    let xattrs = |name: &str, length| Meta {
        xattrs: [(name.as_bytes().to_vec(), vec![0; length])].into_iter().collect(),
        ..Meta::default()
    };
    for (kind, meta, part) in [
        (Kind::Symlink(vec![b'x'; 4097]), meta(0), "4096"),
        (Kind::Block(4096, 0), meta(0), "device"),
        (Kind::Character(0, 1 << 20), meta(0), "device"),
        (Kind::File(Content(0)), meta(0), "content"),
        (Kind::Fifo, meta(0o10000), "mode"),
        (Kind::Fifo, xattrs("system.posix_acl_access", 1), "system.posix_acl_access"),
        (Kind::Fifo, xattrs("user.a", 65537), "64 KiB"),
    ] {
        let error = refusal(kind, meta);
        assert!(error.starts_with("/thing: ") && error.contains(part), "{error}");
    }
}

#[test]
fn owners_are_limited_to_what_fits() {
    let image = |count| {
        let writer =
            Writer::new(tempfile::tempfile().unwrap(), 0, &options(Compression::Zstd(1), 1)).unwrap();
        let mut tree = Tree::new(Meta::default());
        for uid in 0..count {
            let id = tree.add(Inode { meta: Meta { uid, ..Meta::default() }, kind: Kind::Fifo }).unwrap();
            tree.link(tree.root(), format!("{uid}"), id);
        }
        writer.finish(&tree)
    };
    image(65535).unwrap();
    let error = image(65536).unwrap_err().to_string();
    assert_eq!(error, "there are too many owners and groups: 65535 is the most that squashfs can have");
}

#[test]
fn levels_that_there_are_not_are_refused() {
    for compression in
        [Compression::Gzip(0), Compression::Gzip(13), Compression::Zstd(0), Compression::Zstd(23)]
    {
        let writer = Writer::new(tempfile::tempfile().unwrap(), 0, &options(compression, 1));
        assert!(matches!(writer.err(), Some(SquashfsError::Compression { .. })));
    }
}

#[test]
fn a_full_disk_is_said_and_ends_the_threads() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for threads in [1, 3] {
        let mut writer = Writer::new(full(), 0, &options(Compression::Zstd(1), threads)).unwrap();
        let mut failed = None;
        for seed in 0..500 {
            if let Err(error) =
                push(&mut writer, &[Part::Data(bytes(seed % 7 + seed * 8, BLOCK * 3 / 2))], BLOCK)
            {
                failed = Some(error);
                break;
            }
        }
        let error = failed.unwrap();
        assert!(
            matches!(&error, SquashfsError::Io { source, .. } if source.raw_os_error() == Some(28)),
            "{error}"
        );
        assert_eq!(error.to_string(), "cannot write the image: No space left on device (os error 28)");
        assert!(matches!(writer.begin().write(&vec![1; 2 * BLOCK]), Err(SquashfsError::Stopped)));
        assert!(matches!(writer.finish(&Tree::new(Meta::default())), Err(SquashfsError::Stopped)));
    }
    // And what shows only at the end.
    let writer = Writer::new(full(), 0, &options(Compression::Zstd(1), 2)).unwrap();
    assert!(matches!(writer.finish(&Tree::new(Meta::default())), Err(SquashfsError::Io { .. })));
}

#[test]
fn a_writer_that_is_dropped_ends_its_threads() {
    for count in [0, 1, 40] {
        let mut writer =
            Writer::new(tempfile::tempfile().unwrap(), 0, &options(Compression::Gzip(9), 3)).unwrap();
        for seed in 0..count {
            push(&mut writer, &[Part::Data(bytes(seed, BLOCK + 10))], BLOCK).unwrap();
        }
    }
}

#[test]
fn what_the_file_had_before_is_gone() {
    let make = |file: File| {
        let writer = Writer::new(file, 100, &options(Compression::Gzip(6), 1)).unwrap();
        finish(writer, &Tree::new(Meta::default())).0
    };
    let old = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&old, &vec![7; 50_000], 0).unwrap();
    let image = make(old);
    assert!(image[..100] == [7; 100] && image[100..] == make(tempfile::tempfile().unwrap())[100..]);
}

/// A name of few, so that folders fill; a slash or a null byte cannot be in it.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![b"a".to_vec(), b"b".to_vec(), b"\xff\x01".to_vec(), b"\n".to_vec()]),
        prop::collection::vec(prop_oneof![1..b'/', b'0'..=255], 1..20)
            .prop_filter("no real name", |name| name != b"." && name != b".."),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    let length = prop_oneof![0..300_usize, BLOCK - 2..BLOCK + 3, 2 * BLOCK - 1..2 * BLOCK + 2, 0..3 * BLOCK];
    // Few seeds, so that some contents are the same.
    let data = (0..3_u64, length.clone()).prop_map(|(seed, length)| Part::Data(bytes(seed, length)));
    let zeros = length.clone().prop_map(|length| Part::Data(vec![0; length]));
    prop_oneof![4 => data, 1 => zeros, 2 => length.prop_map(|length| Part::Hole(length as u64))]
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        3 => Just(Thing::Folder),
        8 => prop::collection::vec(part(), 0..4).prop_map(Thing::File),
        1 => prop::collection::vec(1..=255_u8, 1..100).prop_map(Thing::Symlink),
        1 => (0..4096_u32, 0..1_u32 << 20).prop_map(|(major, minor)| Thing::Block(major, minor)),
        1 => (0..4096_u32, 0..1_u32 << 20).prop_map(|(major, minor)| Thing::Character(major, minor)),
        1 => Just(Thing::Fifo),
        1 => Just(Thing::Socket),
    ]
}

/// A tree: each thing comes into one of the folders that are there.
fn tree() -> impl Strategy<Value = Files> {
    let owner = prop_oneof![0..3_u32, any::<u32>()];
    let meta = (0..=0o7777_u16, owner.clone(), owner, any::<u32>())
        .prop_map(|(mode, uid, gid, mtime)| Meta { mode, uid, gid, mtime, xattrs: XattrSet::default() });
    prop::collection::vec((any::<prop::sample::Index>(), name(), thing(), meta), 0..40).prop_map(|things| {
        let mut files = Files::new();
        let mut folders = vec![Vec::new()];
        for (folder, name, thing, meta) in things {
            let path = [folder.get(&folders), b"/".as_slice(), &name].concat();
            files.entry(path.clone()).or_insert_with(|| {
                if thing == Thing::Folder {
                    folders.push(path);
                }
                (thing, meta)
            });
        }
        files
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tree_is_read_back_and_always_the_same(files in tree(), chunk in 1000..300_000_usize, zstd: bool) {
        let compression = if zstd { Compression::Zstd(3) } else { Compression::Gzip(4) };
        let (image, _) = write(&files, &options(compression, 1), 0, BLOCK);
        prop_assert!(read(&image, 0) == expected(&files));
        for threads in [2, 7] {
            let (again, _) = write(&files, &options(compression, threads), 0, chunk);
            prop_assert!(again == image, "{} threads", threads);
        }
    }
}

//! One rule each: what layers do to each other.

use super::build::Head;
use super::*;

fn base() -> Tar {
    Tar::new()
        .folder("usr/", 0o755)
        .folder("usr/lib/", 0o755)
        .file("usr/lib/a", "A")
        .symlink("lib", "usr/lib")
}

#[track_caller]
fn check<const N: usize>(layers: Vec<Tar>, expected: [&str; N]) {
    assert_eq!(lines(layers.into_iter().map(Tar::end).collect()), expected);
}

const USR: &str = "/usr folder 755";
const LIB: &str = "/usr/lib folder 755";
const LINK: &str = "/lib -> usr/lib 777";
const A: &str = "/usr/lib/a file A 644";

#[test]
fn a_deletion_hides_what_lower_layers_have_wherever_it_stands() {
    let lower = || Tar::new().file("d/a", "A").file("q", "Q");
    check(
        vec![lower(), Tar::new().gone("q").gone("nothing").gone("no/where")],
        ["/d folder 755", "/d/a file A 644"],
    );
    check(
        vec![lower(), Tar::new().file("d/b", "B").gone("d").gone("q")],
        ["/d folder 755", "/d/b file B 644"],
    );
    check(vec![lower(), Tar::new().gone("d").file("q", "new").gone("q")], ["/q file new 644"]);
    check(
        vec![lower(), Tar::new().file("d/b", "B").opaque("d").gone("q")],
        ["/d folder 755", "/d/b file B 644"],
    );
    check(vec![lower(), Tar::new().opaque("").file("n", "N")], ["/n file N 644"]);
    check(
        vec![lower(), Tar::new().opaque("d"), Tar::new().file("d/a", "2")],
        ["/d folder 755", "/d/a file 2 644", "/q file Q 644"],
    );
    check(
        vec![lower(), Tar::new().gone("d"), Tar::new().folder("d", 0o700)],
        ["/d folder 700", "/q file Q 644"],
    );
}

#[test]
fn what_aufs_has_left_is_skipped() {
    let tar = Tar::new()
        .file(".wh..wh.aufs", "")
        .file(".wh..wh.plnk/1.2", "x")
        .file("d/.wh..wh.orph/x", "")
        .file("f", "F");
    let (merged, memory) = merge(vec![tar.end()]).unwrap();
    assert_eq!((merged.skipped, memory.files.len()), (3, 1));
    assert_eq!(lines_of(&listing(&merged, &memory)), ["/f file F 644"]);
}

#[test]
fn folders_merge_and_other_things_replace() {
    let lower = || Tar::new().folder("d", 0o700).file("d/a", "A");
    check(vec![lower(), Tar::new().folder("d", 0o755)], ["/d folder 755", "/d/a file A 644"]);
    check(
        vec![lower(), Tar::new().file("d/b", "B")],
        ["/d folder 700", "/d/a file A 644", "/d/b file B 644"],
    );
    check(vec![lower(), Tar::new().file("d", "D")], ["/d file D 644"]);
    check(vec![lower(), Tar::new().file("d", "D"), Tar::new().folder("d", 0o711)], ["/d folder 711"]);
    check(
        vec![lower(), Tar::new().file("d/a/b", "B")],
        ["/d folder 700", "/d/a folder 755", "/d/a/b file B 644"],
    );
    check(vec![lower().folder("d", 0o711).file("d/a", "2")], ["/d folder 711", "/d/a file 2 644"]);
}

#[test]
fn entries_go_through_links_inside_the_root() {
    let x = "/usr/lib/x file X 644";
    check(vec![base(), Tar::new().file("lib/x", "X")], [LINK, USR, LIB, A, x]);
    check(vec![base().file("lib/x", "X")], [LINK, USR, LIB, A, x]);
    check(vec![base(), Tar::new().gone("lib/a")], [LINK, USR, LIB]);
    check(vec![base(), Tar::new().opaque("lib").file("lib/x", "X")], [LINK, USR, LIB, x]);
    // As Apptainer 1.4 does it: a folder's own entry takes the link's place.
    check(
        vec![base(), Tar::new().folder("lib/", 0o700).file("lib/x", "X")],
        ["/lib folder 700", "/lib/x file X 644", USR, LIB, A],
    );
    check(
        vec![base(), Tar::new().gone("lib").file("lib/x", "X")],
        ["/lib folder 755", "/lib/x file X 644", USR, LIB, A],
    );
    check(vec![base(), Tar::new().file("lib/x", "X").gone("lib")], [USR, LIB, A, x]);
    // A link to a link, an absolute one, one that leads above the root, one to nothing.
    let links = Tar::new().symlink("one", "/two").symlink("two", "../../three").folder("three", 0o700);
    check(
        vec![links, Tar::new().file("one/f", "F")],
        ["/one -> /two 777", "/three folder 700", "/three/f file F 644", "/two -> ../../three 777"],
    );
    check(
        vec![Tar::new().symlink("l", "no/where"), Tar::new().file("l/x", "X")],
        ["/l -> no/where 777", "/no folder 755", "/no/where folder 755", "/no/where/x file X 644"],
    );
    check(
        vec![Tar::new().file("f", "F").symlink("l", "f"), Tar::new().file("l/x", "X")],
        ["/f folder 755", "/f/x file X 644", "/l -> f 777"],
    );
}

#[test]
fn a_middle_layer_that_a_link_hides_is_the_one_that_is_passed_in_vain() {
    let layers =
        vec![base().end(), Tar::new().file("lib/x", "1").end(), Tar::new().file("usr/lib/x", "2").end()];
    let (merged, memory) = merge(layers).unwrap();
    assert_eq!(lines_of(&listing(&merged, &memory)), [LINK, USR, LIB, A, "/usr/lib/x file 2 644"]);
    assert_eq!((merged.in_vain.files, merged.hidden.files, merged.again), (1, 0, 0));
}

#[test]
fn links_that_lead_to_each_other_are_an_error() {
    let layers =
        vec![Tar::new().symlink("a", "b").symlink("b", "a").end(), Tar::new().file("a/x", "X").end()];
    let error = merge(layers).unwrap_err();
    assert_eq!(error.to_string(), "layer layer1: a/x: too many symbolic links on the way to it");
}

#[test]
fn hard_links_share_what_they_link_to() {
    let f = || Tar::new().file("f", "F");
    check(vec![f().hard("h", "./f").hard("i", "/h")], ["/f file F 644", "/h = /f", "/i = /f"]);
    check(vec![f(), Tar::new().hard("h", "f")], ["/f file F 644", "/h = /f"]);
    check(vec![f().hard("h", "f"), Tar::new().file("f", "2")], ["/f file 2 644", "/h file F 644"]);
    check(vec![f(), Tar::new().hard("h", "f"), Tar::new().gone("f")], ["/h file F 644"]);
    check(vec![f(), Tar::new().hard("h", "f").gone("f")], ["/h file F 644"]);
    check(vec![f(), Tar::new().hard("h", "f").file("f", "2")], ["/f file 2 644", "/h file F 644"]);
    check(vec![f().symlink("s", "f").hard("h", "s")], ["/f file F 644", "/h -> f 777", "/s = /h"]);
    check(vec![base(), Tar::new().hard("h", "lib/a")], ["/h file A 644", LINK, USR, LIB, "/usr/lib/a = /h"]);
    for (layers, message) in [
        (vec![f().hard("h", "z")], "h: it is a hard link to z, which is not there"),
        (vec![f().hard("f", "f")], "f: it is a hard link to f, which is not there"),
        (vec![f(), Tar::new().gone("f").hard("h", "f")], "h: it is a hard link to f, which is not there"),
        (vec![f().folder("d", 0o755).hard("h", "d")], "h: it is a hard link to d, which is a folder"),
        (vec![f().hard("h", "/")], "h: it is a hard link to /, which is a folder"),
    ] {
        let error = merge(layers.into_iter().map(Tar::end).collect()).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn a_hidden_file_that_a_later_link_of_its_layer_shows_is_read_again() {
    let lower = Tar::new().file("bin/perl", "P").hard("bin/perl5", "bin/perl");
    let (merged, memory) = merge(vec![lower.clone().end(), Tar::new().gone("bin/perl").end()]).unwrap();
    assert_eq!(lines_of(&listing(&merged, &memory)), ["/bin folder 755", "/bin/perl5 file P 644"]);
    assert_eq!((merged.again, merged.in_vain.files, merged.hidden.files), (1, 0, 0));
    let both = Tar::new().gone("bin/perl").gone("bin/perl5");
    let (merged, memory) = merge(vec![lower.end(), both.end()]).unwrap();
    assert_eq!((merged.again, memory.files.len(), merged.hidden.files), (0, 0, 1));
}

#[test]
fn a_layer_need_not_name_all_folders_above_what_an_upper_one_hides() {
    let lowest = base().folder("usr/x/", 0o755).end();
    let middle = Tar::new().folder("usr/lib/p/", 0o755).file("usr/lib/p/f", "F").folder("lib/q", 0o755);
    let middle = middle.file("lib/q/f", "F").file("usr/lib/r", "R").end();
    let top = Tar::new().gone("usr/lib/p").folder("lib/q", 0o755).opaque("lib/q").gone("usr/lib/r").end();
    let (merged, memory) = merge(vec![lowest, middle, top]).unwrap();
    let q = "/usr/lib/q folder 755";
    assert_eq!(lines_of(&listing(&merged, &memory)), [LINK, USR, LIB, A, q, "/usr/x folder 755"]);
    assert_eq!((merged.in_vain.files, merged.hidden.files, merged.again), (0, 3, 0));
}

#[test]
fn what_is_hidden_is_not_passed_on() {
    let lower =
        Tar::new().file("usr/bin/x", "old").folder("opt", 0o755).file("opt/y", "gone").file("etc/z", "Z");
    let upper = Tar::new().folder("usr", 0o755).folder("usr/bin", 0o755).file("usr/bin/x", "new").gone("opt");
    let (merged, memory) = merge(vec![lower.end(), upper.end()]).unwrap();
    assert_eq!(memory.files, [b"new".to_vec(), b"Z".to_vec()]);
    assert_eq!(merged.hidden, Count { files: 2, bytes: 7 });
    assert_eq!((merged.files, merged.entries), (Count { files: 2, bytes: 4 }, 8));
}

#[test]
fn names_are_brought_to_one_form_or_refused() {
    check(
        vec![Tar::new().file("./a//b", "1").file("/a/./c", "2").folder("./", 0o750)],
        ["/a folder 755", "/a/b file 1 644", "/a/c file 2 644"],
    );
    let (merged, _) = merge(vec![Tar::new().folder("/", 0o1750).end()]).unwrap();
    assert_eq!(merged.tree.inode(merged.tree.root()).meta.mode, 0o1750);
    let long = "x".repeat(256);
    let longer = "yy/".repeat(1366);
    for (tar, fault) in [
        (Tar::new().file("a/../b", ""), EntryFault::Parent),
        (Tar::new().hard("a", "../b"), EntryFault::Parent),
        (Tar::new().file("", ""), EntryFault::Empty),
        (Tar::new().pax(&[("path", b"a\0b")]).file("x", ""), EntryFault::Zero),
        (Tar::new().pax(&[("path", long.as_bytes())]).file("x", ""), EntryFault::LongPart),
        (Tar::new().pax(&[("path", longer.as_bytes())]).file("x", ""), EntryFault::LongName),
        (Tar::new().file("a/.wh.", ""), EntryFault::Whiteout),
        (Tar::new().file(".wh...", ""), EntryFault::Whiteout),
        (Tar::new().file("a/.wh./b", ""), EntryFault::Marker),
        (Tar::new().folder("a/.wh.b/c", 0o755), EntryFault::Marker),
        (Tar::new().symlink("a", ".wh.b").file("a/c", ""), EntryFault::Marker),
        (
            Tar::new().pax(&[("linkpath", long.as_bytes())]).symlink("a", "x").file("a/c", ""),
            EntryFault::LongPart,
        ),
        (Tar::new().symlink("/", "x"), EntryFault::Root),
        (Tar::new().symlink("x", ""), EntryFault::NoTarget),
    ] {
        match merge(vec![tar.end()]).unwrap_err() {
            LayerError::Entry { fault: found, .. } => assert_eq!(found, fault),
            other => panic!("{other}"),
        }
    }
    let (merged, _) = merge(vec![Tar::new().head(Head::new(b"\xff\xfe", b'0', 0)).end()]).unwrap();
    assert!(merged.tree.child(merged.tree.root(), b"\xff\xfe").is_some());
}

#[test]
fn devices_and_attributes_are_kept_as_they_are() {
    let mut device = Head::new("null", b'3', 0).mode(0o666);
    device.put(329, b"0000001\0").put(337, b"0000003\0");
    let tar = Tar::new()
        .head(device)
        .head(Head::new("zero", b'3', 0))
        .head(Head::new("pipe", b'6', 0))
        .pax(&[
            ("SCHILY.xattr.security.capability", b"\x01\0\n="),
            ("SCHILY.xattr.system.posix_acl_access", b"x"),
            ("LIBARCHIVE.xattr.user.a%3Db", b"TWFu"),
            ("uid", b"4294967295"),
            ("mtime", b"-5.25"),
        ])
        .head(Head::new("f", b'0', 0).mode(0o6755));
    let lower = Tar::new().file("zero", "not deleted by a device with the numbers 0 and 0");
    let (merged, memory) = merge(vec![lower.end(), tar.end()]).unwrap();
    assert_eq!(
        lines_of(&listing(&merged, &memory)),
        ["/f file  6755", "/null Character(1, 3) 666", "/pipe Fifo 644", "/zero Character(0, 0) 644"]
    );
    let meta = &merged.tree.inode(merged.tree.child(merged.tree.root(), b"f").unwrap()).meta;
    let xattrs: Vec<_> = meta.xattrs.iter().collect();
    assert_eq!(xattrs, [(&b"security.capability"[..], &b"\x01\0\n="[..]), (b"user.a=b", b"Man")]);
    assert_eq!((meta.uid, meta.mtime, merged.dropped_xattrs), (u32::MAX, 0, 1));
}

#[test]
fn progress_is_told_from_the_top_down() {
    let mut told = Vec::new();
    let mut source = stored(vec![Tar::new().file("a", "A").end(), Tar::new().file("b", "B").end()]);
    apply(&mut source, &mut Memory::default(), &Limits::default(), &mut |progress| told.push(progress))
        .unwrap();
    let done = |layer| Progress { layer, bytes: 2048, again: false, done: true };
    assert_eq!(told, [done(1), done(0)]);
}

use super::super::tests::build::{Head, Tar};
use super::*;

type Pieces = Vec<(u64, Vec<u8>)>;

fn all(tar: &[u8]) -> Result<Vec<(Entry, Pieces)>, TarError> {
    // Small buffers, so that every border is met.
    let mut reader = Reader::new(io::BufReader::with_capacity(100, tar));
    let mut entries = Vec::new();
    while let Some(entry) = reader.entry()? {
        let (mut pieces, mut at) = (Pieces::new(), 0);
        while let Some(piece) = reader.piece()? {
            match piece {
                Piece::Hole(bytes) => at += bytes,
                Piece::Data(bytes) => {
                    match pieces.last_mut().filter(|(start, last)| start + last.len() as u64 == at) {
                        Some((_, last)) => last.extend_from_slice(bytes),
                        None => pieces.push((at, bytes.to_vec())),
                    }
                    at += bytes.len() as u64;
                }
            }
        }
        assert_eq!(at, if entry.kind == EntryKind::File { entry.size } else { 0 });
        entries.push((entry, pieces));
    }
    Ok(entries)
}

fn one(tar: Tar) -> (Entry, Pieces) {
    let mut entries = all(&tar.end()).unwrap();
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

fn refused(tar: Tar) -> String {
    all(&tar.end()).unwrap_err().to_string()
}

#[test]
fn long_names_are_put_together() {
    let mut head = Head::new("file", b'0', 0);
    head.put(345, b"some/folder");
    assert_eq!(one(Tar::new().head(head)).0.name, b"some/folder/file");
    let mut head = Head::new("file", b'0', 0).gnu();
    head.put(345, b"no prefix");
    assert_eq!(one(Tar::new().head(head)).0.name, b"file");
    let long = format!("{}y", "x/".repeat(99));
    let tar =
        Tar::new().head(Head::new("././@LongLink", b'L', 200).gnu()).data(format!("{long}\0").as_bytes());
    let tar = tar.head(Head::new("././@LongLink", b'K', 200).gnu()).data(format!("{long}\0").as_bytes());
    let (entry, _) = one(tar.symlink("short", "short"));
    assert_eq!((entry.name, entry.link), (long.clone().into_bytes(), long.clone().into_bytes()));
    let tar = Tar::new().pax(&[
        ("path", long.as_bytes()),
        ("linkpath", b"l"),
        ("size", b"3"),
        ("uid", b"7"),
        ("gid", b"8"),
    ]);
    let (entry, pieces) = one(tar.head(Head::new("short", b'0', 0)).data(b"abc"));
    assert_eq!((entry.name, entry.uid, entry.gid, entry.size), (long.into_bytes(), 7, 8, 3));
    assert_eq!(pieces, [(0, b"abc".to_vec())]);
}

#[test]
fn a_global_header_holds_until_it_is_taken_back() {
    let tar = Tar::new().extended(b'g', &[("uid", b"5"), ("comment", b"x")]).file("a", "");
    let tar =
        tar.pax(&[("uid", b"6")]).file("b", "").file("c", "").extended(b'g', &[("uid", b"")]).file("d", "");
    let uids: Vec<u32> = all(&tar.end()).unwrap().into_iter().map(|(entry, _)| entry.uid).collect();
    assert_eq!(uids, [5, 6, 5, 0]);
}

#[test]
fn a_global_header_says_nothing_of_names_sizes_and_attributes() {
    let records: [(&str, &[u8]); 7] = [
        ("path", b"other"),
        ("linkpath", b"other"),
        ("size", b"1"),
        ("GNU.sparse.name", b"other"),
        ("GNU.sparse.map", b"0,1"),
        ("SCHILY.xattr.user.x", b"y"),
        ("mtime", b"5"),
    ];
    let tar = Tar::new().extended(b'g', &records).file("a", "text").symlink("b", "a").end();
    let entries = all(&tar).unwrap();
    let told = |(entry, _): &(Entry, Pieces)| {
        (entry.name.clone(), entry.link.clone(), entry.size, entry.mtime, entry.xattrs.len())
    };
    let told: Vec<_> = entries.iter().map(told).collect();
    assert_eq!(told, [(b"a".to_vec(), vec![], 4, 5, 0), (b"b".to_vec(), b"a".to_vec(), 0, 5, 0)]);
}

#[test]
fn only_the_oldest_type_makes_a_folder_of_a_slash() {
    for (flag, kind) in [(0, EntryKind::Folder), (b'0', EntryKind::File), (b'5', EntryKind::Folder)] {
        let (entry, _) = one(Tar::new().head(Head::new("name/", flag, 0)));
        assert_eq!(entry.kind, kind, "{flag}");
    }
}

#[test]
fn old_ways_to_say_things_are_known() {
    let mut v7 = Head::new("folder/", 0, 0);
    v7.put(257, &[0; 8]);
    assert_eq!(one(Tar::new().head(v7)).0.kind, EntryKind::Folder);
    assert_eq!(one(Tar::new().head(Head::new("f", b'7', 3)).data(b"abc")).0.kind, EntryKind::File);
    let mut large = Head::new("f", b'0', 0);
    large
        .put(108, b"\x80\0\0\0\xff\xff\xff\xff")
        .put(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    let (entry, _) = one(Tar::new().head(large));
    assert_eq!((entry.uid, entry.mtime), (u32::MAX, 0));
    // A signed sum of bytes above 127.
    let mut block = Head::new("\u{e9}\u{e9}", b'0', 0).done();
    let sum: i64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { i64::from(byte.cast_signed()) })
        .sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(all(&block).unwrap().len(), 1);
    // A volume has a name, and links and folders have no bytes whatever they say.
    let tar = Tar::new()
        .head(Head::new("volume", b'V', 0))
        .head(Head::new("d", b'5', 77))
        .head(Head::new("l", b'1', 99));
    assert_eq!(all(&tar.end()).unwrap().len(), 2);
}

#[test]
fn sparse_files_have_holes() {
    let data = [[b'a'; 512], [b'b'; 512]].concat();
    let expected: Pieces = vec![(1024, vec![b'a'; 512]), (4096, vec![b'b'; 512])];
    let octal = |number: u64| format!("{number:011o}\0").into_bytes();
    let mut old = Head::new("s", b'S', 1024).gnu();
    old.put(386, &octal(1024)).put(398, &octal(512)).put(410, &octal(4096)).put(422, &octal(512));
    old.put(434, &octal(8192)).put(446, &octal(0)).put(483, &octal(8192));
    let (entry, pieces) = one(Tar::new().head(old).data(&data));
    assert_eq!((entry.size, &pieces), (8192, &expected));

    // Five pieces: the last one in a block of its own.
    let mut long = Head::new("s", b'S', 5).gnu();
    for piece in 0..4 {
        long.put(386 + 24 * piece, &octal(piece as u64 * 10)).put(398 + 24 * piece, &octal(1));
    }
    long.put(482, &[1]).put(483, &octal(50));
    let mut more = vec![0; 512];
    more[..12].copy_from_slice(&octal(40));
    more[12..24].copy_from_slice(&octal(1));
    let (_, pieces) = one(Tar::new().head(long).data(&more).data(b"abcde"));
    assert_eq!(pieces.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);

    let size: (&str, &[u8]) = ("GNU.sparse.size", b"8192");
    let tables = [
        vec![
            size,
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"1024"),
            ("GNU.sparse.numbytes", b"512"),
            ("GNU.sparse.offset", b"4096"),
            ("GNU.sparse.numbytes", b"512"),
        ],
        vec![size, ("GNU.sparse.numblocks", b"2"), ("GNU.sparse.map", b"1024,512,4096,512")],
    ];
    for table in tables {
        let (entry, pieces) = one(Tar::new().pax(&table).head(Head::new("s", b'0', 1024)).data(&data));
        assert_eq!((entry.size, &pieces), (8192, &expected));
    }

    let version: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"real"),
        ("GNU.sparse.realsize", b"8192"),
    ];
    let tar = Tar::new().pax(&version).head(Head::new("GNUSparseFile.1/s", b'0', 1536));
    let (entry, pieces) = one(tar.data(b"2\n1024\n512\n4096\n512\n").data(&data));
    assert_eq!((&entry.name[..], entry.size, &pieces), (&b"real"[..], 8192, &expected));
}

#[test]
fn maps_that_cannot_be_are_refused() {
    for map in [
        "1024,512,1025,512",
        "4096,512,1024,512",
        "1024,512,8000,512",
        "0,512,1024,513",
        "0,512",
        "1024,512,4096",
        "-1,512,4096,512",
        "18446744073709551615,512,4096,512",
        "x",
    ] {
        let tar = Tar::new().pax(&[("GNU.sparse.size", b"8192"), ("GNU.sparse.map", map.as_bytes())]);
        let message = refused(tar.head(Head::new("s", b'0', 1024)).data(&[1; 1024]));
        assert!(message.contains("sparse") || message.contains("number"), "{map}: {message}");
    }
    for text in ["2\n0\n1\n", "x\n", "99999999\n", "1\n\n", "111111111111111111111111"] {
        let tar = Tar::new().pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"9"),
        ]);
        let _ = refused(tar.head(Head::new("s", b'0', 512)).data(text.as_bytes()));
    }
    let many: String = "0,0,".repeat(65_537);
    let tar = Tar::new()
        .pax(&[("GNU.sparse.size", b"1"), ("GNU.sparse.map", many.trim_end_matches(',').as_bytes())]);
    assert!(refused(tar.file("s", "")).contains("65536"));
}

#[test]
fn what_is_no_tar_of_an_image_is_refused() {
    let mut wrong = Tar::new().file("a", "b").end();
    wrong[0] ^= 1;
    assert!(matches!(all(&wrong), Err(TarError::Checksum)));
    assert!(refused(Tar::new().head(Head::new("a", b'M', 0))).contains("a has the type 'M'"));
    assert!(refused(Tar::new().pax(&[("path", b"a")])).contains("without an entry"));
    let mut behind = vec![0; 512];
    behind.extend(Tar::new().file("a", "").end());
    assert!(all(&behind).is_err());
    let mut huge = Head::new("a", b'0', 0);
    huge.put(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    assert!(refused(Tar::new().head(huge.clone())).contains("more than"));
    huge.block[156] = b'x';
    assert!(refused(Tar::new().head(huge)).contains("more than"));
    let mut negative = Head::new("a", b'0', 0);
    negative.put(124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    assert!(refused(Tar::new().head(negative)).contains("negative"));
    assert!(refused(Tar::new().pax(&[("size", b"99999999999999999")]).file("a", "")).contains("more than"));
    let long = vec![b'x'; 9000];
    assert!(refused(Tar::new().pax(&[("path", &long)]).file("a", "")).contains("name"));
    assert!(refused(Tar::new().head(Head::new("l", b'L', 9000)).data(&long)).contains("name"));
    let value = vec![b'x'; 65_536];
    assert!(refused(Tar::new().pax(&[("SCHILY.xattr.user.x", &value)]).file("a", "")).contains("attributes"));
    // 22,000 names of three bytes: more than Linux lists of one file.
    let names: Vec<String> = (0..22_000).map(|number| format!("SCHILY.xattr.{number:03x}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(refused(Tar::new().pax(&many).file("a", "")).contains("attributes"));
    let mut tar = Tar::new();
    for _ in 0..20 {
        tar = tar.pax(&[("path", b"a")]);
    }
    assert!(refused(tar.file("a", "")).contains("extended headers"));
}

//! A small image in which layers do all that layers can do.

use super::content::Content;
use super::item::{Format, Item, Layer, What};
use super::layout::{Config, Image};

/// A capability as Linux writes it (version 2): cap_net_raw, effective and permitted.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An image of one layer and three files, for what needs any image.
pub fn small() -> Image {
    let layer = Layer(vec![
        Item::folder("opt"),
        Item::text("opt/hello", "hello\n").mode(0o755),
        Item::symlink("opt/link", "hello"),
    ]);
    Image { layers: vec![layer], config: Config::default() }
}

/// What not everybody can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hard {
    /// A file of more than 4 GiB, nearly all of it holes.
    pub huge: bool,
    /// Sparse files in GNU tar's old format, which umoci, and so Apptainer, refuses ("unknown typeflag").
    pub old_sparse: bool,
}

/// An image with every feature.
pub fn features(hard: Hard) -> Image {
    let base = base();
    let empty = Layer::default();
    // The same bytes as a layer twice: one blob, applied two times.
    let again = Layer(vec![Item::text("opt/again", "the same layer\n").time(1_600_000_001, 0)]);
    let layers = vec![
        base,
        empty.clone(),
        links(),
        again.clone(),
        hidden(),
        odd(hard),
        again,
        replaced(),
        empty,
        through_links(),
    ];
    Image { layers, config: Config::default() }
}

fn base() -> Layer {
    let mut items = vec![
        Item::folder("./").mode(0o755).time(1_500_000_000, 0),
        Item::folder("bin"),
        Item::file("bin/sh", Content::Noise { seed: 1, bytes: 70_000 }).mode(0o755),
        Item::folder("etc"),
        Item::text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        Item::folder("tmp").mode(0o1777),
        Item::folder("./opt/"),
        Item::folder("opt/tool"),
        Item::folder("opt/tool/bin"),
        Item::text("opt/tool/bin/start", "#!/bin/sh\nexec \"$@\"\n").mode(0o755),
        Item::text("/opt/tool/absolute", "written with a slash in front\n"),
    ];
    // What upper layers hide, in whole and in parts.
    for folder in ["opaque", "opaque-after", "partly", "gone", "kept"] {
        items.push(Item::folder(format!("srv/{folder}")).owner(1000, 100).time(1_510_000_000, 0));
        for name in ["one", "two", "three"] {
            items.push(Item::text(format!("srv/{folder}/{name}"), format!("{folder} {name}\n")));
        }
        items.push(Item::folder(format!("srv/{folder}/deep")));
        items.push(Item::text(format!("srv/{folder}/deep/file"), "deep\n"));
    }
    items.push(Item::folder("srv/turns"));
    items.push(Item::folder("srv/turns/inside"));
    items.push(Item::text("srv/turns/inside/file", "lower\n"));
    items.push(Item::text("srv/file-turns", "a file\n"));
    items.push(Item::folder("srv/becomes-link"));
    items.push(Item::text("srv/becomes-link/old", "old\n"));
    items.push(Item::symlink("srv/link-becomes", "kept"));
    // Modes that keep even the owner out.
    items.push(Item::folder("closed").mode(0));
    items.push(Item::text("closed/file", "closed\n").mode(0).owner(1000, 1000));
    items.push(Item::text("setuid", "s\n").mode(0o4755));
    items.push(Item::text("setgid", "s\n").mode(0o2755).owner(0, 42));
    items.push(Item::text("sticky", "s\n").mode(0o1644));
    items.push(Item::folder("setgid-folder").mode(0o2775).owner(0, 50));
    // A block of many small files: inodes and names do not fit into one metadata block.
    items.push(Item::folder("many"));
    for number in 0..700 {
        let bytes = 10 + number * 7;
        let item = Item::file(format!("many/file-{number:04}"), Content::Code { seed: number, bytes });
        items.push(item.owner(u32::try_from(number % 5).expect("small"), 7));
    }
    Layer(items)
}

/// Hard links: in one layer, across layers, to what upper layers change.
fn links() -> Layer {
    let mut items = vec![
        Item::folder("links"),
        Item::text("links/a", "linked three times\n").owner(3, 4).mode(0o640).xattr("user.on", "all names"),
        Item::hard_link("links/b", "links/a"),
        Item::hard_link("links/c", "./links/b"),
        // A name of what a lower layer brought.
        Item::hard_link("links/lower", "srv/kept/one"),
        Item::text("links/source-hidden", "its first name will be hidden\n"),
        Item::hard_link("links/stays", "links/source-hidden"),
        Item::text("links/source-replaced", "its first name will be replaced\n"),
        Item::hard_link("links/stays-too", "links/source-replaced"),
        Item::symlink("links/soft", "a"),
        Item::hard_link("links/hard-to-soft", "links/soft"),
        Item::symlink("links/dangling", "/nowhere/at all"),
        Item::symlink("links/loop", "loop"),
        Item::symlink("links/up", "../../../../../etc/passwd"),
        Item::symlink("links/long", [b"x/".repeat(120), b"end".to_vec()].concat()),
    ];
    for format in [Format::Ustar, Format::Pax, Format::Gnu] {
        let name = format!("links/{format:?}-{}", "long-".repeat(45));
        items.push(Item::text(&name, "a long name\n").format(format));
        items.push(Item::hard_link(format!("links/{format:?}-to-long"), &name).format(format));
        let folders = format!("links/{format:?}/{}file", "folder/".repeat(20));
        items.push(Item::text(folders, "a long path\n").format(format));
    }
    Layer(items)
}

/// Markers: before and after what their own layer adds, for nothing, for folders.
fn hidden() -> Layer {
    Layer(vec![
        Item::opaque("srv/opaque"),
        Item::folder("srv/opaque").owner(1, 1).time(1_520_000_000, 0),
        Item::text("srv/opaque/new", "new\n"),
        // After its siblings, and it must not hide them.
        Item::folder("srv/opaque-after").owner(2, 2).time(1_520_000_001, 0),
        Item::text("srv/opaque-after/two", "new two\n"),
        Item::folder("srv/opaque-after/deep"),
        Item::text("srv/opaque-after/deep/new", "new\n"),
        Item::opaque("srv/opaque-after"),
        Item::whiteout("srv/partly/one"),
        Item::whiteout("srv/partly/deep"),
        Item::whiteout("srv/partly/never-was"),
        Item::whiteout("srv/gone"),
        Item::whiteout("never-was"),
        // What is hidden and brought anew by one layer is new: nothing of the old folder is left.
        Item::whiteout("srv/turns"),
        Item::folder("srv/turns").mode(0o700).time(1_520_000_002, 0),
        Item::text("srv/turns/upper", "upper\n"),
        Item::whiteout("links/source-hidden"),
        Item::text("links/source-replaced", "another file now\n").owner(9, 9),
        // A further name of what two layers below has several already.
        Item::hard_link("links/d", "links/c"),
    ])
}

/// Names, types, attributes and sizes that are seldom.
fn odd(hard: Hard) -> Layer {
    let mut items = vec![
        Item::folder("odd"),
        Item::text(b"odd/new\nline", "n\n"),
        Item::text(b"odd/not utf-8 \xff\xfe\x80", "b\n"),
        Item::text(b"odd/tab\tand \"quotes\" 'and' \\back\\ *?[", "q\n"),
        Item::text("odd/ünïcode-日本", "u\n"),
        Item::text(" leading and trailing ", "s\n"),
        Item::text("odd/-rf", "d\n"),
        Item::text(format!("odd/{}", "n".repeat(255)), "255\n"),
        Item::folder(format!("odd/{}", "f".repeat(255))).format(Format::Gnu),
        Item::text("odd/...", "dots\n"),
        Item::text("odd/.whatever", "no marker\n"),
        Item::text("odd/empty", ""),
        Item::text("odd/twice", "the first\n"),
        Item::text("odd/twice", "the second, which holds\n").owner(5, 6),
        Item::text("odd/time", "t\n").time(1_234_567_890, 987_654_321),
        Item::text("odd/epoch", "e\n").time(0, 0),
        Item::text("odd/far", "f\n").time(4_000_000_000, 0),
        Item::text("odd/ids", "i\n").owner(4_000_000_000, 3_999_999_999),
        Item::text("odd/gnu-ids", "i\n").owner(3_000_000_000, 2_999_999_999).format(Format::Gnu),
        Item::text("odd/capable", "c\n").mode(0o755).xattr("security.capability", CAPABILITY),
        Item::text("odd/noted", "x\n").xattr("user.a", "1").xattr("user.b", [0, 255, 10]),
        Item::text("odd/big-note", "x\n").xattr("user.big", vec![b'v'; 3000]),
        Item::folder("odd/noted-folder").xattr("user.folder", "yes"),
        Item::text("odd/trusted", "t\n").xattr("trusted.note", "t").format(Format::Gnu),
        Item::special("odd/null", What::Character(1, 3)).mode(0o666),
        Item::special("odd/disk", What::Block(259, 65_537)).owner(0, 6).mode(0o660),
        Item::special("odd/pipe", What::Fifo).mode(0o622),
        Item::hard_link("odd/pipe-too", "odd/pipe"),
    ];
    let pieces: Vec<_> =
        (0..60_u64).map(|n| (n * 50_000 + 4096, vec![b'a' + (n % 26) as u8; 1024])).collect();
    for format in [Format::Ustar, Format::Pax, Format::Gnu] {
        if format == Format::Gnu && !hard.old_sparse {
            continue;
        }
        let name = |what: &str| format!("odd/sparse-{what}-{format:?}");
        let sparse = Content::Sparse { bytes: 3_100_000, pieces: pieces.clone() };
        items.push(Item::file(name("ends-in-hole"), sparse).format(format));
        let sparse =
            Content::Sparse { bytes: 300_003, pieces: vec![(0, vec![1; 512]), (300_000, vec![2; 3])] };
        items.push(Item::file(name("ends-in-data"), sparse).format(format));
        let sparse = Content::Sparse { bytes: 200_000, pieces: Vec::new() };
        items.push(Item::file(name("is-a-hole"), sparse).format(format));
    }
    // Around the sizes of blocks: one less, all, one more.
    for bytes in [131_071, 131_072, 131_073, 1 << 20, (1 << 20) + 1] {
        items.push(Item::file(format!("odd/size-{bytes}"), Content::Noise { seed: bytes, bytes }));
    }
    // The same bytes under two names that are no links, and a whole block of zeros within a file.
    for name in ["odd/equal-1", "odd/equal-2"] {
        items.push(Item::file(name, Content::Noise { seed: 77, bytes: 400_000 }));
    }
    let holey = vec![Content::Noise { seed: 5, bytes: 131_072 }, zeros(262_144), Content::of("the end")];
    items.push(Item::file("odd/zeros-within", Content::All(holey)));
    items.push(Item::file("odd/pattern", Content::Pattern { seed: 6, bytes: 48 << 20 }));
    if hard.huge {
        let pieces = vec![(1 << 20, vec![b'n'; 4096]), ((4 << 30) + 12_345, b"after 4 GiB".to_vec())];
        items.push(Item::file("odd/huge", Content::Sparse { bytes: (4 << 30) + 1_000_000, pieces }));
    }
    Layer(items)
}

fn zeros(bytes: u64) -> Content {
    Content::Sparse { bytes, pieces: Vec::new() }
}

/// Things that become other things.
fn replaced() -> Layer {
    Layer(vec![
        Item::folder("srv/file-turns"),
        Item::text("srv/file-turns/inside", "a folder now\n"),
        Item::text("srv/turns", "a file now\n"),
        Item::symlink("srv/becomes-link", "kept"),
        Item::folder("srv/link-becomes"),
        Item::text("srv/link-becomes/inside", "a folder now\n"),
        Item::text("links/b", "no link any more\n"),
        // A folder over a folder: its own new metadata, what is in it stays.
        Item::folder("srv/kept").mode(0o711).owner(8, 8).time(1_530_000_000, 0).xattr("user.new", "1"),
        Item::text("phantom/one/two/file", "nobody named my folders\n"),
    ])
}

/// The last layer: paths that lead through symbolic links of lower layers, and a file that becomes a folder again.
fn through_links() -> Layer {
    Layer(vec![
        Item::text("srv/becomes-link/through", "in the folder kept\n"),
        Item::whiteout("srv/becomes-link/two"),
        Item::whiteout("srv/turns"),
        Item::folder("srv/turns").time(1_540_000_000, 0),
        Item::text("srv/turns/last", "a folder again\n"),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::expected;
    use super::*;

    #[test]
    fn the_model_says_of_the_features_what_people_would() {
        let tree = expected(&features(Hard::default()).layers);
        let has = |path: &str| tree.0.contains_key(path.as_bytes());
        assert!(has("srv/opaque/new") && !has("srv/opaque/one"));
        assert!(has("srv/opaque-after/deep/new") && !has("srv/opaque-after/deep/file"));
        assert!(has("srv/kept/through") && !has("srv/kept/two") && has("srv/kept/three"));
        assert!(has("srv/turns/last") && !has("srv/turns/upper") && !has("srv/gone"));
        let entry = |path: &str| &tree.0[path.as_bytes()];
        assert_eq!(entry("links/stays").group, None);
        assert_eq!(entry("links/d").group.as_deref(), Some(&b"links/a"[..]));
        assert_eq!(entry("links/lower").group.as_deref(), Some(&b"links/lower"[..]));
        assert_eq!((entry("odd/twice").uid, entry("phantom/one").mtime), (5, None));
    }
}

//! Layers of an enemy: whatever they are, they become a tree that a squashfs can have, or are refused.

use std::collections::BTreeSet;
use std::io::Read;
use std::num::NonZeroUsize;

use bf_core::layer::{self, Layer, Limits, Source};
use bf_core::squashfs::{Compression, InodeId, Kind, Options, Tree, Writer};
use sha2::{Digest as _, Sha256};

use crate::archive::{END, entry, extended, file, mend};
use crate::input::Input;
use crate::memory;

/// Little enough to be reached.
const LIMITS: Limits = Limits { bytes: 16 << 20, entries: 5_000, text: 1 << 20 };

/// Layers as they are, with their checksums put right, or made of deeds that mean something.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mode = input.byte() % 3;
    let layers = if mode == 2 { deeds(&mut input) } else { cut(&mut input, mode == 1) };
    let options = Options { compression: Compression::Zstd(1), threads: NonZeroUsize::MIN, mtime: 0 };
    let mut writer = Writer::new(memory(&[]), 0, &options).expect("a writer");
    let mut source = Layers(layers);
    let Ok(merged) = layer::apply(&mut source, &mut writer, &LIMITS, &mut |_| {}) else { return };
    check(&merged.tree);
    assert!(merged.entries <= LIMITS.entries && merged.unpacked <= LIMITS.bytes);
    writer.finish(&merged.tree).expect("a tree that squashfs can have");
}

/// Some of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let whole = |parts: &[Vec<u8>]| [parts.concat(), END.to_vec()].concat();
    let plain = whole(&[
        entry(b'5', b"a/", b"", 0o755, 0, b""),
        file(b"a/b", b"content"),
        entry(b'1', b"a/hard", b"a/b", 0o644, 0, b""),
        entry(b'2', b"soft", b"a", 0o777, 0, b""),
        entry(b'3', b"null", b"", 0o666, 0, b""),
        entry(b'6', b"pipe", b"", 0o600, 0, b""),
    ]);
    let upper = whole(&[file(b"a/.wh.b", b""), file(b"soft/new", b"new"), file(b"c/.wh..wh..opq", b"")]);
    // Folders that no entry makes, with names that only deletions have.
    let below = whole(&[file(b".wh.d/e", b"below a marker")]);
    let through =
        whole(&[entry(b'2', b"link", b".wh.f", 0o777, 0, b""), file(b"link/g", b"below one by a link")]);
    let long =
        extended(b'x', &[("path", &[b'n'; 200]), ("SCHILY.xattr.user.a", b"v"), ("mtime", b"1700000000.5")]);
    let global = extended(b'g', &[("comment", b"all of it"), ("uid", b"4000000")]);
    let map = b"2\n0\n3\n1048576\n3\n".as_slice();
    let sparse = [map, &vec![0; 512 - map.len()], b"abcdef"].concat();
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"sparse"),
        ("GNU.sparse.realsize", b"1048579"),
    ];
    let mut old = entry(b'S', b"old", b"", 0o644, 512, &[b'x'; 512]);
    old[386..398].copy_from_slice(b"00000010000\0");
    old[398..410].copy_from_slice(b"00000001000\0");
    old[483..495].copy_from_slice(b"00000011000\0");
    old[257..265].copy_from_slice(b"ustar  \0");
    let special = whole(&[
        global,
        long,
        file(b"short", b"x"),
        entry(b'L', b"././@LongLink", b"", 0, 150, &[b'l'; 150]),
        file(b"l", b"long"),
        extended(b'x', &records),
        file(b"GNUSparseFile.0/sparse", &sparse),
        old,
    ]);
    let packed = |tar: &[u8]| zstd::encode_all(tar, 1).expect("zstd");
    let mut gzip = flate2::read::GzEncoder::new(plain.as_slice(), flate2::Compression::fast());
    let mut zipped = Vec::new();
    gzip.read_to_end(&mut zipped).expect("gzip");
    let mut all = Vec::new();
    for layers in [
        vec![plain.clone()],
        vec![plain.clone(), upper],
        vec![below],
        vec![through],
        vec![special.clone()],
        vec![packed(&special)],
        vec![zipped],
    ] {
        for mode in [0, 1] {
            let mut seed = vec![mode, u8::try_from(layers.len() - 1).expect("few")];
            for layer in &layers {
                seed.extend(u16::try_from(layer.len()).expect("a short one").to_le_bytes());
                seed.extend(layer);
            }
            all.push(seed);
        }
    }
    all.extend((0..8_u8).map(|start| {
        let deeds = (0..60_u8).map(|step| step.wrapping_mul(37).wrapping_add(start.wrapping_mul(91)));
        std::iter::once(2).chain(deeds).collect()
    }));
    all
}

fn cut(input: &mut Input<'_>, right: bool) -> Vec<Vec<u8>> {
    let count = 1 + input.byte() % 3;
    let mut layers = Vec::new();
    for _ in 0..count {
        let length = usize::from(input.short());
        let mut layer = input.bytes(length).to_vec();
        if right {
            mend(&mut layer);
        }
        layers.push(layer);
    }
    layers
}

/// Few names, so that deeds meet.
const NAMES: [&[u8]; 12] =
    [b"a", b"b", b"a/b", b"a/c", b"a/b/c", b"b/a", b"./a/", b"c", b"c/a/b", b"b/c", b"/a", b"a//c"];
const MARKERS: [&[u8]; 8] = [
    b".wh.a",
    b"a/.wh.b",
    b"a/.wh..wh..opq",
    b"b/.wh.a",
    b".wh..wh..opq",
    b"a/b/.wh.c",
    b"c/.wh..wh..opq",
    b".wh.c",
];
const TEXTS: [&[u8]; 8] = [b"a", b"b", b"../b", b"/a", b"..", b"a/b", b"c/../a", b"/"];

fn deeds(input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let mut layers = vec![Vec::new()];
    while !input.is_empty() && layers.len() < 6 {
        let deed = input.byte() % 10;
        let name = input.of(&NAMES);
        let layer = layers.last_mut().expect("one");
        layer.extend(match deed {
            0..=2 => file(name, &vec![input.byte(); usize::from(input.byte()) * 9]),
            3 | 4 => entry(b'5', name, b"", 0o750, 0, b""),
            5 => entry(b'2', name, input.of(&TEXTS), 0o777, 0, b""),
            6 => entry(b'1', name, input.of(&NAMES), 0o644, 0, b""),
            7 => entry(input.of(b"346"), name, b"", 0o600, 0, b""),
            8 => file(input.of(&MARKERS), b""),
            _ => {
                layers.push(Vec::new());
                continue;
            }
        });
    }
    layers.iter_mut().for_each(|layer| layer.extend(END));
    layers
}

struct Layers(Vec<Vec<u8>>);

impl Source for Layers {
    type Error = std::convert::Infallible;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn open(&mut self, index: usize) -> Result<Layer<'_>, Self::Error> {
        let bytes = self.0[index].as_slice();
        let diff_id = format!("sha256:{}", digest(bytes)).parse().expect("a digest");
        Ok(Layer { input: Box::new(bytes), diff_id, name: index.to_string(), stop: Box::new(|| ()) })
    }
}

/// Of what it unpacks to, as far as it does: who lies about that is found out elsewhere.
fn digest(bytes: &[u8]) -> String {
    let mut plain = Vec::new();
    let most = LIMITS.bytes + 1;
    let _ = match bytes {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(bytes).take(most).read_to_end(&mut plain),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            zstd::Decoder::new(bytes).and_then(|zstd| zstd.take(most).read_to_end(&mut plain))
        }
        _ => (&mut &*bytes).read_to_end(&mut plain),
    };
    bf_core::digest::hex(&Sha256::digest(&plain))
}

/// Names are names, and folders are below one folder each.
fn check(tree: &Tree) {
    let mut seen = BTreeSet::new();
    let mut open: Vec<InodeId> = vec![tree.root()];
    while let Some(id) = open.pop() {
        let Kind::Directory(entries) = &tree.inode(id).kind else { continue };
        assert!(seen.insert(id), "a folder has two names");
        for (name, child) in entries {
            let bad = name.is_empty() || name.len() > 255 || name == b"." || name == b"..";
            assert!(!bad && !name.contains(&b'/') && !name.contains(&0), "{name:?}");
            assert!(!name.starts_with(b".wh."), "a marker is left: {name:?}");
            open.push(*child);
        }
    }
}

//! SIF files: any bytes are read without harm, and of a file of ours each byte that changes is found.

use std::io::Cursor;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use bf_core::image::Digest;
use bf_core::sif::{
    Architecture, Facts, RunConfig, Sif, SifDigests, SifWriter, digests, provenance_of, verify,
};
use bf_core::squashfs::{Compression, Meta, Options, Tree, Writer};
use serde_json::json;

use crate::input::Input;
use crate::memory;

/// A file as it is, or one of ours with changes: where, and which bits.
pub fn run(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    if mode % 2 == 0 {
        read(data);
        return;
    }
    let whole = ours();
    let (mut changed, mut input) = (whole.bytes.clone(), Input(data));
    while !input.is_empty() {
        let place = usize::from(input.short()) % changed.len();
        changed[place] ^= input.byte();
    }
    if changed == whole.bytes {
        return;
    }
    read(&changed);
    let file = memory(&changed);
    assert!(verify(&file).map_or(true, |damage| !damage.is_empty()), "a change is not seen");
    assert!(digests(&file).map_or(true, |found| found != whole.digests), "a change is not in the digests");
}

/// All that can be read of it.
fn read(data: &[u8]) {
    let file = memory(data);
    let _ = (verify(&file).is_ok(), digests(&file).is_ok(), provenance_of(&file).is_ok());
    let mut cursor = Cursor::new(data);
    let Ok(sif) = Sif::read(&mut cursor, data.len() as u64) else { return };
    for object in &sif.objects {
        let range = object.bytes();
        assert!(range.end <= data.len() as u64, "an object behind the end");
        let _ = (sif.content(&mut cursor, object).is_ok(), object.is_squashfs(), object.is_signature());
    }
}

/// Whole ones and changes.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut all = vec![[&[0], ours().bytes.as_slice()].concat()];
    all.extend((0..=255_u8).step_by(5).map(|byte| vec![1, byte, byte % 8, 1, byte.wrapping_mul(7), 16, 128]));
    all
}

struct Ours {
    bytes: Vec<u8>,
    digests: SifDigests,
}

/// A small one, which has no signature.
fn ours() -> &'static Ours {
    static OURS: OnceLock<Ours> = OnceLock::new();
    OURS.get_or_init(|| {
        let digest =
            |digit: &str| format!("sha256:{}", digit.repeat(64)).parse::<Digest>().expect("a digest");
        let facts = Facts {
            architecture: Architecture::Amd64,
            reference: "example.org/a/b:c".parse().expect("a reference"),
            source: None,
            manifest: Some(digest("a")),
            config: digest("b"),
            layers: vec![digest("c")],
            diff_ids: vec![digest("d")],
            compression: "zstd".into(),
            tool: "0.1.0".into(),
            created: 1_700_000_000,
            oci: json!({"Cmd": ["run"]}),
            run: RunConfig { cmd: vec!["run".into()], ..RunConfig::default() },
        };
        let file = memory(&[]);
        let sif = SifWriter::new(&file, facts).expect("a SIF");
        let options = Options { compression: Compression::Zstd(1), threads: NonZeroUsize::MIN, mtime: 0 };
        let place = sif.partition_offset();
        let mut writer = Writer::new(file.try_clone().expect("a file"), place, &options).expect("a squashfs");
        let mut content = writer.begin();
        content.write(b"content").expect("bytes");
        content.finish().expect("a file");
        let written = writer.finish(&Tree::new(Meta { mode: 0o755, ..Meta::default() })).expect("a squashfs");
        sif.finish(written.bytes, None).expect("a SIF");
        let bytes =
            std::fs::read(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file))).expect("it");
        assert!(bytes.len() <= 1 << 16, "changes must reach all of it: {}", bytes.len());
        assert_eq!(verify(&file).expect("ours"), []);
        Ours { bytes, digests: digests(&file).expect("its digests") }
    })
}

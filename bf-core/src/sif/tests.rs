use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;

/// An image with something of everything.
fn facts() -> Facts {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse().unwrap();
    Facts {
        architecture: Architecture::Amd64,
        reference: "q.io/org/name:tag".into(),
        manifest: digest("a"),
        config: digest("b"),
        layers: vec![digest("c"), digest("d")],
        diff_ids: vec![digest("e"), digest("f")],
        compression: "zstd".into(),
        tool: "0.1.0".into(),
        created: 1_795_457_810,
        oci: serde_json::json!({"Entrypoint": ["a"], "Labels": {"x": "y"}}),
        run: RunConfig {
            entrypoint: vec!["a".into()],
            labels: [("x".into(), "y".into())].into(),
            ..RunConfig::default()
        },
    }
}

/// A SIF around `size` bytes that begin as a squashfs does.
fn written(facts: Facts, size: usize) -> (File, Finished) {
    let file = tempfile::tempfile().unwrap();
    let writer = SifWriter::new(&file, facts).unwrap();
    let mut squashfs = vec![7; size];
    squashfs[..4].copy_from_slice(b"hsqs");
    squashfs[20..22].copy_from_slice(&[6, 0]);
    squashfs[40..48].copy_from_slice(&(size as u64).to_le_bytes());
    file.write_all_at(&squashfs, writer.partition_offset()).unwrap();
    let finished = writer.finish(size as u64, None).unwrap();
    (file, finished)
}

#[test]
fn a_written_one_is_read_and_whole() {
    let (file, finished) = written(facts(), 5000);
    let length = file.metadata().unwrap().len();
    assert_eq!(finished.bytes, length);
    let header = crate::image::sif::parse(&mut &file, length).unwrap();
    assert_eq!(header.source, Some("q.io/org/name:tag".parse().unwrap()));
    assert_eq!(
        (header.primary.size, header.primary.offset % 4096, header.primary.compression),
        (5000, 0, Some("zstd"))
    );
    assert_eq!(verify(&file).unwrap(), []);
    let digests = digests(&file).unwrap();
    assert_eq!(digests.partition_sha256, finished.partition_sha256);
    let record = provenance_of(&file).unwrap();
    assert_eq!((record.manifest, record.partition_sha256), (facts().manifest, finished.partition_sha256));
}

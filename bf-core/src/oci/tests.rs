//! Documents and archives, good and hostile.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::*;
use crate::digest::of_bytes;
use crate::image::Digest;
use crate::report::{Exit, Explain};

fn digest(bytes: &[u8]) -> Digest {
    format!("sha256:{}", of_bytes(bytes)).parse().unwrap()
}

fn described(bytes: &[u8], media_type: &str) -> serde_json::Value {
    serde_json::json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn parse(document: &serde_json::Value, media_type: Option<&str>) -> Result<Document, OciError> {
    Document::parse(document.to_string().as_bytes(), media_type, "name")
}

fn manifest(layer_type: &str) -> serde_json::Value {
    serde_json::json!({ "schemaVersion": 2, "config": described(b"{}", media::CONFIG), "layers": [described(b"x", layer_type)] })
}

/// The code of the error that a manifest with such a layer gives.
fn checked(document: &serde_json::Value) -> &'static str {
    match parse(document, Some(media::MANIFEST)) {
        Ok(Document::Manifest(manifest)) => {
            manifest.check("name").map_or_else(|error| error.code(), |()| "good")
        }
        Ok(Document::Index(_)) => "index",
        Err(error) => error.code(),
    }
}

#[test]
fn layers_are_those_of_oci_and_docker() {
    for (media_type, code) in [
        ("application/vnd.oci.image.layer.v1.tar", "good"),
        ("application/vnd.oci.image.layer.v1.tar+zstd", "good"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "good"),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "good"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "good"),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "layer_encrypted"),
        ("application/vnd.in-toto+json", "layer_unknown"),
        ("", "layer_unknown"),
    ] {
        assert_eq!(checked(&manifest(media_type)), code, "{media_type}");
    }
}

#[test]
fn what_is_no_image_says_what_it_is() {
    let mut chart = manifest(media::LAYER);
    chart["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into();
    assert_eq!(checked(&chart), "not_an_image");
    let mut empty = manifest(media::LAYER);
    empty["layers"] = serde_json::Value::Null;
    assert_eq!(checked(&empty), "image_without_layers");
    let old = serde_json::json!({ "schemaVersion": 1, "fsLayers": [] });
    assert_eq!(checked(&old), "manifest_schema1");
    let mut both = manifest(media::LAYER);
    both["manifests"] = serde_json::json!([]);
    assert_eq!(checked(&both), "invalid_manifest");
    assert_eq!(parse(&manifest(media::LAYER), Some(media::INDEX)).unwrap_err().code(), "invalid_manifest");
    let mut negative = manifest(media::LAYER);
    negative["layers"][0]["size"] = (-1).into();
    assert_eq!(checked(&negative), "invalid_manifest");
    let mut large = manifest(media::LAYER);
    let layer = serde_json::json!({ "mediaType": media::LAYER, "digest": digest(b"x"), "size": i64::MAX });
    large["layers"] = serde_json::json!([layer, layer, layer]);
    assert_eq!(checked(&large), "invalid_manifest");
    assert_eq!(
        parse(&serde_json::json!({}), Some("text/html; charset=x")).unwrap_err().code(),
        "not_an_image"
    );
    assert!(Document::parse(b"{\"layers\":[],\"layers\":[]}", None, "name").is_err());
    assert!(Document::parse("[".repeat(100_000).as_bytes(), None, "name").is_err());
}

#[test]
fn the_newest_generation_that_runs_is_chosen() {
    let entry = |os: &str, architecture: &str, variant: Option<&str>| {
        let name = format!("{os}{architecture}{variant:?}");
        let mut entry = described(name.as_bytes(), media::MANIFEST);
        entry["platform"] = serde_json::json!({ "os": os, "architecture": architecture, "variant": variant });
        entry
    };
    let index = serde_json::json!({ "manifests": [
        entry("unknown", "unknown", None), entry("windows", "amd64", None), entry("linux", "amd64", Some("v3")),
        entry("linux", "amd64", None), entry("linux", "amd64", Some("v2")), entry("linux", "arm64", Some("v8")),
        entry("linux", "ppc64le", None),
    ]});
    let Document::Index(index) = parse(&index, Some(media::INDEX)).unwrap() else { panic!() };
    let variant = |platform: &Platform| {
        platform
            .choose(&index)
            .map(|entry| entry.platform.as_ref().unwrap().variant.clone().unwrap_or_default())
    };
    assert_eq!(variant(&Platform::linux("x86_64")).unwrap(), "");
    let newer = Platform { variant: Some("v2".into()), ..Platform::linux("amd64") };
    assert_eq!(variant(&newer).unwrap(), "v2");
    assert_eq!(variant(&Platform::linux("aarch64")).unwrap(), "v8");
    assert_eq!(variant(&Platform::linux("ppc64le")).unwrap(), "");
    assert_eq!(variant(&Platform::linux("riscv64")), None);
}

/// A member of an archive: its name, its type, where a link points to, its content.
type Member<'a> = (&'a str, u8, &'a str, &'a [u8]);

fn header(name: &str, kind: u8, link: &str, size: usize) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn tar(members: &[Member<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, link, content) in members {
        archive.extend(header(name, *kind, link, content.len()));
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.extend([0; 1024]);
    archive
}

fn written(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("image.tar");
    fs_err::write(&path, bytes).unwrap();
    path
}

/// All layers, the lowest first.
fn read(source: &LocalSource) -> Vec<Vec<u8>> {
    let image = source.image(&Platform::linux("amd64")).unwrap();
    let read = |layer: &Layer| {
        let mut bytes = Vec::new();
        image.layer(layer).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    image.layers().iter().map(read).collect()
}

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    config.to_string().into_bytes()
}

#[test]
fn what_docker_saved_is_read_in_place_and_through_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[b"one", b"two", b"one"]);
    let list =
        br#"[{"Config":"c.json","RepoTags":["a/b:1"],"Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]},
                    {"Config":"c.json","RepoTags":["a/b:2"],"Layers":null}]"#;
    let pax: &[u8] = b"20 path=2/layer.tar\n";
    let bytes = tar(&[
        ("./c.json", b'0', "", &config),
        ("1/layer.tar", b'0', "", b"one"),
        ("pax", b'x', "", pax),
        ("short", b'0', "", b"two"),
        ("3/layer.tar", b'2', "../1/layer.tar", b""),
        ("4/layer.tar", b'2', "../4/layer.tar", b""),
        ("manifest.json", b'0', "", list),
    ]);
    let path = written(folder.path(), &bytes);
    let source = LocalSource::open(&path, Some("docker.io/a/b:1")).unwrap();
    assert_eq!(read(&source), [b"one", b"two", b"one"]);
    assert_eq!(source.image(&Platform::linux("amd64")).unwrap().manifest_digest, None);
    let failure = LocalSource::open(&path, None).unwrap().image(&Platform::linux("amd64")).unwrap_err();
    assert!(failure.message.contains("a/b:1, a/b:2"), "{failure}");
    let failure =
        LocalSource::open(&path, Some("a/b:2")).unwrap().image(&Platform::linux("amd64")).unwrap_err();
    assert_eq!(failure.exit, Exit::Invalid, "its layers and its configuration disagree");
    let failure =
        LocalSource::open(&path, Some("a/b:3")).unwrap().image(&Platform::linux("amd64")).unwrap_err();
    assert_eq!(failure.exit, Exit::NotFound);
}

/// The files of a layout with one image.
fn layout(layer: &[u8]) -> Vec<(String, Vec<u8>)> {
    let config = config(&[layer]);
    let manifest = serde_json::json!({
        "schemaVersion": 2, "config": described(&config, media::CONFIG), "layers": [described(layer, media::LAYER)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut entry = described(&manifest, media::MANIFEST);
    entry["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "v1" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes();
    let blob = |bytes: &[u8]| (format!("blobs/sha256/{}", of_bytes(bytes)), bytes.to_vec());
    vec![
        ("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".into(), index),
        blob(&manifest),
        blob(&config),
        blob(layer),
    ]
}

#[test]
fn a_layout_is_read_from_a_folder_and_from_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let files = layout(b"a layer");
    fs_err::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
    for (name, bytes) in &files {
        fs_err::write(folder.path().join(name), bytes).unwrap();
    }
    assert_eq!(read(&LocalSource::open(folder.path(), None).unwrap()), [b"a layer"]);
    let members: Vec<Member<'_>> =
        files.iter().map(|(name, bytes)| (name.as_str(), b'0', "", bytes.as_slice())).collect();
    let path = written(folder.path(), &tar(&members));
    assert_eq!(read(&LocalSource::open(&path, Some("v1")).unwrap()), [b"a layer"]);
    let failure = LocalSource::open(&path, Some("v2")).unwrap().image(&Platform::linux("amd64")).unwrap_err();
    assert_eq!(failure.exit, Exit::NotFound);
    // Another layer of the same length: seen at its end.
    fs_err::write(folder.path().join(&files[4].0), b"A layer").unwrap();
    let image = LocalSource::open(folder.path(), None).unwrap().image(&Platform::linux("amd64")).unwrap();
    let mut bytes = Vec::new();
    assert!(image.layer(&image.layers()[0]).unwrap().read_to_end(&mut bytes).is_err());
}

#[test]
fn archives_that_cannot_be_read_in_place_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let code = |bytes: &[u8]| LocalSource::open(&written(folder.path(), bytes), None).unwrap_err();
    let error = code(&[0x1f, 0x8b, 8, 0]);
    assert_eq!(error.hint().unwrap(), "unpack it first: `gzip -d`");
    for (bytes, part) in [
        (tar(&[("a", b'S', "", b"")]), "sparse"),
        (tar(&[("a", b'x', "", b"22 GNU.sparse.major=1\n")]), "sparse"),
        (tar(&[("a", b'x', "", b"99 path=a\n")]), "pax header"),
        (tar(&[("a", b'0', "", b"x")])[..512].to_vec(), "cut off"),
        (header("a", b'0', "", 1 << 30).to_vec(), "cut off"),
        (vec![b'x'; 2048], "checksum"),
        (tar(&[("a", b'0', "", b"x")]), "neither"),
        (tar(&[("a", b'L', "", &vec![b'x'; 70_000])]), "too long"),
    ] {
        let error = code(&bytes);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn no_bytes_of_an_archive_make_it_panic() {
    let folder = tempfile::tempdir().unwrap();
    let files = layout(b"a layer");
    let members: Vec<Member<'_>> =
        files.iter().map(|(name, bytes)| (name.as_str(), b'0', "", bytes.as_slice())).collect();
    let good = tar(&members);
    for at in (0..good.len()).step_by(31) {
        for value in [0, b'7', 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            if let Ok(source) = LocalSource::open(&written(folder.path(), &bad), None) {
                let _ = source.image(&Platform::linux("amd64"));
            }
        }
    }
}

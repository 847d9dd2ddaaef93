//! Documents of an image, alone and in archives.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use bf_core::oci::{Document, ImageConfig, LocalSource, Platform, Source, media};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::archive::{END, file, mend};
use crate::memory;

/// A manifest or an index, a configuration, both, or an archive.
pub fn run(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    match mode % 6 {
        0 => document(data, None),
        1 => document(data, Some(media::INDEX)),
        2 => document(data, Some(media::DOCKER_MANIFEST)),
        3 => drop(ImageConfig::parse(data, "x").map(|config| config.platform())),
        4 => archive(data),
        _ => {
            let mut tar = data.to_vec();
            mend(&mut tar);
            archive(&tar);
        }
    }
}

fn document(data: &[u8], media_type: Option<&str>) {
    match Document::parse(data, media_type, "x") {
        Ok(Document::Index(index)) => {
            let platform = Platform::linux("amd64");
            if let Some(chosen) = platform.choose(&index) {
                assert!(index.manifests.contains(chosen));
            }
        }
        Ok(Document::Manifest(manifest)) => {
            let _ = manifest.size();
            if manifest.check("x").is_ok() {
                assert!(!manifest.layers.is_empty());
            }
        }
        // What is refused is said in a sentence that has an end.
        Err(error) => assert!(error.to_string().len() < 10_000),
    }
}

fn archive(data: &[u8]) {
    let file = memory(data);
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let Ok(source) = LocalSource::open(&path, None) else { return };
    let Ok(image) = source.image(&Platform::linux("amd64")) else { return };
    for layer in image.layers() {
        if let Ok(reader) = image.layer(layer) {
            let _ = std::io::copy(&mut reader.take(1 << 20), &mut std::io::sink());
        }
    }
}

/// One of each.
pub fn seeds() -> Vec<Vec<u8>> {
    let layer = [file(b"a", b"content"), END.to_vec()].concat();
    let config = json!({"architecture": "amd64", "os": "linux", "created": "2024-05-06T07:08:09Z",
        "config": {"Env": ["A=b"], "Entrypoint": ["/run"], "Cmd": null, "Labels": {"l": "v"}, "User": "1:2"},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}})
    .to_string();
    let of =
        |media: &str, bytes: &[u8]| json!({"mediaType": media, "digest": digest(bytes), "size": bytes.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": of(media::CONFIG, config.as_bytes()),
        "layers": [of("application/vnd.oci.image.layer.v1.tar", &layer)]})
    .to_string();
    let mut one = of(media::MANIFEST, manifest.as_bytes());
    one["platform"] = json!({"architecture": "amd64", "os": "linux", "variant": "v1"});
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [one]}).to_string();
    let blob = |bytes: &[u8]| {
        let name = format!("blobs/{}", digest(bytes).replace(':', "/"));
        file(name.as_bytes(), bytes)
    };
    let layout = [
        file(b"oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
        file(b"index.json", index.as_bytes()),
        blob(manifest.as_bytes()),
        blob(config.as_bytes()),
        blob(&layer),
        END.to_vec(),
    ]
    .concat();
    let names = json!([{"Config": "config.json", "RepoTags": ["a:b"], "Layers": ["layer.tar"]}]).to_string();
    let docker = [
        file(b"manifest.json", names.as_bytes()),
        file(b"config.json", config.as_bytes()),
        file(b"layer.tar", &layer),
        END.to_vec(),
    ]
    .concat();
    let seed = |mode: u8, data: &[u8]| [&[mode], data].concat();
    let mut all = vec![seed(3, config.as_bytes())];
    all.extend([0, 2].map(|mode| seed(mode, manifest.as_bytes())));
    all.extend([0, 1].map(|mode| seed(mode, index.as_bytes())));
    for mode in [4, 5] {
        all.extend([&layout, &docker].map(|tar| seed(mode, tar)));
    }
    all
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", bf_core::digest::hex(&Sha256::digest(bytes)))
}

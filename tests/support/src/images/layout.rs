//! Writes images as an OCI layout: `oci-layout`, `index.json`, `blobs/sha256/*`, as the image specification has them.

use std::io::{BufWriter, Result, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::item::Layer;
use super::tar;

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// As Docker does.
    Gzip,
    /// As BuildKit and Podman can.
    Zstd,
}

impl Packing {
    fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// What a container of the image is to be started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Words of the entry point.
    pub entrypoint: Vec<String>,
    /// Its arguments.
    pub cmd: Vec<String>,
    /// Where it starts.
    pub folder: String,
    /// Name and value.
    pub labels: Vec<(String, String)>,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

impl Default for Config {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            env: words(&[
                "PATH=/opt/tool/bin:/usr/local/bin:/usr/bin:/bin",
                "PLAIN=value",
                // What a shell would run, end at, or take apart.
                "TRICKY=a `touch /tmp/bft-never` $(id) \"quoted\" 'single' \\ back",
                "EMPTY=",
            ]),
            entrypoint: words(&["/opt/tool/bin/start", "--flag"]),
            cmd: words(&["an argument", "it's"]),
            folder: "/opt/tool".into(),
            labels: vec![("org.opencontainers.image.title".into(), "An image of the tests".into())],
            architecture: "amd64".into(),
        }
    }
}

/// Layers, the lowest first, and a configuration.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The layers.
    pub layers: Vec<Layer>,
    /// What it is started with.
    pub config: Config,
}

/// A blob that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// `application/...`.
    pub media_type: String,
    /// `sha256:...`.
    pub digest: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Of a layer: the digest of its tar.
    pub diff_id: Option<String>,
}

impl Described {
    /// As manifests and indices name it.
    pub fn json(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes})
    }
}

/// A layout that is being written.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    manifests: Vec<Value>,
}

/// `sha256:` and the digest of these bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).expect("half a byte");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Layout {
    /// An empty layout in a new folder.
    pub fn new(folder: &Path) -> Self {
        fs_err::create_dir_all(folder.join("blobs/sha256")).expect("a folder");
        let layout = Self { folder: folder.to_owned(), manifests: Vec::new() };
        fs_err::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").expect("oci-layout");
        layout.index();
        layout
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Where a blob is.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs").join(digest.replace(':', "/"))
    }

    /// Writes an image that is called `name` (a tag) here.
    pub fn add(&mut self, name: &str, image: &Image, packing: Packing) -> Described {
        let layers: Vec<_> = image.layers.iter().map(|layer| self.layer(layer, packing)).collect();
        self.add_layers(name, &image.config, &layers)
    }

    /// Writes the configuration and the manifest of layers that are there.
    pub fn add_layers(&mut self, name: &str, config: &Config, layers: &[Described]) -> Described {
        let diff_ids: Vec<_> = layers.iter().filter_map(|layer| layer.diff_id.clone()).collect();
        let labels: serde_json::Map<_, _> =
            config.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let history: Vec<_> = diff_ids.iter().map(|_| json!({"created_by": "the tests"})).collect();
        let text = json!({
            "created": "2024-05-06T07:08:09Z", "architecture": config.architecture, "os": "linux",
            "config": {"Env": config.env, "Entrypoint": config.entrypoint, "Cmd": config.cmd,
                "WorkingDir": config.folder, "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history,
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", text.to_string().as_bytes());
        let layers: Vec<_> = layers.iter().map(Described::json).collect();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let text =
            json!({"schemaVersion": 2, "mediaType": media_type, "config": config.json(), "layers": layers});
        let manifest = self.blob(media_type, text.to_string().as_bytes());
        self.name(name, &manifest);
        manifest
    }

    /// Writes an index of manifests, each for an architecture, that is called `name` here.
    pub fn add_index(&mut self, name: &str, manifests: &[(&str, &Described)]) -> Described {
        let one = |(architecture, manifest): &(&str, &Described)| {
            let mut one = manifest.json();
            // As BuildKit marks what it says about a build.
            let os = if *architecture == "unknown" { "unknown" } else { "linux" };
            one["platform"] = json!({"architecture": architecture, "os": os});
            one
        };
        let media_type = "application/vnd.oci.image.index.v1+json";
        let manifests: Vec<_> = manifests.iter().map(one).collect();
        let text = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        let index = self.blob(media_type, text.to_string().as_bytes());
        self.name(name, &index);
        index
    }

    /// Calls what is there by a tag, in place of what had it.
    pub fn name(&mut self, name: &str, what: &Described) {
        self.manifests.retain(|one| one["annotations"]["org.opencontainers.image.ref.name"] != name);
        let mut one = what.json();
        one["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.manifests.push(one);
        self.index();
    }

    fn index(&self) {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        fs_err::write(self.folder.join("index.json"), index.to_string()).expect("index.json");
    }

    /// Writes a blob.
    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Described {
        let digest = digest_of(bytes);
        fs_err::write(self.blob_path(&digest), bytes).expect("a blob");
        Described { media_type: media_type.into(), digest, bytes: bytes.len() as u64, diff_id: None }
    }

    /// Writes a layer.
    pub fn layer(&self, layer: &Layer, packing: Packing) -> Described {
        self.layer_of(packing, |out| tar::write(layer, out))
    }

    /// Writes a layer whose tar is what `write` writes.
    pub fn layer_of(&self, packing: Packing, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Described {
        let folder = self.folder.join("blobs/sha256");
        let mut file = tempfile::NamedTempFile::new_in(&folder).expect("a file");
        let blob = Hashing::over(BufWriter::with_capacity(1 << 20, file.as_file_mut()));
        let done = "a layer can be written";
        let (diff_id, mut blob) = match packing {
            Packing::Plain => {
                let mut tar = Hashing::over(blob);
                write(&mut tar).expect(done);
                (tar.digest(), tar.inner)
            }
            Packing::Gzip => {
                let gzip = flate2::write::GzEncoder::new(blob, flate2::Compression::default());
                let mut tar = Hashing::over(gzip);
                write(&mut tar).expect(done);
                (tar.digest(), tar.inner.finish().expect(done))
            }
            Packing::Zstd => {
                let zstd = zstd::Encoder::new(blob, 3).expect(done);
                let mut tar = Hashing::over(zstd);
                write(&mut tar).expect(done);
                (tar.digest(), tar.inner.finish().expect(done))
            }
        };
        blob.flush().expect(done);
        let (digest, bytes) = (blob.digest(), blob.bytes);
        drop(blob);
        file.persist(self.blob_path(&digest)).expect("a blob");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs_err::set_permissions(self.blob_path(&digest), mode).expect("a blob's mode");
        Described { media_type: packing.media_type().into(), digest, bytes, diff_id: Some(diff_id) }
    }
}

/// Hashes and counts what goes through.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn over(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.hasher.clone().finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

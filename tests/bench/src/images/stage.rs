//! The image of the bench, made once and kept, and the registry that serves it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bf_test_kit::images::{
    Hard, Layout, Packing, Registry, ToolRoot, features, machine_learning, real_files,
};
use bf_test_kit::{binary, target_dir};
use serde_json::Value;
use tempfile::TempDir;

use super::Way;
use crate::Effort;

/// Another number for another image under the same name.
const RECIPE: &str = "images-1";

pub(super) struct Stage {
    pub(super) registry: Registry,
    root: &'static ToolRoot,
    layout: PathBuf,
}

impl Stage {
    pub(super) fn new(effort: Effort) -> Result<Self, String> {
        let root = ToolRoot::get()?;
        let layout = layout(effort, root);
        let registry = Registry::start(root, None);
        registry.push(&layout, "oci:/srv:bench", "bench/image:1");
        Ok(Self { registry, root, layout })
    }

    pub(super) fn has_apptainer(&self) -> bool {
        self.root.path().join("usr/bin/apptainer").is_file()
    }

    pub(super) fn registry_address(&self) -> String {
        self.registry.address.to_string()
    }

    fn manifest(&self) -> Value {
        let read = |path: &Path| serde_json::from_slice::<Value>(&fs_err::read(path).unwrap()).unwrap();
        let index = read(&self.layout.join("index.json"));
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        read(&self.layout.join("blobs").join(digest))
    }

    fn blobs(&self) -> Vec<(String, u64)> {
        let manifest = self.manifest();
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers
            .map(|one| (one["digest"].as_str().unwrap().to_owned(), one["size"].as_u64().unwrap()))
            .collect()
    }

    pub(super) fn layers(&self) -> usize {
        self.blobs().len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.blobs().iter().map(|(_, bytes)| bytes).sum()
    }

    /// A scratch folder, where the tools see it too.
    #[allow(clippy::unused_self, reason = "as the others")]
    pub(super) fn work(&self) -> TempDir {
        let folder = tempfile::Builder::new().prefix("bft-bench-").tempdir_in("/var/tmp").unwrap();
        for name in ["cache", "tmp", "home"] {
            fs_err::create_dir(folder.path().join(name)).unwrap();
        }
        folder
    }

    /// The command that makes `out` in the scratch folder of the image at this address.
    pub(super) fn words(&self, way: Way, work: &Path, address: &str) -> Vec<OsString> {
        let path = |name: &str| work.join(name).into_os_string();
        let variables = [
            ("APPTAINER_CACHEDIR", "cache"),
            ("APPTAINER_TMPDIR", "tmp"),
            ("TMPDIR", "tmp"),
            ("HOME", "home"),
            ("XDG_CACHE_HOME", "cache"),
        ];
        let variables = variables.iter().map(|(name, folder)| {
            let mut variable = OsString::from(*name);
            variable.push("=");
            variable.push(path(folder));
            variable
        });
        let env: Vec<OsString> = std::iter::once("env".into()).chain(variables).collect();
        let image = format!("{address}/bench/image:1");
        let docker = format!("docker://{image}");
        let text = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        // What is measured is the command: the root is entered by the same `unshare` in milliseconds.
        let inside = |words: Vec<OsString>| self.root.words(Path::new("/var/tmp"), words);
        match way {
            Way::Limit => {
                let mut line = String::from("set -o pipefail\n");
                for (digest, _) in self.blobs() {
                    // Some connections are told to come later.
                    let url = format!("http://{address}/v2/bench/image/blobs/{digest}");
                    line.extend(["curl -sSf --retry 9 --retry-delay 1 ", &url, " | sha256sum >>\"$1\"\n"]);
                }
                [text(&["bash", "-euc", &line, "bash"]), vec![path("out")]].concat()
            }
            Way::Apptainer => {
                let words =
                    [env, text(&["apptainer", "pull", "--no-https"]), vec![path("out")], text(&[&docker])];
                inside(words.concat())
            }
            Way::Tuned => {
                let build = [
                    "apptainer",
                    "build",
                    "--no-https",
                    "--mksquashfs-args",
                    "-comp zstd -Xcompression-level 3",
                ];
                inside([env, text(&build), vec![path("out")], text(&[&docker])].concat())
            }
            Way::Native | Way::NativeGzip => {
                let compression = if way == Way::Native { "zstd" } else { "gzip" };
                let program = vec![binary("bf-admin").into_os_string()];
                let pull = text(&[
                    "image",
                    "pull",
                    &image,
                    "--engine",
                    "native",
                    "--no-https",
                    "--compression",
                    compression,
                    "--output",
                ]);
                [env, program, pull, vec![path("out")]].concat()
            }
        }
    }
}

/// The layout, in `target/test-downloads`: made unless it is there, and renamed when it is whole.
fn layout(effort: Effort, root: &ToolRoot) -> PathBuf {
    let name = if effort == Effort::Smoke { "small" } else { "full" };
    let downloads = target_dir().join("test-downloads");
    let place = downloads.join(format!("{RECIPE}-{name}"));
    if place.join("index.json").is_file() {
        return place;
    }
    fs_err::create_dir_all(&downloads).unwrap();
    let staging = tempfile::tempdir_in(&downloads).unwrap();
    let image = if effort == Effort::Smoke {
        features(Hard::default())
    } else {
        // Programs and libraries of the tools' own system: the same wherever the same recipe is built.
        machine_learning(&real_files(&root.path().join("usr"), 100_000), 1)
    };
    let made = staging.path().join("layout");
    Layout::new(&made).add("bench", &image, Packing::Gzip);
    fs_err::rename(&made, &place).unwrap();
    place
}

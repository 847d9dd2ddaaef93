//! The model of the bench, made once and kept, and the Hub that serves it.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use bf_test_kit::hub::{Content, Hub, Python, Repo};
use bf_test_kit::{binary, target_dir};
use serde_json::{Map, json};
use tempfile::TempDir;

use super::Way;

pub(super) const ID: &str = "bench/model";

/// Another number for another model under the same name.
const RECIPE: &str = "models-1";
const SHARDS: u64 = 8;
/// In one row of the one tensor of a shard; of two bytes each.
const COLUMNS: u64 = 1000;

const SNAPSHOT: &str =
    "import sys, huggingface_hub as h; h.snapshot_download(sys.argv[1], cache_dir=sys.argv[2])";

pub(super) struct Stage {
    pub(super) hub: Hub,
    /// Its files as they are in the repository, on disk: what is copied, and what the Hub sends.
    folder: PathBuf,
    repo: Repo,
}

impl Stage {
    pub(super) fn new(megabytes: u64) -> Self {
        let made = described(megabytes);
        let folder = target_dir().join("test-downloads").join(format!("{RECIPE}-{megabytes}"));
        write(&made, &folder);
        let hub = Hub::start();
        let paths = made.contents().map(|(path, _)| path);
        let repo = paths.fold(Repo::new(ID), |repo, path| repo.file(path, Content::file(&folder.join(path))));
        hub.publish(repo.clone());
        Self { hub, folder, repo }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.repo.contents().map(|(path, _)| path)
    }

    pub(super) fn files(&self) -> usize {
        self.paths().count()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.repo.contents().map(|(_, content)| content.length()).sum()
    }

    #[allow(clippy::unused_self, reason = "as the others")]
    pub(super) fn python(&self) -> Result<&'static Python, String> {
        Python::get()
    }

    /// A scratch folder, with the folder `out` for what is made.
    #[allow(clippy::unused_self, reason = "as the others")]
    pub(super) fn work(&self) -> TempDir {
        let place = std::env::var_os("BF_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into());
        let folder = tempfile::Builder::new().prefix("bft-bench-").tempdir_in(place).unwrap();
        fs_err::create_dir(folder.path().join("out")).unwrap();
        folder
    }

    /// The command that brings the model into `out` of the scratch folder.
    pub(super) fn words(&self, way: Way, work: &Path) -> Vec<OsString> {
        let out = work.join("out").into_os_string();
        let text = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let mut home = OsString::from("HF_HOME=");
        home.push(work.join("home"));
        let variables = [
            "env",
            "NO_PROXY=127.0.0.1",
            &format!("HF_ENDPOINT={}", self.hub.endpoint()),
            "HF_HUB_DISABLE_XET=1",
            "HF_HUB_DISABLE_TELEMETRY=1",
            "HF_HUB_DISABLE_PROGRESS_BARS=1",
        ];
        let env = [text(&variables), vec![home]].concat();
        match way {
            Way::Copy => {
                let mut from = self.folder.clone().into_os_string();
                from.push("/.");
                [text(&["cp", "-r", "--"]), vec![from, out]].concat()
            }
            Way::Nowhere | Way::Curl => {
                let mut list = String::new();
                for path in self.paths() {
                    let url = self.hub.url(ID, "main", path);
                    let to = if way == Way::Nowhere {
                        PathBuf::from("/dev/null")
                    } else {
                        Path::new(&out).join(path)
                    };
                    writeln!(list, "url = \"{url}\"\noutput = \"{}\"", to.display()).unwrap();
                }
                let file = work.join("urls");
                fs_err::write(&file, list).unwrap();
                let curl = [
                    "curl",
                    "--noproxy",
                    "*",
                    "-sSfL",
                    "--create-dirs",
                    "--parallel",
                    "--parallel-immediate",
                    "--parallel-max",
                    "8",
                    "-K",
                ];
                [text(&curl), vec![file.into_os_string()]].concat()
            }
            Way::Python => {
                let program = self.python().unwrap().program().as_os_str().to_owned();
                [env, vec![program], text(&["-I", "-c", SNAPSHOT, ID]), vec![out]].concat()
            }
            Way::Native => {
                let program = vec![binary("bf-admin").into_os_string()];
                [env, program, text(&["model", "add", ID, "--quiet", "--cache-dir"]), vec![out]].concat()
            }
        }
    }

    /// Panics unless the folder has all files of the model in a snapshot: a client that brings less than the others is no match.
    pub(super) fn is_whole(&self, work: &Path) {
        let name = format!("models--{}/snapshots", ID.replace('/', "--"));
        let places = [work.join("out").join(&name), work.join("out/models").join(&name)];
        let mut snapshots =
            places.iter().find_map(|place| fs_err::read_dir(place).ok()).expect("the snapshots");
        let snapshot = snapshots.find_map(Result::ok).expect("a snapshot").path();
        for (path, content) in self.repo.contents() {
            let length = fs_err::metadata(snapshot.join(path)).unwrap().len();
            assert_eq!(length, content.length(), "{path}");
        }
    }
}

/// Eight shards with their index, and ten files more, as those of a model of language.
fn described(megabytes: u64) -> Repo {
    let rows = (megabytes * 1_000_000 / SHARDS / COLUMNS / 2).max(1);
    let mut repo = Repo::new(ID);
    let mut places = Map::new();
    for number in 1..=SHARDS {
        let (path, tensor) =
            (format!("model-{number:05}-of-{SHARDS:05}.safetensors"), format!("layer.{number}.weight"));
        repo = repo.file(&path, Content::safetensors(number, &[(&tensor, "BF16", &[rows, COLUMNS])]));
        places.insert(tensor, path.into());
    }
    let index = json!({"metadata": {"total_size": SHARDS * rows * COLUMNS * 2}, "weight_map": places});
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": COLUMNS, "num_hidden_layers": SHARDS,
        "num_attention_heads": 8, "num_key_value_heads": 8, "max_position_embeddings": 8192, "vocab_size": 1000, "torch_dtype": "bfloat16",
    });
    let text = |length: usize| "some text of a model. ".repeat(length / 22);
    repo.file("model.safetensors.index.json", index)
        .file("config.json", config)
        .file("generation_config.json", "{}")
        .file("tokenizer.json", json!({"text": text(7_000_000)}))
        .file("tokenizer_config.json", json!({"text": text(50_000)}))
        .file("special_tokens_map.json", "{}")
        .file("vocab.json", json!({"text": text(1_000_000)}))
        .file("merges.txt", text(500_000))
        .file("README.md", text(20_000))
        .file("LICENSE", text(10_000))
        .file(".gitattributes", text(2_000))
}

/// Writes the files into the folder, unless they are there; it has its name when they are whole.
fn write(repo: &Repo, folder: &Path) {
    if folder.is_dir() {
        return;
    }
    let downloads = folder.parent().unwrap();
    fs_err::create_dir_all(downloads).unwrap();
    let staging = tempfile::tempdir_in(downloads).unwrap();
    let made = staging.path().join("model");
    fs_err::create_dir(&made).unwrap();
    for (path, content) in repo.contents() {
        content.write_to(&made.join(path));
    }
    fs_err::rename(&made, folder).unwrap();
}

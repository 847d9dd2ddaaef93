//! Models from a Hub, whatever goes wrong on the way: what is in the cache after it is right to the byte, or nothing, and why.
//!
//! | file | owns |
//! | --- | --- |
//! | `rows` | one fault of the Hub or of the way after the other, and what comes of it |
//! | `cut` | what ends or fills up on this machine: kills, two at once, a full disk |
//! | `refused` | who does not get it, and listings that would do harm |
//! | `own` | the same for a user, into his own folder |
//! | `readers` | who reads the cache: other users, the Hub's own clients |

mod cut;
mod own;
mod readers;
mod refused;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bf_test_kit::hub::{Content, Hub, Repo, git_blob};
use bf_test_kit::{Outcome, Program, Site};
use serde_json::json;

const ID: &str = "Org/Model";
const SHARD: &str = "model-00001-of-00002.safetensors";
const OTHER: &str = "model-00002-of-00002.safetensors";
/// Bytes of a shard, about.
const LONG: u64 = 2_000_000;

/// A model of two shards that an engine would load.
fn repo(id: &str) -> Repo {
    let shard = |seed, name| Content::safetensors(seed, &[(name, "BF16", &[1000, LONG / 2000])]);
    shards(
        Repo::new(id),
        &[(SHARD, shard(1, "a.weight")), (OTHER, shard(2, "b.weight"))],
        &["a.weight", "b.weight"],
    )
}

/// Adds these shards, of one tensor each, and what else there is to a model.
fn shards(mut repo: Repo, files: &[(&str, Content)], tensors: &[&str]) -> Repo {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 4, "max_position_embeddings": 2048, "vocab_size": 100, "torch_dtype": "bfloat16",
    });
    let places: BTreeMap<&str, &str> =
        tensors.iter().copied().zip(files.iter().map(|(path, _)| *path)).collect();
    let total: u64 = files.iter().map(|(_, content)| content.length()).sum();
    for (path, content) in files {
        repo = repo.file(path, content.clone());
    }
    repo.file("config.json", config)
        .file(
            "model.safetensors.index.json",
            json!({"metadata": {"total_size": total}, "weight_map": places}),
        )
        .file("tokenizer.json", json!({"text": "some words ".repeat(5000)}))
        .file("sub/folder/notes.txt", "some notes\n")
        .file("empty.txt", "")
}

/// Which program fetches, into which cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// `bf-admin`, into the shared one.
    Admin,
    /// `bf-user`, into the user's own.
    User,
}

/// A Hub with one model, and a site without any.
struct Stage {
    site: Site,
    hub: Hub,
    repo: Repo,
    commit: String,
    id: String,
    who: Who,
}

impl Stage {
    fn new() -> Self {
        Self::of(ID, repo(ID))
    }

    fn of(id: &str, repo: Repo) -> Self {
        let (site, hub) = (Site::new(), Hub::start());
        let commit = hub.publish(repo.clone());
        Self { site, hub, repo, commit, id: id.to_owned(), who: Who::Admin }
    }

    /// The same for a user, beside an empty shared cache.
    fn own(id: &str, repo: Repo) -> Self {
        let stage = Self { who: Who::User, ..Self::of(id, repo) };
        stage.provide("");
        stage
    }

    /// Makes a shared cache without models, of a site that declares this besides.
    fn provide(&self, declared: &str) {
        self.site.declare_text(&format!("schema: 1\ncache_dir: cache\n{declared}"));
        self.site.admin(["setup"]).code(0);
    }

    /// The command that fetches the model.
    fn add(&self, more: &[&str]) -> Program {
        let words = ["model", "add", &self.id];
        let program = match self.who {
            Who::Admin => self.site.admin(words).args(["--cache-dir"]).args([self.site.cache()]),
            Who::User => self.site.user(words),
        };
        self.at_hub(program.args(more))
    }

    /// Where the models are.
    fn models(&self) -> PathBuf {
        let top = if self.who == Who::Admin { self.site.cache().to_owned() } else { self.site.home() };
        top.join("models")
    }

    fn at_hub(&self, program: Program) -> Program {
        program.env("HF_ENDPOINT", self.hub.endpoint()).env("NO_PROXY", "127.0.0.1")
    }

    /// The folder of the model.
    fn model(&self) -> PathBuf {
        self.models().join(format!("models--{}", self.id.replace('/', "--")))
    }

    fn snapshot(&self) -> PathBuf {
        self.model().join("snapshots").join(&self.commit)
    }

    /// Bytes of its big files, each content once.
    fn needed(&self) -> u64 {
        let big = self.repo.contents().filter(|(path, _)| path.ends_with(".safetensors"));
        big.map(|(_, content)| content.length()).sum()
    }

    /// The cache has the model, right to the byte, under the commit that `main` is.
    #[track_caller]
    fn is_whole(&self) {
        for (path, content) in self.repo.contents() {
            assert_eq!(content.same_as(&self.snapshot().join(path)), Ok(()), "{path}");
        }
        let main = fs_err::read_to_string(self.model().join("refs/main")).unwrap();
        assert_eq!(main.trim(), self.commit);
        self.is_sound();
    }

    /// Nothing in the cache is called by the hash of something else, and no link leads nowhere.
    #[track_caller]
    fn is_sound(&self) {
        for path in files(&self.models()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_hash = matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_hash && path.parent().unwrap().ends_with("blobs") {
                let bytes = fs_err::read(&path).unwrap();
                let hash = if name.len() == 40 { git_blob(&bytes) } else { Content::bytes(bytes).sha256() };
                assert_eq!(hash, name, "{}", path.display());
            }
            assert!(fs_err::metadata(&path).is_ok(), "{} leads nowhere", path.display());
        }
    }

    /// The cache says nothing of the model, not even by half.
    #[track_caller]
    fn has_none(&self) {
        self.is_sound();
        for part in ["refs", "snapshots"] {
            let found = files(&self.model().join(part));
            assert_eq!(found, Vec::<PathBuf>::new());
        }
        let listed = match self.who {
            Who::Admin => {
                self.site.admin(["model", "ls", "--json", "--cache-dir"]).args([self.site.cache()]).run()
            }
            Who::User => self.site.user(["model", "ls", "--json"]).code(0),
        };
        assert!(!listed.stdout.contains(&self.id), "{listed}");
    }

    /// The error is one sentence that names these.
    #[track_caller]
    fn says(&self, outcome: Outcome, words: &[&str]) {
        let mut outcome = outcome.one_sentence();
        for word in words {
            outcome = outcome.stderr_contains(word);
        }
        // Nor an address with a signature in it.
        for secret in ["Signature=", "TokenOfTheTests"] {
            assert!(!outcome.stderr.contains(secret) && !outcome.stdout.contains(secret), "{outcome}");
        }
        assert!(!self.hub.token_at_cdn());
    }
}

/// All files and links below a folder, which need not be there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            // It may be gone by now, where a program is at work.
            if fs_err::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

//! A cluster that an administrator has prepared: image, model, tiers and toolkit in `/shared/cache`, put there by `bf-admin setup`.

use std::sync::OnceLock;
use std::time::Duration;

use bf_test_kit::{Cluster, Outcome, Program, REPO, model};
use serde_json::Value;

/// The shared cache, as users see it.
pub(crate) const CACHE: &str = "/shared/cache";
/// A question that the model knows the answer to.
pub(crate) const QUESTION: &str = "What is the capital of France? Answer in one sentence.";

const SITE: &str = "schema: 1\n\
    cache_dir: /shared/cache\n\
    images:\n  llama_cpp:\n    ref: login:5000/engines/llama-server:test\n\
    models:\n  - repo: HuggingFaceTB/SmolLM2-135M-Instruct-GGUF\n    path: /shared/downloads\n";

/// `Huge` is more than any node has; `time.max` is more than the partitions allow.
const TIERS: &str = "time: {default: 20, max: 300}\n\
    partitions:\n\
    \x20 cpu:\n\
    \x20   default: true\n\
    \x20   tiers:\n\
    \x20     - {name: Small, description: a core, max_model_size_gb: 1, gpu_count: 0, cpu_cores: 1, memory_gb: 1}\n\
    \x20     - {name: Node, description: all cores of a node, max_model_size_gb: 2, gpu_count: 0, cpu_cores: 8, memory_gb: 2}\n\
    \x20     - {name: Huge, description: too much, max_model_size_gb: null, gpu_count: 0, cpu_cores: 8, memory_gb: 4000}\n\
    \x20 gpu:\n\
    \x20   tiers:\n\
    \x20     - name: One GPU\n\
    \x20       description: a GPU\n\
    \x20       max_model_size_gb: null\n\
    \x20       gpu_count: 1\n\
    \x20       cpu_cores: 1\n\
    \x20       memory_gb: 1\n\
    \x20       slurm: {constraint: gpu80, gres: \"gpu:a100\"}\n";

/// The prepared cluster that tests share.
pub(crate) struct Site {
    /// The cluster.
    pub(crate) cluster: &'static Cluster,
    /// How `setup` of root went.
    pub(crate) setup: Outcome,
}

/// Prepares the shared cluster, once.
pub(crate) fn shared() -> Result<&'static Site, String> {
    static SITE_OF_ALL: OnceLock<Result<Site, String>> = OnceLock::new();
    SITE_OF_ALL
        .get_or_init(|| {
            let cluster = Cluster::shared()?;
            declare(cluster)?;
            let setup = setup(cluster).code(0);
            Ok(Site { cluster, setup })
        })
        .as_ref()
        .map_err(Clone::clone)
}

/// A prepared cluster of one's own, whose cache is a copy of the shared one's.
pub(crate) fn own(accounting: bool) -> Result<Cluster, String> {
    let shared = shared()?;
    let cluster = Cluster::start(accounting)?;
    cluster.put(&shared.cluster.shared_dir().join("cache"), CACHE);
    Ok(cluster)
}

/// Puts down what `setup` needs: the tools, the model's files, site.yaml and the tiers.
pub(crate) fn declare(cluster: &Cluster) -> Result<(), String> {
    cluster.install_tools();
    cluster.put(&model()?.folder, "/shared/downloads");
    let folder = cluster.shared_dir().join("site");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("site.yaml"), SITE).unwrap();
    fs_err::write(folder.join("resource_specs.yaml"), TIERS).unwrap();
    Ok(())
}

/// `bf-admin setup` by root on the login node.
pub(crate) fn setup(cluster: &Cluster) -> Program {
    let words = ["bf-admin", "setup", "--no-https", "--site", "/shared/site/site.yaml"];
    cluster.program("login", words).limit(Duration::from_mins(5))
}

/// `bf-user` of the cache, by a user on the login node.
pub(crate) fn user<const N: usize>(cluster: &Cluster, name: &str, words: [&str; N]) -> Program {
    let program = format!("{CACHE}/bin/bf-user");
    cluster.program(&format!("{name}@login"), [program.as_str()]).args(words)
}

/// A service of alice. It is stopped when this is dropped.
pub(crate) struct Service<'a> {
    cluster: &'a Cluster,
    /// 32 hex digits.
    pub(crate) id: String,
}

impl<'a> Service<'a> {
    /// Starts one for the real model, with these options besides.
    pub(crate) fn run<const N: usize>(cluster: &'a Cluster, name: &str, options: [&str; N]) -> Self {
        let words = user(cluster, "alice", ["run", "text-generation", REPO, "--name", name]);
        let id = words.args(options).code(0).stdout.trim().to_owned();
        Self { cluster, id }
    }

    /// Waits until it answers, and gives what `details` says.
    pub(crate) fn ready(&self) -> Value {
        self.ask(["wait", &self.id, "--timeout", "120"]).code(0);
        self.details()
    }

    /// What `details` says.
    pub(crate) fn details(&self) -> Value {
        self.ask(["details", &self.id, "--json"]).code(0).json()
    }

    /// State and reason.
    pub(crate) fn state(&self) -> (String, String) {
        let details = self.details();
        let text = |name: &str| details[name].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    /// A command of alice about it.
    pub(crate) fn ask<const N: usize>(&self, words: [&str; N]) -> Program {
        user(self.cluster, "alice", words)
    }

    /// Its API key.
    pub(crate) fn key(&self) -> String {
        fs_err::read_to_string(self.folder().join("key")).unwrap().trim().to_owned()
    }

    /// Its job directory, as this machine sees it.
    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.cluster.home("alice").join(".blackfish/jobs").join(&self.id)
    }

    /// The status that somebody gets for a request, with a key or without.
    pub(crate) fn status_for(&self, who: &str, url: &str, key: Option<&str>) -> String {
        let header = key.map(|key| format!("Authorization: Bearer {key}"));
        let words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10"];
        let program = self.cluster.program(who, words).args([url]);
        let program = match &header {
            Some(header) => program.args(["-H", header]),
            None => program,
        };
        program.code(0).stdout
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        let _ = self.ask(["stop", &self.id]).run();
    }
}

/// The jobs of a cluster's queue, in these fields of squeue.
pub(crate) fn queue(cluster: &Cluster, format: &str) -> Vec<String> {
    let words = ["squeue", "--noheader", "--states=all", "--format", format];
    cluster.program("login", words).code(0).stdout.lines().map(str::to_owned).collect()
}

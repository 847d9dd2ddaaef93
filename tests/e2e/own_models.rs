//! Models of a researcher's own: fetched from the Hub into his folder without an administrator, and never one that the site has.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bf_test_kit::hub::{Content, Fault, Hub, Place, Repo};
use bf_test_kit::{Process, Program, Random, Site, or_skip};
use nix::sys::signal::Signal;
use serde_json::Value;

const ID: &str = "Org/Model";
const FOLDER: &str = "models--Org--Model";

/// One set of weights, the same as pickle, and what is beside them. `seed`: what is in it.
fn repo(id: &str, seed: u64) -> Repo {
    let weights = Content::safetensors(seed, &[("w", "BF16", &[2000, 1000])]);
    Repo::new(id)
        .file("config.json", "{\"model_type\": \"llama\", \"max_position_embeddings\": 4096}")
        .file("LICENSE", "Apache License\n")
        .big("model.safetensors", weights)
        .big("pytorch_model.bin", Content::noise(seed, 3_000_000))
}

const KEPT: [&str; 3] = ["config.json", "LICENSE", "model.safetensors"];

/// Programs of somebody who has a folder of his own, and knows a Hub.
struct Own {
    site: Site,
    hub: Hub,
}

impl Own {
    fn new() -> Self {
        let site = Site::new();
        fs_err::set_permissions(site.home(), PermissionsExt::from_mode(0o700)).unwrap();
        Self { site, hub: Hub::start() }
    }

    fn user(&self, words: &[&str]) -> Program {
        let program = self.site.program("bf-user").env("BLACKFISH_HOME_DIR", self.site.home());
        program.env("HF_ENDPOINT", self.hub.endpoint()).args(words)
    }

    fn add(&self, words: &[&str]) -> Program {
        self.user(&["model", "add"]).args(words)
    }

    fn models(&self) -> PathBuf {
        self.site.home().join("models")
    }

    /// The list, as programs see it.
    fn list(&self) -> Vec<Value> {
        let listed = self.user(&["model", "ls", "--json"]).code(0).json();
        listed["models"].as_array().unwrap().clone()
    }

    /// Expects these files of the repository at its commit, and that `main` leads there and nothing is left over.
    #[track_caller]
    fn has(&self, repo: &Repo, commit: &str, files: &[&str]) {
        let folder = self.models().join(FOLDER);
        let snapshot = folder.join("snapshots").join(commit);
        let mut there = names(&snapshot);
        there.sort();
        let mut expected: Vec<&str> = files.to_vec();
        expected.sort_unstable();
        assert_eq!(there, expected);
        for (path, content) in repo.contents().filter(|(path, _)| files.contains(path)) {
            assert_eq!(content.same_as(&snapshot.join(path)), Ok(()), "{path}");
        }
        assert_eq!(fs_err::read_to_string(folder.join("refs/main")).unwrap(), commit);
        for folder in [".downloads", ".staging"] {
            assert_eq!(names(&self.models().join(folder)), [""; 0], "{folder}");
        }
        assert_eq!(mode(&self.site.home()), 0o700);
    }

    /// Bytes of files that the Hub has sent.
    fn sent(&self) -> u64 {
        let of_files = |place| matches!(place, Place::Cdn | Place::Cache);
        self.hub.seen().iter().filter(|seen| of_files(seen.place)).map(|seen| seen.bytes).sum()
    }
}

/// What is in a folder; nothing is in one that is not there.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_model_is_added_listed_kept_and_removed() {
    let own = Own::new();
    let first = repo(ID, 1);
    let commit = own.hub.publish(first.clone());
    let dry = own.add(&[ID, "--dry-run"]).code(0).stdout_contains("would be added");
    let dry = dry.stderr_contains("left out: 1 file, which saves 3.0 MB");
    assert!(dry.stderr.contains("all to fetch"), "{dry}");
    assert!(!own.models().exists() && own.sent() == 0);
    let dry = own.add(&[ID, "--dry-run", "--json"]).code(0).json();
    assert_eq!((&dry["change"], &dry["summary"]["left_out"][0]["why"]), (&"add".into(), &"pickle".into()));

    let added = own.add(&[ID, "--json"]).umask(0o077).code(0);
    let json = added.json();
    assert_eq!((&json["change"], &json["commit"]), (&"add".into(), &commit.as_str().into()), "{json}");
    own.has(&first, &commit, &KEPT);
    let weights = own.models().join(FOLDER).join("snapshots").join(&commit).join("model.safetensors");
    assert_eq!((mode(&weights), mode(&own.models())), (0o755, 0o755), "whatever the umask");
    let [listed] = own.list().try_into().unwrap();
    assert_eq!((&listed["repo"], &listed["where"]), (&ID.into(), &"home".into()), "{listed}");
    assert_eq!(listed["context_length"], 4096, "{listed}");

    // Again: the Hub is asked what is new, and nothing is fetched. Without a Hub neither.
    own.hub.forget();
    own.add(&["org/model"]).code(0).stdout_contains("is there already");
    assert!(own.hub.seen().iter().all(|seen| seen.place == Place::Api), "{:?}", own.hub.seen());
    let alone = own.add(&[ID]).env("HF_HUB_OFFLINE", "1").code(0).stdout_contains("is there already");
    assert!(alone.stderr.contains("warning: "), "{alone}");
    own.add(&["org/other"]).env("HF_HUB_OFFLINE", "1").code(69).one_sentence();

    // `main` goes on: the new one is what there is, and the old one is still there.
    let second = repo(ID, 2);
    let next = own.hub.publish(second.clone());
    let added = own.add(&[ID]).code(0);
    assert!(added.stderr.contains(&format!("bf-user model rm {ID}@{}", &commit[..12])), "{added}");
    own.has(&second, &next, &KEPT);
    assert_eq!(own.list().len(), 2);
    own.user(&["model", "rm", &format!("{ID}@{}", &commit[..12])]).code(0);
    own.has(&second, &next, &KEPT);
    assert_eq!(own.list().len(), 1);
    own.add(&[ID]).code(0).stdout_contains("is there already");

    own.user(&["model", "rm", "org/nothing"]).code(66).one_sentence();
    own.user(&["model", "rm", ID]).code(0).stdout_contains("removed Org/Model");
    assert_eq!(own.list(), Vec::<Value>::new());
    assert!(!own.models().join(FOLDER).exists());
    own.user(&["model", "rm", ID]).code(66);
}

#[test]
fn a_revision_and_files_are_what_was_asked_for() {
    let own = Own::new();
    let quantised = |seed| Content::noise(seed, 2_000_000);
    let repo = Repo::new(ID)
        .revision("main")
        .tag("v1")
        .big("model-Q4_K_M.gguf", quantised(1))
        .big("model-Q8_0.gguf", quantised(2))
        .file("README.md", "---\nlicense: mit\n---\n");
    let commit = own.hub.publish(repo.clone());
    let add = |words: &[&str]| own.add(words).code(0);
    add(&[&format!("{ID}@v1"), "--include", "*Q8_0*"]);
    own.has(&repo, &commit, &["README.md", "model-Q8_0.gguf"]);
    let v1 = own.models().join(FOLDER).join("refs/v1");
    assert_eq!(fs_err::read_to_string(v1).unwrap(), commit);
    // Others of the same commit come beside them.
    own.hub.forget();
    add(&[ID, "--revision", "v1", "--include", "*Q4_K_M*"]).stdout_contains("was added");
    own.has(&repo, &commit, &["README.md", "model-Q4_K_M.gguf", "model-Q8_0.gguf"]);
    assert_eq!(own.sent(), 2_000_000);
    add(&[&format!("{ID}@v1"), "--include", "*Q4_K_M*"]).stdout_contains("is there already");

    for (words, code) in [
        (vec![ID, "--revision", "v2"], 66),
        (vec!["org/none"], 66),
        (vec!["Org/Model@v1", "--revision", "main"], 64),
        (vec![ID, "--format", "safetensors"], 65),
        (vec!["../x"], 64),
    ] {
        let refused = own.add(&words).run();
        assert_eq!(refused.exit, code, "{words:?}: {refused}");
    }
}

#[test]
fn what_is_gated_needs_a_token_and_is_told_to_nobody_else() {
    let own = Own::new();
    let gated = repo(ID, 1).gated();
    let commit = own.hub.publish(gated.clone());
    let refused = own.add(&[ID]).code(77).one_sentence();
    assert!(refused.stderr.contains("is gated") && refused.stderr.contains("hint: "), "{refused}");
    assert!(!own.models().exists());
    let token = own.hub.token("alice", &[ID]);
    fs_err::set_permissions(own.site.home(), PermissionsExt::from_mode(0o755)).unwrap();
    let open = own.add(&[ID, "--dry-run"]).env("HF_TOKEN", &token).code(0);
    assert!(open.stderr.contains("others can read") && open.stderr.contains("chmod 700"), "{open}");
    fs_err::set_permissions(own.site.home(), PermissionsExt::from_mode(0o700)).unwrap();
    let done = own.add(&[ID]).env("HF_TOKEN", &token).code(0);
    assert!(!done.stderr.contains(&token) && !done.stderr.contains("others can read"), "{done}");
    own.has(&gated, &commit, &KEPT);
    assert!(!own.hub.token_at_cdn());
}

#[test]
fn one_that_was_killed_goes_on_where_it_was() {
    let own = Own::new();
    let repo = Repo::new(ID)
        .file("config.json", "{}")
        .big("model.safetensors", Content::safetensors(7, &[("w", "BF16", &[10_000, 1_000])]));
    let commit = own.hub.publish(repo.clone());
    let whole: u64 = repo.contents().map(|(_, content)| content.length()).sum();
    own.hub.rate(Some(whole / 3));
    let (mut random, mut killed) = (Random::new(), 0_u64);
    for _ in 0..4 {
        let mut child = own.add(&[ID]).umask(0o077).spawn();
        let process = Process::now(i32::try_from(child.id()).unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(300) + random.below(Duration::from_millis(300)));
        killed += u64::from(child.try_wait().unwrap().is_none());
        process.signal(Signal::SIGKILL);
        child.wait().unwrap();
        assert_eq!(own.list(), Vec::<Value>::new(), "nothing is visible half-done");
    }
    assert!(killed > 1, "it is never caught at work");
    own.hub.rate(None);
    own.add(&[ID]).code(0);
    own.has(&repo, &commit, &["config.json", "model.safetensors"]);
    // What is on its way to a process that is killed is lost, on each of its connections.
    let sent = own.sent();
    assert!(sent < whole + killed * 6_000_000, "{sent} bytes for {whole} after {killed} kills");

    // One that is given up is removed with what it has.
    own.hub.publish(Repo::new("org/other").big("model.safetensors", Content::noise(1, 8_000_000)));
    own.hub.fault(Fault::Drop(3_000_000).at(Place::Cdn));
    own.add(&["org/other"]).run();
    own.user(&["model", "rm", "org/other"]).code(0);
    assert_eq!(names(&own.models().join(".downloads")), [""; 0]);
}

#[test]
fn two_at_once_fetch_it_once() {
    let own = Own::new();
    let repo = repo(ID, 1);
    let commit = own.hub.publish(repo.clone());
    own.hub.rate(Some(4_000_000));
    let mut children = [own.add(&[ID]).spawn(), own.add(&[ID]).spawn()];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    own.has(&repo, &commit, &KEPT);
    let fetched: u64 =
        repo.contents().filter(|(path, _)| KEPT.contains(path)).map(|(_, content)| content.length()).sum();
    assert_eq!(own.sent(), fetched);
}

#[test]
fn what_does_not_fit_or_cannot_be_is_refused_before_anything_is_fetched() {
    let own = Own::new();
    let huge = Repo::new(ID).big("model.safetensors", Content::noise(1, 1000)).claiming_size(1_u64 << 49);
    own.hub.publish(huge);
    let refused = own.add(&[ID]).code(73);
    assert!(refused.stderr.contains("there is no space for the model Org/Model"), "{refused}");
    assert!(refused.stderr.contains("bf-user model rm") && !own.models().exists(), "{refused}");
    assert_eq!(own.sent(), 0);

    own.hub.publish(Repo::new(ID).big("pytorch_model.bin", Content::noise(1, 1000)));
    own.add(&[ID]).code(65).stderr_contains("--allow-pickle");

    // A folder of models that is a link elsewhere is nobody's to fill.
    own.hub.publish(repo(ID, 1));
    let elsewhere = own.site.path().join("elsewhere");
    fs_err::create_dir(&elsewhere).unwrap();
    fs_err::os::unix::fs::symlink(&elsewhere, own.models()).unwrap();
    own.add(&[ID]).code(65).stderr_contains("BLACKFISH_HOME_DIR");
    assert_eq!(names(&elsewhere), [""; 0]);
}

#[test]
fn who_waits_is_told_what_for_and_how_far_it_is() {
    let own = Own::new();
    own.hub.publish(repo(ID, 1));
    own.hub.fault(Fault::busy(1).at(Place::Cdn).times(1));
    let plain = own.add(&[ID, "--progress", "plain"]).code(0);
    for said in
        ["Org/Model: model.safetensors: 4.0 MB", "Org/Model: waiting ", "Org/Model: model.safetensors: done"]
    {
        assert!(plain.stderr.contains(said), "{said}: {plain}");
    }
    assert!(plain.stderr.contains("model Org/Model: done, 4.0 MB"), "{plain}");
    own.user(&["model", "rm", ID]).code(0);

    let told = own.add(&[ID, "--progress", "json"]).code(0);
    let lines = told.stderr.lines().filter(|line| line.starts_with('{'));
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str, file: Value| {
        events
            .iter()
            .find(|one| one["event"] == event && one["file"] == file)
            .unwrap_or_else(|| panic!("{told}"))
    };
    assert_eq!(
        of("started", "model.safetensors".into())["total"],
        of("finished", "model.safetensors".into())["bytes"]
    );
    let finished = of("finished", Value::Null);
    assert_eq!((&finished["name"], &finished["bytes"]), (&ID.into(), &finished["total"]), "{told}");
    assert_eq!(own.add(&[ID, "--progress", "none", "--quiet"]).code(0).stderr, "");
}

#[test]
fn a_terminal_shows_each_file_and_a_sum_in_lines_that_fit_and_are_gone_in_the_end() {
    let own = Own::new();
    let part = |seed| Content::safetensors(seed, &[("w", "BF16", &[1500, 1000])]);
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let repo = Repo::new(ID)
        .file("config.json", "{}")
        .file("model.safetensors.index.json", index)
        .big("model-00001-of-00002.safetensors", part(1))
        .big("model-00002-of-00002.safetensors", part(2));
    own.hub.publish(repo);
    own.hub.rate(Some(2_000_000));
    let program = bf_test_kit::binary("bf-user");
    let command = format!("stty rows 20 cols 40; exec {} model add {ID}", program.display());
    let script = own.site.program("script").env("BLACKFISH_HOME_DIR", own.site.home()).env("TERM", "xterm");
    let script = script.env("HF_ENDPOINT", own.hub.endpoint()).env("SHELL", "/bin/sh");
    let shown = script.args(["-qec", &command, "/dev/null"]).code(0).stdout;
    // What is drawn last leaves nothing but the report.
    let (drawn, rest) = shown.rsplit_once("\x1b[J").unwrap_or_else(|| panic!("nothing is drawn: {shown}"));
    assert!(rest.starts_with("Org/Model: commit ") && rest.contains("was added"), "{shown}");
    assert!(drawn.contains("% of 6.0 MB  model-") || drawn.contains("% of 3.0 MB  model-"), "{shown}");
    assert!(drawn.contains("\r\x1b[1A") || drawn.contains("\r\x1b[2A"), "it is drawn over itself: {shown}");
    for line in drawn.split("\x1b[K").filter(|line| line.contains("% of ")) {
        let text = line.rsplit(['\n', '\r']).next().unwrap_or_default();
        let text = text.trim_start_matches(|character: char| "\x1b[0123456789AJ".contains(character));
        assert!(text.chars().count() < 40, "{text:?}");
    }
}

#[test]
fn what_the_shared_cache_has_is_not_fetched_again() {
    let own = Own::new();
    let repo = repo(ID, 1);
    let commit = own.hub.publish(repo.clone());
    let folder = own.site.path().join("files");
    fs_err::create_dir(&folder).unwrap();
    repo.contents()
        .filter(|(path, _)| KEPT.contains(path))
        .for_each(|(path, content)| content.write_to(&folder.join(path)));
    let cache = own.site.cache().to_str().unwrap().to_owned();
    let import = ["model", "import", folder.to_str().unwrap(), "--as", ID, "--cache-dir", &cache];
    own.site.admin(import).code(0);
    let lock = || fs_err::read(own.site.cache().join("site.lock")).unwrap();
    let before = lock();
    own.add(&[ID, "--cache-dir", &cache]).code(0).stdout_contains("the shared cache has");
    assert!(own.hub.seen().is_empty() && !own.models().exists());
    // Another revision it has not.
    own.add(&[&format!("{ID}@{commit}"), "--cache-dir", &cache]).code(0).stdout_contains("was added");
    own.has(&repo, &commit, &KEPT);
    assert_eq!(lock(), before);
    // A cache that is gone is no reason to do without one's own.
    let gone = own.add(&[&format!("{ID}@{commit}"), "--cache-dir", "/nonexistent"]).code(0);
    assert!(gone.stdout.contains("is there already") && gone.stderr.contains("warning: "), "{gone}");
}

#[test]
fn a_service_runs_from_it_and_keeps_it() {
    let model = or_skip!(bf_test_kit::model());
    let site = or_skip!(Site::provisioned());
    let hub = Hub::start();
    hub.publish(Repo::new("mine/small").big("small.gguf", Content::file(&model.gguf)));
    let user = |words: &[&str]| site.user(words).env("HF_ENDPOINT", hub.endpoint());
    let hint = "bf-user model add mine/small";
    user(&["run", "text-generation", "mine/small"]).code(66).stderr_contains(hint);
    user(&["tier", "recommend", "mine/small"]).code(66).stderr_contains(hint);
    user(&["model", "add", "mine/small"]).code(0).stdout_contains("was added");
    user(&["tier", "recommend", "mine/small"]).code(0);
    let service = site.started_with("mine/small", &["--name", "mine"]);
    user(&["wait", &service.id, "--timeout", "120"]).code(0);
    let busy = user(&["model", "rm", "mine/small"]).code(75).one_sentence();
    assert!(busy.stderr.contains("bf-user stop mine"), "{busy}");
    user(&["chat", &service.id, "-m", "Hello"]).code(0);
    user(&["stop", &service.id]).code(0);
    user(&["model", "rm", "mine/small"]).code(0);
    user(&["run", "text-generation", "mine/small"]).code(66);
}

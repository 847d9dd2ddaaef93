//! Images that are there already, in part or under another name: what an administrator who runs a command again is told, and what is done.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use std::collections::BTreeMap;
use std::time::Duration;

use bf_test_kit::images::{Config, Faults, Image, Item, Layer, Layout, Packing, Proxy, Served, small};
use bf_test_kit::{Outcome, Process, Program, Site, Tree, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

/// A site, and images on its disk.
struct Local {
    site: Site,
    layout: Layout,
}

impl Local {
    fn new() -> Self {
        let site = Site::new();
        let mut layout = Layout::new(&site.path().join("layout"));
        layout.add("one", &small(), Packing::Gzip);
        Self { site, layout }
    }

    /// `bf-admin image VERB` for the cache of the site.
    fn image(&self, verb: &str, words: &[&str], exit: i32) -> Outcome {
        let cache = self.site.cache().to_str().unwrap();
        self.site.admin(["image", verb].iter().chain(words)).args(["--cache-dir", cache]).code(exit)
    }

    /// The only action of an import of the layout as `mine`.
    fn import(&self, words: &[&str]) -> Value {
        let folder = self.layout.path().to_str().unwrap();
        let words = [&[folder, "--as", "mine", "--json"], words].concat();
        let done = self.image("import", &words, 0).json();
        let [action] = done["actions"].as_array().unwrap().as_slice() else { panic!("{done}") };
        action.clone()
    }

    fn images(&self) -> Tree {
        Tree::of(&self.site.cache().join("images"))
    }

    /// The file behind the link of `mine`.
    fn stored(&self) -> PathBuf {
        fs_err::canonicalize(self.site.cache().join("images/mine.sif")).unwrap()
    }
}

/// Another image than `small`, by its configuration.
fn other() -> Image {
    let config = Config { env: vec!["SECOND=1".into()], ..Config::default() };
    Image { config, ..small() }
}

fn flip(path: &Path, at: u64) {
    let file = fs_err::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.file().read_exact_at(&mut byte, at).unwrap();
    file.file().write_all_at(&[byte[0] ^ 0xff], at).unwrap();
}

#[test]
fn the_same_image_is_imported_once() {
    let local = Local::new();
    let folder = local.layout.path().to_str().unwrap();
    let first = local.image("import", &[folder, "--as", "mine", "--progress", "plain"], 0);
    first.stderr_contains("mine: importing ").stderr_contains("mine: converting layer 1 of ");
    let before = local.images();
    for words in [&[][..], &["--dry-run"], &["--force"], &["--compression", "gzip:7"]] {
        let again = local.import(words);
        assert_eq!((&again["action"], &again["reason"]), (&"keep".into(), &"unchanged".into()), "{again}");
    }
    assert_eq!(before.changes(&local.images()), Vec::<String>::new());
    // Compressed otherwise, as somebody asks for, it is another file of the same.
    assert_eq!(local.import(&["--compression", "gzip:1"])["action"], "import");
    let listed = local.image("ls", &["--json"], 0).json();
    assert_eq!(listed["images"][0]["compressed_with"], "gzip:1", "{listed}");
    assert_eq!(local.import(&[])["action"], "keep");
}

#[test]
fn another_image_of_the_name_is_refused_and_a_damaged_one_made_again() {
    let mut local = Local::new();
    local.import(&[]);
    // In the first bytes, which every runtime reads.
    flip(&local.stored(), 40);
    assert_eq!(local.import(&["--dry-run"])["action"], "import");
    assert_eq!(local.import(&[])["action"], "import");
    local.image("verify", &["--full"], 0);
    // In the middle of what is read only where it is needed: that takes long, and is asked for.
    flip(&local.stored(), fs_err::metadata(local.stored()).unwrap().len() - 4096 - 10);
    local.image("verify", &["--full"], 2);
    assert_eq!(local.import(&[])["action"], "keep");
    assert_eq!(local.import(&["--force"])["action"], "import");
    local.image("verify", &["--full"], 0);

    local.layout = Layout::new(&local.site.path().join("second"));
    local.layout.add("two", &other(), Packing::Gzip);
    let folder = local.layout.path().to_str().unwrap().to_owned();
    let refused = local.image("import", &[&folder, "--as", "mine"], 65).one_sentence();
    refused.stderr_contains("is there already with another content").stderr_contains("--force replaces it");
    assert_eq!(local.import(&["--force"])["action"], "import");
    assert_eq!(local.import(&[])["action"], "keep");
}

#[test]
fn of_several_images_the_names_are_told() {
    let mut local = Local::new();
    let second = local.layout.add("two", &other(), Packing::Gzip);
    let folder = local.layout.path().to_str().unwrap().to_owned();
    let import = |words: &[&str], exit| {
        local.image("import", &[&[folder.as_str(), "--as", "mine"], words].concat(), exit)
    };
    let several = import(&[], 64).one_sentence();
    several.stderr_contains("hint: say which one with --image NAME: one, two");
    for dry in [&["--dry-run"][..], &[]] {
        let wrong = import(&[&["--image", "three"], dry].concat(), 66).one_sentence();
        wrong.stderr_contains("has no image \"three\"").stderr_contains("--image NAME: one, two");
    }
    assert!(!local.site.cache().join("images/mine.sif").exists());
    import(&["--image", "two"], 0);
    import(&["--image", &second.digest], 0).stdout_contains("keep");
    import(&["--image", "one"], 65);
}

#[test]
fn what_was_imported_is_found_by_the_name_in_the_list() {
    let local = Local::new();
    local.import(&[]);
    let listed = local.image("ls", &["--json"], 0).json();
    assert_eq!(listed["images"][0]["name"], "mine", "{listed}");
    let cache = local.site.cache().to_str().unwrap();
    for name in ["mine", "localhost/mine", "localhost/mine:latest"] {
        // Who pulls what the cache has is told so.
        let words = ["image", "pull", name, "--cache-dir", cache];
        local.site.user(words).code(0).stdout_contains("the shared cache has");
    }
}

/// A site and a registry that serves images of this machine's disk.
struct Remote {
    local: Local,
    served: Served,
}

impl Remote {
    fn new() -> Self {
        let local = Local::new();
        let served = Served::start(local.layout.path(), BTreeMap::new());
        Self { local, served }
    }

    fn reference(&self) -> String {
        self.served.reference("org/small:one")
    }

    fn pull(&self, words: &[&str], exit: i32) -> Outcome {
        self.local.image("pull", &[words, &["--no-https"]].concat(), exit)
    }

    /// The only action of a pull that works.
    fn action(&self, words: &[&str]) -> Value {
        let done = self.pull(&[words, &["--json"]].concat(), 0).json();
        let [action] = done["actions"].as_array().unwrap().as_slice() else { panic!("{done}") };
        action.clone()
    }

    fn link(&self) -> PathBuf {
        self.local.site.cache().join("images/small_one.sif")
    }
}

#[test]
fn a_damaged_image_of_the_right_length_is_fetched_again() {
    let remote = Remote::new();
    let reference = remote.reference();
    assert_eq!(remote.action(&[&reference])["action"], "pull");
    assert_eq!(remote.action(&[&reference])["action"], "keep");
    let stored = fs_err::canonicalize(remote.link()).unwrap();
    let whole = fs_err::read(&stored).unwrap();
    // The header of the file, and that of its root filesystem.
    let at = whole.windows(4).position(|four| four == b"hsqs").unwrap() as u64;
    for at in [40, at] {
        flip(&stored, at);
        let again = remote.action(&[&reference]);
        assert_eq!(again["action"], "pull", "byte {at}: {again}");
        assert!(again["detail"].as_str().unwrap().contains("damaged"), "{again}");
        assert!(fs_err::read(&stored).unwrap() == whole, "byte {at}");
    }
}

#[test]
fn a_dry_run_and_the_run_itself_report_the_same() {
    let remote = Remote::new();
    let reference = remote.reference();
    let dry = remote.action(&[&reference, "--dry-run"]);
    let done = remote.action(&[&reference]);
    assert_eq!(dry["bytes"], done["bytes"]);
    assert!(dry["bytes"].as_u64().unwrap() > 100, "{dry}");
    let said = |action: &Value| action["detail"].as_str().unwrap().to_owned();
    let (dry, done) = (said(&dry), said(&done));
    let (planned, free) = dry.rsplit_once(", ").unwrap();
    assert!(free.ends_with(" free"), "{dry}");
    assert_eq!(planned.replace("to fetch", "fetched"), done);
    for part in ["sha256:", " layer", "gzip:7"] {
        assert!(done.contains(part), "{part}: {done}");
    }

    let file = remote.local.site.path().join("out.sif");
    let file = file.to_str().unwrap();
    let dry = remote.pull(&[&reference, "--output", file, "--dry-run"], 0);
    dry.stdout_contains("to fetch, gzip:7").stdout_contains(" free\n");
    remote.pull(&[&reference, "--output", file], 0).stdout_contains("fetched, gzip:7");
    let again = remote.pull(&[&reference, "--output", file, "--json"], 0).json();
    let forced = remote.pull(&[&reference, "--output", file, "--force", "--json"], 0).json();
    assert_eq!((&again["changed"], &forced["changed"]), (&false.into(), &true.into()), "{again} {forced}");
    assert_eq!(again["partition_sha256"].as_str().unwrap().len(), 64, "{again}");
    assert_eq!(
        (&again["partition_sha256"], &again["bytes"]),
        (&forced["partition_sha256"], &forced["bytes"])
    );
}

#[test]
fn what_certainly_does_not_fit_is_refused_beforehand() {
    let mut remote = Remote::new();
    // As its manifest says; nobody has so much.
    let mut layer = remote.local.layout.layer(&small().layers[0], Packing::Gzip);
    layer.bytes = 1 << 60;
    remote.local.layout.add_layers("huge", &Config::default(), &[layer]);
    let reference = remote.served.reference("org/small:huge");
    let file = remote.local.site.path().join("out.sif");
    for words in [&[][..], &["--output", file.to_str().unwrap()]] {
        for dry in [&["--dry-run"][..], &[]] {
            let refused = remote.pull(&[&[reference.as_str()], words, dry].concat(), 73);
            refused.stderr_contains("there is no space for image ").stderr_contains("it needs 2");
        }
    }
    assert!(!file.exists());
}

#[test]
fn what_is_waited_for_is_said_also_before_anything_is_shown() {
    let remote = Remote::new();
    let proxy = Proxy::to(remote.served.address, Faults { busy_every: Some(2), ..Faults::default() });
    let reference = proxy.reference("org/small:one");
    let file = remote.local.site.path().join("out.sif");
    for words in [&[][..], &["--output", file.to_str().unwrap()]] {
        // Of two connections one is told to wait, and nobody knows which.
        let said = [&[reference.as_str(), "--dry-run", "--progress", "plain"], words].concat();
        let said = (0..2).map(|_| remote.pull(&said, 0).stderr).collect::<String>();
        assert!(said.contains(&format!("waiting 1 s for {}", proxy.address)), "{said}");
    }
    let forced = remote.pull(&[&reference, "--progress", "plain"], 0).stderr;
    let again = remote.pull(&[&reference, "--progress", "plain", "--force"], 0).stderr;
    assert!(format!("{forced}{again}").contains("waiting 1 s for "), "{forced}{again}");
}

#[test]
fn what_could_not_be_fetched_leaves_no_folder() {
    let remote = Remote::new();
    remote.pull(&[&remote.served.reference("org/small:none")], 66).one_sentence();
    let images = remote.local.site.cache().join("images");
    assert!(images.is_dir() && !images.join(".downloads").exists());
}

#[test]
fn a_name_of_site_yaml_is_pulled_as_it_is_declared() {
    let remote = Remote::new();
    let reference = remote.reference();
    remote.local.site.declare_text(&format!(
        "schema: 1\ncache_dir: cache\nimages:\n  tools: {{ref: '{reference}', compression: 'gzip:1'}}\n"
    ));
    let pull = |words: &[&str], exit| {
        remote.local.site.admin(["image", "pull", "--no-https"].iter().chain(words)).code(exit)
    };
    let slip = pull(&["tool"], 66).one_sentence();
    slip.stderr_contains("did you mean `tools`?").stderr_contains("docker.io/library/tool");
    pull(&["tools"], 0).stdout_contains("gzip:1");
    let listed = remote.local.image("ls", &["--json"], 0).json();
    let image = &listed["images"][0];
    assert_eq!((&image["name"], &image["compressed_with"]), (&"tools".into(), &"gzip:1".into()), "{listed}");
    pull(&["tools"], 0).stdout_contains("is there already");
    // Nothing is left for `setup` to do with it.
    let done = remote.local.site.admin(["setup", "--only", "images", "--json"]).code(0).json();
    assert_eq!(done["changed"], 0, "{done}");
    // It is not pinned: only site.yaml says that.
    assert!(!done.to_string().contains("pinned"), "{done}");
}

#[test]
fn a_name_that_another_image_has_is_not_taken_from_it() {
    let remote = Remote::new();
    let folder = remote.local.layout.path().to_str().unwrap();
    remote.local.image("import", &[folder, "--as", "small_one"], 0);
    // The name by default, and its file.
    let refused = remote.pull(&[&remote.reference()], 65).one_sentence();
    refused.stderr_contains("images/small_one.sif is the file of the image small_one already");
    let mine = remote.local.image("ls", &["--json"], 0).json();
    assert_eq!(mine["images"][0]["ref"], "localhost/small_one:latest", "{mine}");
    assert_eq!(
        remote.action(&[&remote.reference(), "--as", "small_one"])["action"],
        "pull",
        "who names it means it"
    );

    // The name alone: its file is called otherwise.
    let remote = Remote::new();
    let two = remote.served.reference("org/tool:one");
    remote.action(&[&two, "--as", "small_one"]);
    let refused = remote.pull(&[&remote.reference()], 65).one_sentence();
    refused
        .stderr_contains("another image is called small_one already")
        .stderr_contains(&format!("image pull {} --as NAME", remote.reference()));
    assert_eq!(remote.action(&[&remote.reference(), "--as", "other"])["action"], "pull");

    let remote = Remote::new();
    let reference = remote.reference();
    let other = remote.served.reference("other/small:one");
    remote.action(&[&reference]);
    let refused = remote.pull(&[&other], 65).one_sentence();
    refused.stderr_contains("image rm small_one");
    let refused = remote.pull(&[&reference, "--as", "tools"], 65).one_sentence();
    refused.stderr_contains(&format!("image pull {reference} --as tools"));
}

#[test]
fn what_is_interrupted_says_that_it_goes_on() {
    let mut local = Local::new();
    let noise: Vec<u8> =
        (0..2_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let image = Image { layers: vec![Layer(vec![Item::text("data", &noise)])], ..small() };
    local.layout.add("large", &image, Packing::Plain);
    let served = Served::start(local.layout.path(), BTreeMap::new());
    let proxy = Proxy::to(served.address, Faults { rate: Some(1_000_000), ..Faults::default() });
    let reference = proxy.reference("org/small:large");
    let cache = local.site.cache().to_str().unwrap();
    let pid = local.site.path().join("pid");
    let interrupted = |signals: &str, words: &[&str]| {
        let _ = fs_err::remove_file(&pid);
        let program = bf_test_kit::binary("bf-admin");
        let pull = [&["image", "pull", &reference, "--no-https", "--cache-dir", cache], words].concat();
        // Whatever a background run of the tests ignores.
        let line = "echo $$ >\"$1\"; shift; exec \"$@\"";
        let run = Program::new("env", local.site.path()).args([signals, "sh", "-c", line, "sh"]);
        let run = run.args([pid.as_os_str(), program.as_os_str()]).args(&pull);
        let before = proxy.received();
        let thread = std::thread::spawn(move || run.run());
        eventually("it is fetched", Duration::from_secs(30), || {
            (proxy.received() > before + 300_000).then_some(())
        });
        let process = fs_err::read_to_string(&pid).unwrap().trim().parse().unwrap();
        Process::now(process).unwrap().signal(Signal::SIGINT);
        thread
    };
    let default = "--default-signal=INT";
    let said = interrupted(default, &[]).join().unwrap();
    assert_eq!((said.exit, said.stdout.as_str()), (130, ""), "{said}");
    said.one_sentence().stderr_contains("error: interrupted").stderr_contains("goes on from there");
    let document = interrupted(default, &["--json"]).join().unwrap();
    assert_eq!(document.exit, 130, "{document}");
    assert_eq!(document.json()["error"]["code"], "interrupted", "{document}");

    // Where it is ignored it stays so, and what was fetched before is not fetched again.
    let ignored = interrupted("--ignore-signal=INT", &[]);
    proxy.set(Faults::default());
    let done = ignored.join().unwrap();
    assert_eq!(done.exit, 0, "{done}");
    assert!(done.stdout.contains("were there"), "{done}");
    assert!(!local.site.cache().join("images/.downloads").exists());
}

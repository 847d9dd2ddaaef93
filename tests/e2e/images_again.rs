//! Images that are there already, in part or under another name: what an administrator who runs a command again is told, and what is done.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bf_test_kit::images::{Config, Image, Layout, Packing, small};
use bf_test_kit::{Outcome, Site, Tree};
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
    assert_eq!(local.import(&[])["action"], "import");
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

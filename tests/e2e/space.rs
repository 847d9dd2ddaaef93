//! A cache on a filesystem that gets full, of bytes or of inodes: said in one sentence, nothing half-made, completed later.
//!
//! The filesystem is a small tmpfs, which needs root.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use bf_test_kit::{Outcome, Tree, or_skip, write_gguf};

use crate::images::Images;

/// A site whose cache is a filesystem of its own.
struct Small {
    mounted: Mounted,
    images: Images,
}

/// A small filesystem, until it is dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// A new one with these limits, in a new folder. `Err` says why there is none.
    pub(crate) fn tmpfs(at: &Path, options: &str) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("a tmpfs is mounted by root only".into());
        }
        fs_err::create_dir(at).unwrap();
        Self::mount(at, options)?;
        Ok(Self(at.to_owned()))
    }

    /// Writes a file until no byte is left.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = fs_err::File::create(&path).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        path
    }

    /// Mounts it anew where it is mounted, with other limits.
    fn mount(at: &Path, options: &str) -> Result<(), String> {
        let output = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .output()
            .map_err(|error| format!("mount: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("no tmpfs can be mounted: {}", said.trim()))
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

impl Small {
    fn new(options: &str) -> Result<Self, String> {
        let images = Images::new();
        Ok(Self { mounted: Mounted::tmpfs(images.site.cache(), &format!("{options},mode=755"))?, images })
    }

    fn grow(&self, options: &str) {
        Mounted::mount(&self.mounted.0, &format!("remount,{options}")).unwrap();
    }

    /// Declares models of so many megabytes.
    fn models(&self, models: &[(&str, u64)]) {
        let mut text = "schema: 1\ncache_dir: cache\nmodels:\n".to_owned();
        for (name, megabytes) in models {
            let folder = self.images.site.path().join(name);
            fs_err::create_dir_all(&folder).unwrap();
            write_gguf(&folder.join("model.gguf"), *megabytes).unwrap();
            writeln!(text, "  - {{repo: org/{name}, path: {}}}", folder.display()).unwrap();
        }
        self.images.site.declare_text(&text);
    }

    fn setup(&self, section: &str, words: &[&str], exit: i32) -> Outcome {
        let mut all = vec!["setup", "--only", section];
        all.extend(words);
        self.images.admin(&all).code(exit)
    }

    /// Everything but who changes it, and what was written down of that.
    fn tree(&self, part: &str) -> Tree {
        Tree::of(&self.mounted.0.join(part))
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_what_was_there() {
    let small = or_skip!(Small::new("size=6m"));
    small.models(&[("one", 2)]);
    small.setup("models", &[], 0);
    let before = small.tree("models");

    // What is known beforehand is not begun.
    small.models(&[("one", 2), ("two", 7)]);
    let told = small.setup("models", &[], 73).one_sentence();
    told.stderr_contains("there is no space for model org/two: it needs 7").stderr_contains("df -i");
    assert_eq!(before.changes(&small.tree("models")), Vec::<String>::new());

    // A model that changed, of which nobody can know how much of it is there.
    let source = small.images.site.path().join("one/model.gguf");
    let mut bytes = fs_err::read(&source).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&source, &bytes).unwrap();
    fs_err::write(small.mounted.0.join("ballast"), vec![0; 2_900_000]).unwrap();
    let update = ["--update", "org/one"];
    small.models_only_one();
    let told = small.setup("models", &update, 73).one_sentence();
    told.stderr_contains("there is no space for model org/one: the filesystem of ")
        .stderr_contains("is full");
    assert_eq!(before.changes(&small.tree("models")), Vec::<String>::new());

    // Not a single byte left, before anything begins.
    let ballast = small.mounted.fill();
    let told = small.setup("models", &update, 73).one_sentence();
    told.stderr_contains("No space left").stderr_contains("df -i");
    assert_eq!(before.changes(&small.tree("models")), Vec::<String>::new());

    fs_err::remove_file(ballast).unwrap();
    small.grow("size=400m");
    small.setup("models", &update, 0);
    small.images.admin(&["setup"]).code(0);
    small.images.site.admin(["status", "--full"]).code(0);
}

impl Small {
    /// Declares the first model alone, whatever its file is now.
    fn models_only_one(&self) {
        let folder = self.images.site.path().join("one");
        self.images.site.declare_text(&format!(
            "schema: 1\ncache_dir: cache\nmodels:\n  - {{repo: org/one, path: {}}}\n",
            folder.display()
        ));
    }
}

#[test]
fn a_fetch_that_fills_the_disk_is_told_and_completes_later() {
    let small = or_skip!(Small::new("size=6m"));
    fs_err::write(small.images.fake.join("do-1"), "fill").unwrap();
    let told = small.setup("images", &[], 73).one_sentence();
    told.stderr_contains("there is no space for image mine: the filesystem of ")
        .stderr_contains("three times");
    assert!(fs_err::symlink_metadata(small.images.link()).is_err());
    assert_eq!(fs_err::read_dir(small.mounted.0.join("images/.staging")).unwrap().count(), 0);
    small.grow("size=400m");
    small.images.admin(&["setup"]).code(0);
    small.images.site.admin(["status", "--full"]).code(0);
}

#[test]
fn inodes_that_are_used_up_are_told_apart_from_bytes() {
    let small = or_skip!(Small::new("size=400m,nr_inodes=300"));
    fs_err::write(small.images.fake.join("do-1"), "many").unwrap();
    let told = small.setup("images", &[], 73).one_sentence();
    told.stderr_contains("there are not enough inodes for image mine").stderr_contains("df -i");
    assert!(fs_err::symlink_metadata(small.images.link()).is_err());
    assert_eq!(fs_err::read_dir(small.mounted.0.join("images/.staging")).unwrap().count(), 0);

    // Of a model it is known beforehand.
    small.models(&[("one", 1)]);
    let source = small.images.site.path().join("one");
    for number in 0..300 {
        fs_err::write(source.join(format!("{number}.json")), "{}").unwrap();
    }
    let told = small.setup("models", &[], 73).one_sentence();
    told.stderr_contains("there are not enough inodes for model org/one: it needs about ");
    assert!(!small.mounted.0.join("models/models--org--one").exists());

    small.grow("size=400m,nr_inodes=10000");
    small.images.admin(&["setup"]).code(0);
    small.images.site.admin(["status", "--full"]).code(0);
    small.images.declare("");
    small.images.admin(&["setup"]).code(0);
    small.images.site.admin(["status", "--full"]).code(0);
}

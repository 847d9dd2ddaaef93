//! Images of a cache against site.lock and their registries, and registries that site.yaml describes, with a real registry.

use std::os::unix::fs::FileExt;

use bf_test_kit::images::{Config, Image, Item, Layer, Layout, Packing, Registry, ToolRoot, small};
use bf_test_kit::{Site, Tree, or_skip};
use serde_json::Value;

use crate::convert::converts;

/// A registry with `org/small:1`, and a site that declares it and its plain HTTP.
struct Stand {
    registry: Registry,
    layout: Layout,
    site: Site,
}

impl Stand {
    fn new() -> Result<Self, String> {
        let root = ToolRoot::get()?;
        converts()?;
        let registry = Registry::start(root, None);
        let mut layout = Layout::new(&registry.folder().join("layout"));
        layout.add("first", &small(), Packing::Gzip);
        registry.push(registry.folder(), "oci:/srv/layout:first", "org/small:1");
        let site = Site::new();
        let (host, reference) = (registry.address, registry.reference("org/small:1"));
        site.declare_text(&format!(
            "schema: 1\ncache_dir: cache\nimages:\n  mine: {{ref: '{reference}'}}\nregistries:\n  '{host}': {{plain_http: true}}\n"
        ));
        Ok(Self { registry, layout, site })
    }

    /// The tag stands for another image from now on.
    fn move_tag(&mut self) {
        let config = Config { env: vec!["SECOND=1".into()], ..Config::default() };
        self.layout.add("second", &Image { config, ..small() }, Packing::Gzip);
        self.registry.push(self.registry.folder(), "oci:/srv/layout:second", "org/small:1");
    }

    /// The only image as `image verify` tells it.
    #[track_caller]
    fn verified(&self, words: &[&str], exit: i32) -> Value {
        let report = self.site.admin(["image", "verify", "--json"].iter().chain(words)).code(exit).json();
        assert_eq!(report["ok"], exit == 0, "{report}");
        let [image] = report["images"].as_array().unwrap().as_slice() else { panic!("{report}") };
        image.clone()
    }

    /// Does what `image verify` advises; then everything is as it was.
    #[track_caller]
    fn mended(&self) {
        let image = self.verified(&["--full"], 2);
        let hint = image["hint"].as_str().unwrap();
        self.site.admin(hint.split(' ').skip(1)).code(0);
        assert_eq!(self.verified(&["--full"], 0)["hint"], Value::Null);
    }
}

#[test]
fn an_image_is_whole_until_a_byte_of_it_changes() {
    let stand = or_skip!(Stand::new());
    // Without --no-https: the site says it.
    stand.site.admin(["setup"]).code(0);
    let cache = stand.site.cache();
    let before = Tree::of(cache);
    for words in [&[][..], &["--full"], &["--online"], &["mine", "--full", "--online"]] {
        let image = stand.verified(words, 0);
        assert_eq!((&image["state"], &image["signed"]), (&"ok".into(), &false.into()), "{image}");
    }
    stand.site.admin(["image", "verify", "other"]).code(66).one_sentence();
    assert_eq!(Tree::of(cache), before, "it was only looked at");

    let store = fs_err::canonicalize(cache.join("images/small_1.sif")).unwrap();
    let whole = fs_err::read(&store).unwrap();
    let file = fs_err::OpenOptions::new().write(true).open(&store).unwrap();
    // The middle of the root filesystem, which is the last large thing.
    let at = whole.windows(4).position(|four| four == b"hsqs").unwrap() + 200;
    file.file().write_all_at(&[whole[at] ^ 1], at as u64).unwrap();
    assert_eq!(stand.verified(&[], 0)["state"], "ok", "which only --full can see");
    let image = stand.verified(&["--full"], 2);
    assert_eq!(image["state"], "damaged", "{image}");
    assert!(image["detail"].as_str().unwrap().contains("the root filesystem"), "{image}");

    file.set_len(at as u64).unwrap();
    assert_eq!(stand.verified(&[], 2)["state"], "damaged");
    fs_err::remove_file(&store).unwrap();
    assert_eq!(stand.verified(&[], 2)["state"], "missing");
    stand.site.admin(["setup"]).code(0);
    assert_eq!(stand.verified(&["--full", "--online"], 0)["state"], "ok");
    fs_err::remove_file(cache.join("images/small_1.sif")).unwrap();
    assert_eq!(stand.verified(&[], 2)["state"], "drifted");
    stand.mended();
}

/// Changes one byte of the root filesystem of `images/small_1.sif`: the last large thing of the file.
fn flip(site: &Site) {
    let store = fs_err::canonicalize(site.cache().join("images/small_1.sif")).unwrap();
    let whole = fs_err::read(&store).unwrap();
    let at = whole.windows(4).position(|four| four == b"hsqs").unwrap() + 200;
    let file = fs_err::OpenOptions::new().write(true).open(&store).unwrap();
    file.file().write_all_at(&[whole[at] ^ 1], at as u64).unwrap();
}

#[test]
fn the_hint_for_what_is_damaged_is_a_command_that_mends_it() {
    let stand = or_skip!(Stand::new());
    stand.site.admin(["setup"]).code(0);
    flip(&stand.site);
    stand.mended();
    // Of one that nobody declares.
    let site = &stand.site;
    let reference = stand.registry.reference("org/small:1");
    fs_err::remove_file(site.path().join("site.yaml")).unwrap();
    fs_err::remove_file(site.cache().join("site.yaml")).unwrap();
    site.admin(["image", "verify", "--full", "--cache-dir"]).args([site.cache()]).code(0);
    flip(site);
    let verify = ["image", "verify", "--full", "--json", "--cache-dir"];
    let report = site.admin(verify).args([site.cache()]).code(2).json();
    let hint = report["images"][0]["hint"].as_str().unwrap();
    assert_eq!(hint, format!("bf-admin image pull {reference} --as mine --force"));
    let words = hint.split(' ').skip(1).chain(["--no-https", "--cache-dir"]);
    site.admin(words).args([site.cache()]).code(0);
    site.admin(verify).args([site.cache()]).code(0);
}

#[test]
fn a_tag_that_moved_and_a_registry_that_is_away_are_told() {
    let mut stand = or_skip!(Stand::new());
    stand.site.admin(["setup"]).code(0);
    stand.move_tag();
    assert_eq!(stand.verified(&[], 0)["state"], "ok");
    let image = stand.verified(&["--online"], 2);
    assert_eq!(image["state"], "outdated", "{image}");
    assert!(image["newer"].as_str().unwrap().starts_with("sha256:"), "{image}");
    assert_ne!(image["newer"], image["digest"]);
    stand.site.admin(image["hint"].as_str().unwrap().split(' ').skip(1)).code(0);
    assert_eq!(stand.verified(&["--online", "--full"], 0)["state"], "ok");

    let Stand { registry, site, .. } = stand;
    drop(registry);
    let report = site.admin(["image", "verify", "--online", "--json"]).code(69).json();
    assert_eq!(report["images"][0]["state"], "unknown", "{report}");
    // What is wrong with the file counts for more.
    fs_err::remove_file(site.cache().join("images/small_1.sif")).unwrap();
    site.admin(["image", "verify", "--online"]).code(2);
}

#[test]
fn a_dry_run_says_what_would_be_fetched_and_touches_nothing() {
    let mut stand = or_skip!(Stand::new());
    let large = "large\n".repeat(300_000);
    let image = Image { layers: vec![Layer(vec![Item::text("data", &large)])], ..small() };
    stand.layout.add("large", &image, Packing::Plain);
    stand.registry.push(stand.registry.folder(), "oci:/srv/layout:large", "org/large:1");
    stand.site.admin(["setup"]).code(0);
    let cache = stand.site.cache();
    let before = Tree::of(cache);
    let (one, two) = (stand.registry.reference("org/large:1"), stand.registry.reference("org/small:1"));
    let dry = stand.site.admin(["image", "pull", &one, &two, "--dry-run", "--json"]).code(0).json();
    let actions = dry["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 2, "{dry}");
    let detail = actions[0]["detail"].as_str().unwrap();
    for part in ["sha256:", "1 layer,", "MB to fetch", "gzip"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert_eq!(actions[1]["action"], "keep", "{dry}");
    assert_eq!(Tree::of(cache), before);
    stand.site.admin(["image", "pull", &one, &two]).code(0);
    let listed = stand.site.admin(["image", "ls", "--json"]).code(0).json();
    let images = listed["images"].as_array().unwrap();
    assert!(images.iter().all(|image| image["compressed_with"] == "gzip:7"), "{listed}");
    assert!(images.iter().all(|image| image["made_by"].is_string()), "{listed}");

    // Nothing is there of that name.
    let none = stand.registry.reference("org/none:1");
    stand.site.admin(["image", "pull", &none, "--dry-run"]).code(66);
}

#[test]
fn what_was_seen_to_mount_is_how_images_are_made() {
    let stand = or_skip!(Stand::new());
    // Without Slurm in PATH this machine is what counts.
    let plain = |words: &[&str]| stand.site.admin(words).env("PATH", "/usr/bin:/bin");
    plain(&["setup", "--dry-run"]).code(0).stdout_contains("gzip: zstd was not tried on this machine");
    fs_err::create_dir_all(stand.site.cache()).unwrap();
    let probes = r#"{"schema": 1, "zstd": {"seen_at": "2026-01-01T00:00:00Z", "host": "here", "mounted": true, "runtime": null}}"#;
    fs_err::write(stand.site.cache().join("probes.json"), probes).unwrap();
    plain(&["setup"]).code(0);
    assert_eq!(stand.verified(&["--full"], 0)["compression"], "zstd:8");
    // An update keeps it, whatever is known by then.
    fs_err::remove_file(stand.site.cache().join("probes.json")).unwrap();
    plain(&["setup", "--update", "mine"]).code(0);
    assert_eq!(stand.verified(&["--full"], 0)["compression"], "zstd:8");
}

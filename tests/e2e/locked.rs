//! `bf-admin setup --locked`: what site.lock has comes back as it was, and nothing else.

use bf_test_kit::{Site, Tree, or_skip, sif, write_gguf};

use crate::images::{Images, REFERENCE};

/// A provisioned site with an image and a model.
fn site(digest: &str) -> Images {
    let images = Images::new();
    let model = images.site.path().join("model");
    fs_err::create_dir(&model).unwrap();
    write_gguf(&model.join("model.gguf"), 1).unwrap();
    declare(&images, &format!("mine: {{ref: '{REFERENCE}'{digest}}}"), "org/name");
    images.admin(&["setup"]).code(0);
    images
}

fn declare(images: &Images, image: &str, model: &str) {
    let path = images.site.path().join("model");
    images.site.declare_text(&format!(
        "schema: 1\ncache_dir: cache\nimages:\n  {image}\nmodels:\n  - {{repo: {model}, path: {}}}\n",
        path.display()
    ));
}

/// Loses everything but site.lock.
fn lose(images: &Images) {
    for part in ["images", "models", "toolkit", "bin"] {
        fs_err::remove_dir_all(images.site.cache().join(part)).unwrap();
    }
}

fn lock(images: &Images) -> String {
    fs_err::read_to_string(images.site.cache().join("site.lock")).unwrap()
}

#[test]
fn everything_comes_back_as_it_was() {
    let images = site("");
    let before = lock(&images);
    lose(&images);
    images.admin(&["setup", "--locked"]).code(0);
    assert_eq!(lock(&images), before);
    images.site.admin(["status", "--full"]).code(0);
    assert_eq!(images.admin(&["setup", "--locked", "--json"]).code(0).json()["changed"], 0);
    images.admin(&["setup", "--locked", "--update", "mine"]).code(64);
}

#[test]
fn what_is_not_the_same_is_refused_and_stops_nothing_else() {
    let images = site("");
    let before = lock(&images);
    lose(&images);
    images.offer(2);
    let refused = images.admin(&["setup", "--locked", "--only", "images"]).code(65).one_sentence();
    refused.stderr_contains("image mine is not what site.lock has: SHA-256 ");
    assert!(fs_err::symlink_metadata(images.link()).is_err());
    write_gguf(&images.site.path().join("model/model.gguf"), 2).unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let words = [&["setup", "--locked", "--only", "models"], more].concat();
        let refused = images.admin(&words).code(65).one_sentence();
        refused.stderr_contains("model org/name is not what site.lock has: commit ");
    }
    assert!(!images.site.cache().join("models/models--org--name").exists());
    // The one without the other.
    images.offer(1);
    images.admin(&["setup", "--locked"]).code(1);
    assert_eq!(fs_err::read(images.link()).unwrap(), sif(1, REFERENCE));
    assert_eq!(lock(&images), before);
}

#[test]
fn what_the_lock_does_not_have_is_named_before_anything_is_done() {
    let images = site("");
    lose(&images);
    fs_err::create_dir(images.site.cache().join("images")).unwrap();
    let refused = |image: &str, model: &str, words: &[&str]| {
        declare(&images, image, model);
        for dry in [&["setup", "--locked"][..], &["setup", "--locked", "--dry-run"]] {
            let mut outcome = images.admin(dry).code(65).one_sentence();
            for word in words {
                outcome = outcome.stderr_contains(word);
            }
        }
        assert_eq!(
            images.admin(&["setup", "--locked", "--json"]).code(65).json()["error"]["code"],
            "not_locked"
        );
        let images_now = Tree::of(&images.site.cache().join("images"));
        assert!(!images_now.entries().iter().any(|entry| format!("{entry:?}").contains(".sif")));
        assert!(!images.site.cache().join("models/models--org--name").exists());
    };
    let mine = format!("mine: {{ref: '{REFERENCE}'}}");
    refused(
        &format!("mine: {{ref: '{REFERENCE}2'}}"),
        "org/name",
        &["image mine as registry.example/org/name:12 (it has "],
    );
    refused("other: {ref: 'registry.example/other:1'}", "org/else", &["image other as ", "model org/else"]);
    declare(&images, &mine, "org/else");
    images.admin(&["setup", "--locked", "--only", "images"]).code(0);
    assert!(images.link().exists());
}

#[test]
fn an_image_with_a_digest_is_fetched_by_it() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    let images = site(&format!(", digest: '{digest}'"));
    declare(&images, &format!("mine: {{ref: '{REFERENCE}'}}"), "org/name");
    lose(&images);
    // Made again of the same manifest, its bytes are others.
    images.offer(2);
    images.admin(&["setup", "--locked"]).code(0);
    let arguments = images.said("arguments");
    assert!(arguments.contains(&format!("docker://registry.example/org/name@{digest}")), "{arguments}");
    assert_eq!(fs_err::read(images.link()).unwrap(), sif(2, REFERENCE));
    images.site.admin(["status", "--full"]).code(0);
}

#[test]
fn an_engine_comes_back_in_the_version_of_the_lock() {
    or_skip!(bf_test_kit::model()); // which needs a package index, as the engine does
    let site = Site::new();
    let declare = |version: &str| {
        site.declare_text(&format!("schema: 1\ncache_dir: cache\nengines: {{llama_cpp: {{{version}}}}}\n"));
    };
    declare("");
    site.admin(["setup"]).code(0);
    let lock = || fs_err::read_to_string(site.cache().join("site.lock")).unwrap();
    let before = lock();
    let parsed: serde_json::Value = serde_json::from_str(&before).unwrap();
    let version = parsed["engines"]["llama_cpp"]["version"].as_str().unwrap().to_owned();

    // Its definition went on meanwhile.
    let builtin = concat!(env!("CARGO_MANIFEST_DIR"), "/../../templates/services/llama_cpp.yaml");
    let text = fs_err::read_to_string(builtin).unwrap();
    assert!(text.contains(&version), "{text}");
    let services = site.cache().join("templates/services");
    fs_err::create_dir_all(&services).unwrap();
    fs_err::write(services.join("llama_cpp.yaml"), text.replace(&version, "99.9.9")).unwrap();
    site.admin(["setup", "--dry-run"]).code(0).stdout_contains("99.9.9");
    site.admin(["setup", "--locked"]).code(0).stdout_contains("nothing to do");

    fs_err::remove_dir_all(site.cache().join("engines/llama_cpp")).unwrap();
    site.admin(["setup", "--locked"]).code(0);
    assert!(site.cache().join("engines/llama_cpp").join(&version).is_dir());
    assert_eq!(lock(), before);

    declare("version: 99.9.9");
    let refused = site.admin(["setup", "--locked"]).code(65).one_sentence();
    refused.stderr_contains(&format!("engine llama_cpp 99.9.9 (it has {version})"));
}

//! The catalogue: what users are shown of a cache without looking into its folders.

use bf_test_kit::{REPO, Site, or_skip, write_gguf};

#[test]
fn it_is_kept_by_every_command_and_never_needed() {
    let model = or_skip!(bf_test_kit::model());
    let site = Site::new();
    site.declare(&model);
    site.admin(["setup"]).code(0);
    let link = site.cache().join("catalog.db");
    assert!(fs_err::read_link(&link).unwrap().starts_with(".catalog"));
    let list = || site.user(["model", "ls", "--json"]).code(0).json();
    let first = list();
    assert_eq!(first["models"][0]["repo"], REPO);

    // Another model: shown at once.
    let other = site.path().join("other");
    fs_err::create_dir(&other).unwrap();
    write_gguf(&other.join("model.gguf"), 1).unwrap();
    site.admin(["model", "import", other.to_str().unwrap(), "--as", "org/other"]).code(0);
    let both = list();
    assert_eq!(both["models"].as_array().unwrap().len(), 2, "{both}");

    // Without it, and with a damaged one, the folders say the same.
    let real = fs_err::canonicalize(&link).unwrap();
    let good = fs_err::read(&real).unwrap();
    fs_err::write(&real, &good[..100]).unwrap();
    assert_eq!(list(), both);
    fs_err::remove_file(&link).unwrap();
    assert_eq!(list(), both);
    let again = site.admin(["setup", "--json"]).code(0).json();
    assert_eq!(again["changed"], 0, "{again}");
    assert!(link.exists(), "it is made again");
    assert_eq!(list(), both);
}

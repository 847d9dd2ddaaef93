use std::os::unix::fs::PermissionsExt;

use bf_core::image::STRAY_HINT;
use bf_core::publish::Policy;

use super::*;
use crate::cli::Context;
use crate::session::{self, Make};
use crate::{apply, locate, plan, testing};

/// A site with one model from a folder, a cache below the same folder, and a bf-user in `tools`.
fn site(dir: &Path) -> Site {
    let root = fs_err::canonicalize(dir).unwrap();
    // Users can get there: a cache that they cannot reach is not in sync.
    fs_err::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
    fs_err::create_dir_all(root.join("dl")).unwrap();
    fs_err::write(root.join("dl/model.gguf"), testing::gguf(1)).unwrap();
    testing::beside(&root.join("tools"), 1);
    let text = "schema: 1\ncache_dir: cache\nmodels: [{repo: org/name, path: dl}]\n";
    fs_err::write(root.join("site.yaml"), text).unwrap();
    locate::site(&testing::context(Some(&root.join("site.yaml")), None)).unwrap()
}

fn setup(site: &Site) -> usize {
    let context = Context { program: program(site), ..testing::context(None, None) };
    session::run(&context, &site.layout, Make::WithParents, Policy::default(), |publisher| {
        let mut locked = Locked::load(&site.layout)?;
        let present = present::gather(site, &locked, &testing::ask(&context, Depth::Quick))?;
        let steps = plan::plan(&site.declared, &locked, &present, &[]);
        let done = apply::apply(publisher, &mut locked, steps, context.printer);
        assert!(done.failures.is_empty(), "{:?}", done.failures);
        let line = done.audit();
        Ok((done.changed, line))
    })
    .unwrap()
}

/// The bf-admin that is run.
fn program(site: &Site) -> PathBuf {
    site.layout.root().with_file_name("tools").join("bf-admin")
}

/// `kind name state` of what is not in order, or not declared.
fn off(site: &Site, depth: Depth) -> Vec<String> {
    let status = of(site, &program(site), depth).unwrap();
    status
        .items
        .iter()
        .filter(|item| item.state != State::Present && !(item.kind == "permissions" && fine(item.state)))
        .map(|item| format!("{} {} {:?}", item.kind, item.name, item.state))
        .collect()
}

#[test]
fn everything_is_missing_then_present_and_a_second_setup_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    assert_eq!(
        off(&site, Depth::Quick),
        [&toolkit("Missing"), "model org/name Missing", "site site.yaml Missing"]
    );
    assert_eq!(setup(&site), 3);
    assert_eq!(off(&site, Depth::Full), [""; 0]);
    assert!(of(&site, &program(&site), Depth::Quick).unwrap().in_sync());
    let audit = fs_err::read(site.layout.audit()).unwrap();
    assert_eq!(setup(&site), 0);
    assert_eq!(fs_err::read(site.layout.audit()).unwrap(), audit);
}

#[test]
fn drift_is_named_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let model = site.layout.models().join("models--org--name");
    let commit = fs_err::read_to_string(model.join("refs/main")).unwrap();
    let file = model.join("snapshots").join(commit).join("model.gguf");

    fs_err::write(&file, "cut").unwrap();
    assert_eq!(off(&site, Depth::Quick), ["model org/name Damaged"]);
    assert_eq!(setup(&site), 1);
    assert_eq!(off(&site, Depth::Full), [""; 0]);

    let mut bytes = testing::gguf(1);
    bytes[40] ^= 1;
    fs_err::write(&file, &bytes).unwrap();
    assert_eq!(off(&site, Depth::Quick), [""; 0]);
    assert_eq!(off(&site, Depth::Full), ["model org/name Damaged"]);
    fs_err::write(&file, testing::gguf(1)).unwrap();

    fs_err::write(model.join("refs/main"), "other").unwrap();
    assert_eq!(off(&site, Depth::Quick), ["model org/name Drifted"]);
    fs_err::remove_dir_all(&model).unwrap();
    assert_eq!(off(&site, Depth::Quick), ["model org/name Missing"]);
    assert_eq!(setup(&site), 1);

    fs_err::set_permissions(&model, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(off(&site, Depth::Quick), ["model org/name Drifted"]);
}

#[test]
fn what_is_not_declared_is_unmanaged_and_in_sync() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    for folder in ["models/models--a--b", "engines/other/1"] {
        let folder = site.layout.root().join(folder);
        fs_err::create_dir_all(&folder).unwrap();
        for made in [&folder, folder.parent().unwrap()] {
            fs_err::set_permissions(made, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    assert_eq!(off(&site, Depth::Quick), ["engine other 1 Unmanaged", "model a/b Unmanaged"]);
    assert!(of(&site, &program(&site), Depth::Quick).unwrap().in_sync());
}

#[test]
fn a_link_in_the_way_is_named_also_when_it_stays_in_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let engines = site.layout.root().join("engines");
    fs_err::remove_dir_all(&engines).unwrap();
    fs_err::os::unix::fs::symlink("models", &engines).unwrap();
    let off = off(&site, Depth::Quick);
    assert!(off.contains(&"permissions engines Drifted".to_owned()), "{off:?}");
    let status = of(&site, &program(&site), Depth::Quick).unwrap();
    let hint = status.items.iter().find(|item| item.name == "engines").unwrap().hint.as_ref();
    assert!(hint.unwrap().contains("`rm "), "{hint:?}");
}

#[test]
fn what_is_not_in_the_lock_is_not_in_sync() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    fs_err::remove_file(site.layout.site_lock()).unwrap();
    assert_eq!(off(&site, Depth::Quick), [&toolkit("Missing"), "model org/name Drifted"]);
    assert_eq!(setup(&site), 2);
    assert_eq!(off(&site, Depth::Full), [""; 0]);
}

fn toolkit(state: &str) -> String {
    format!("toolkit bf-user {} {state}", std::env::consts::ARCH)
}

#[test]
fn the_toolkit_follows_what_lies_beside_bf_admin() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let link = site.layout.bin().join("bf-user");
    let file = site.layout.toolkit(env!("CARGO_PKG_VERSION"), std::env::consts::ARCH).join("bf-user");
    assert_eq!(fs_err::canonicalize(&link).unwrap(), file);
    assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o755);

    // Another build, a link that leads elsewhere, one byte, no file at all.
    testing::beside(&site.layout.root().with_file_name("tools"), 2);
    assert_eq!(off(&site, Depth::Quick), [toolkit("Drifted")]);
    assert_eq!(setup(&site), 1);
    fs_err::remove_file(&link).unwrap();
    fs_err::os::unix::fs::symlink("/bin/sh", &link).unwrap();
    assert_eq!(off(&site, Depth::Quick)[0], toolkit("Drifted"));
    assert_eq!(setup(&site), 1);
    let whole = fs_err::read(&file).unwrap();
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() = b' ';
    fs_err::write(&file, bytes).unwrap();
    assert_eq!(off(&site, Depth::Full), [toolkit("Damaged")]);
    fs_err::remove_file(&file).unwrap();
    assert_eq!(off(&site, Depth::Quick)[0], toolkit("Missing"));
    assert_eq!(setup(&site), 1);
    assert_eq!(fs_err::read(&file).unwrap(), whole);
    assert_eq!(off(&site, Depth::Full), [""; 0]);

    // Without one beside it, what is there stays.
    fs_err::remove_file(program(&site).with_file_name("bf-user")).unwrap();
    assert_eq!(off(&site, Depth::Quick), [""; 0]);
    assert_eq!(setup(&site), 0);
    fs_err::write(program(&site).with_file_name("bf-user"), "#!/bin/sh\necho '{}'\n").unwrap();
    assert_eq!(off(&site, Depth::Quick), [toolkit("Drifted")]);
}

#[test]
fn the_link_to_another_architecture_stays() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let (own, other) = (std::env::consts::ARCH, "other64");
    let file = site.layout.toolkit("0.0.1", other).join("bf-user");
    publish(&site, &file, b"program");
    let mut locked = Locked::load(&site.layout).unwrap();
    let toolkit_there = locked.toolkit.as_mut().unwrap();
    toolkit_there.files.push(bf_core::site::LockedFile {
        path: format!("toolkit/0.0.1/{other}/bf-user"),
        sha256: bf_core::digest::of_bytes(b"program"),
        bytes: 7,
        blob: None,
    });
    let link = site.layout.bin().join("bf-user");
    fs_err::write(site.layout.site_lock(), locked.text().unwrap()).unwrap();
    fs_err::remove_file(&link).unwrap();
    let target = format!("../toolkit/0.0.1/{other}/bf-user");
    fs_err::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(off(&site, Depth::Full), [""; 0]);
    testing::beside(&site.layout.root().with_file_name("tools"), 3);
    assert_eq!(setup(&site), 1);
    assert_eq!(fs_err::read_link(&link).unwrap(), Path::new(&target));
    assert_eq!(Locked::load(&site.layout).unwrap().toolkit.unwrap().files.len(), 2, "{own}");

    fs_err::remove_file(&file).unwrap();
    assert!(off(&site, Depth::Quick).contains(&format!("toolkit bf-user {other} Missing")));
    assert_eq!(setup(&site), 1);
    assert!(fs_err::read_link(&link).unwrap().to_string_lossy().contains(own));
}

/// Puts a file into the cache, with folders that everybody can enter.
fn publish(site: &Site, file: &Path, bytes: &[u8]) {
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    fs_err::write(file, bytes).unwrap();
    for path in file.ancestors().take_while(|path| *path != site.layout.root()) {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn an_image_is_missing_present_drifted_and_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let text = format!("{}images: {{mine: {{ref: q.io/org/name:1}}}}\n", site.declared.text);
    fs_err::write(&site.declared.path, text).unwrap();
    let site = locate::site(&testing::context(Some(&site.declared.path), None)).unwrap();
    assert_eq!(off(&site, Depth::Quick), ["image mine Missing", "site site.yaml Drifted"]);

    // What is imported by the file name of that image is it.
    let file = dir.path().join("name_1.sif");
    fs_err::write(&file, testing::sif(1, "q.io/org/name:1")).unwrap();
    let context = Context { cache_dir: Some(site.layout.root().to_owned()), ..testing::context(None, None) };
    run(&context, &["image", "import", file.to_str().unwrap()]).unwrap();
    assert_eq!(off(&site, Depth::Quick)[0], "image mine Drifted");
    assert_eq!(setup(&site), 2);
    assert_eq!(off(&site, Depth::Full), [""; 0]);
    let locked = Locked::load(&site.layout).unwrap();
    assert_eq!(locked.images.keys().collect::<Vec<_>>(), ["mine"]);

    let link = site.layout.image_link("name_1.sif");
    let stored = fs_err::canonicalize(&link).unwrap();
    assert_eq!(stored.parent(), Some(site.layout.image_store().as_path()));
    assert_eq!(fs_err::metadata(&stored).unwrap().permissions().mode() & 0o7777, 0o755);
    fs_err::remove_file(&link).unwrap();
    assert_eq!(off(&site, Depth::Quick), ["image mine Drifted"]);
    assert_eq!(setup(&site), 1);
    let whole = fs_err::read(&stored).unwrap();
    let mut bytes = whole.clone();
    bytes[4150] ^= 1;
    fs_err::write(&stored, bytes).unwrap();
    assert_eq!(off(&site, Depth::Quick), [""; 0]);
    assert_eq!(off(&site, Depth::Full), ["image mine Damaged"]);
    fs_err::write(&stored, &whole[..4100]).unwrap();
    assert_eq!(off(&site, Depth::Quick), ["image mine Damaged"]);
    fs_err::write(&stored, &whole).unwrap();

    publish(&site, &site.layout.image_link("by-hand.sif"), &whole);
    assert_eq!(off(&site, Depth::Quick), ["image by-hand.sif Unmanaged"]);
    publish(&site, &site.layout.image_link("by-hand.sif"), b"no");
    assert_eq!(item_of(&site, "by-hand.sif").hint.unwrap().rsplit(": ").next(), Some(STRAY_HINT));
}

fn item_of(site: &Site, name: &str) -> Item {
    let items = of(site, &program(site), Depth::Quick).unwrap().items;
    items.into_iter().find(|item| item.name == name).unwrap()
}

#[test]
fn what_no_image_uses_in_the_store_is_named_and_what_is_odd_there_has_the_right_hint() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let context = Context { cache_dir: Some(site.layout.root().to_owned()), ..testing::context(None, None) };
    let file = dir.path().join("name_1.sif");
    for salt in [1, 2] {
        fs_err::write(&file, testing::sif(salt, "q.io/org/name:1")).unwrap();
        run(&context, &["image", "import", file.to_str().unwrap(), "--force"]).unwrap();
    }
    let old = bf_core::digest::of_bytes(&testing::sif(1, "q.io/org/name:1"));
    let old = format!(".store/{}-gzip.sif", &old[..12]);
    let expected = ["image name_1 Unmanaged".to_owned(), format!("image {old} Unmanaged")];
    assert_eq!(off(&site, Depth::Full), expected);
    assert!(item_of(&site, &old).detail.contains("`bf-admin image prune` removes it"));

    // A folder where the file should be, and a link where the store should be: nothing is written over or through them.
    let stored = fs_err::canonicalize(site.layout.image_link("name_1.sif")).unwrap();
    fs_err::remove_file(&stored).unwrap();
    fs_err::create_dir(&stored).unwrap();
    fs_err::set_permissions(&stored, std::fs::Permissions::from_mode(0o755)).unwrap();
    let item = item_of(&site, "name_1");
    assert!(item.hint.as_ref().unwrap().contains("move "), "{item:?}");
    let pull = ["image", "pull", "q.io/org/name:1", "--force"];
    assert_eq!(run(&context, &pull).unwrap_err().code, "folder_in_the_way");
    fs_err::remove_dir(&stored).unwrap();
    let elsewhere = site.layout.images().join("elsewhere");
    fs_err::rename(site.layout.image_store(), &elsewhere).unwrap();
    fs_err::os::unix::fs::symlink("elsewhere", site.layout.image_store()).unwrap();
    let item = item_of(&site, "name_1");
    assert!(item.hint.as_ref().unwrap().contains("`rm "), "{item:?}");
    assert_eq!(run(&context, &pull).unwrap_err().code, "link_in_the_way");
}

#[test]
fn a_file_that_stands_where_the_link_must_be_is_taken_over_and_kept() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let link = site.layout.image_link("name_1.sif");
    publish(&site, &link, &testing::sif(1, "q.io/org/name:1"));
    let inode = fs_err::metadata(&link).unwrap().ino();
    let context = Context { cache_dir: Some(site.layout.root().to_owned()), ..testing::context(None, None) };
    let import = |file: &Path, more: &[&str]| {
        let words = ["image", "import", file.to_str().unwrap()];
        run(&context, &words.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    };
    // Another file does not replace it.
    let other = dir.path().join("name_1.sif");
    fs_err::write(&other, testing::sif(2, "q.io/org/name:1")).unwrap();
    let failure = import(&other, &[]).unwrap_err();
    assert_eq!(failure.code, "link_in_the_way");
    assert!(failure.hint.unwrap().contains("takes it over"));

    if nix::unistd::geteuid().is_root() {
        fs_err::os::unix::fs::chown(&link, Some(54_321), None).unwrap();
        assert_eq!(import(&link, &["--as", "mine"]).unwrap_err().code, "not_owner");
        fs_err::os::unix::fs::chown(&link, Some(0), None).unwrap();
    }
    import(&link, &["--as", "mine"]).unwrap();
    assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs_err::metadata(&link).unwrap().ino(), inode, "jobs that run from it keep it");
    let audit = fs_err::read(site.layout.audit()).unwrap();
    import(&link, &["--as", "mine"]).unwrap();
    assert_eq!(fs_err::read(site.layout.audit()).unwrap(), audit, "nothing changed");

    // Now it is a link, and another content is another file, if that is what is meant.
    assert_eq!(import(&other, &[]).unwrap_err().code, "image_exists");
    import(&other, &["--force"]).unwrap();
    assert_ne!(fs_err::metadata(&link).unwrap().ino(), inode);
    let locked = Locked::load(&site.layout).unwrap();
    assert_eq!(locked.images.keys().collect::<Vec<_>>(), ["mine"]);
    assert_eq!(fs_err::read_dir(site.layout.image_store()).unwrap().count(), 2, "the old one stays");

    assert_eq!(import(&other, &["--as", "yours"]).unwrap_err().code, "image_name_taken");
    let cut = dir.path().join("y.sif");
    fs_err::write(&cut, &testing::sif(3, "q.io/a:1")[..4100]).unwrap();
    let failure = import(&cut, &[]).unwrap_err();
    assert_eq!((failure.code, failure.exit), ("image_damaged", bf_core::report::Exit::Invalid));
}

const LLAMA: &str = "ghcr.io/ggml-org/llama.cpp:server";

#[test]
fn what_a_file_claims_to_be_replaces_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let context = Context { cache_dir: Some(site.layout.root().to_owned()), ..testing::context(None, None) };
    let file = |name: &str, salt, claim: &str| {
        let path = dir.path().join(name);
        fs_err::write(&path, testing::sif(salt, claim)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let entry = |name: &str| Locked::load(&site.layout).unwrap().images.get(name).cloned().unwrap();
    let find = |engine: &str| {
        let locked = Locked::load(&site.layout).unwrap();
        let reference = LLAMA.parse().unwrap();
        let found = bf_core::image::find(&site.layout, &locked, engine, Some(&reference)).unwrap();
        found.map(|sif| fs_err::read(sif.path).unwrap()[48])
    };

    let genuine = file("any.sif", 1, LLAMA);
    run(&context, &["image", "import", &genuine, "--as", "llama_cpp"]).unwrap();
    let own = entry("llama_cpp");
    assert_eq!(own.sif, "images/llama.cpp_server.sif", "the engine says so as well");
    assert_eq!((own.reference.unwrap().to_string(), find("llama_cpp")), (LLAMA.to_owned(), Some(1)));

    let forged = file("notes.sif", 2, LLAMA);
    run(&context, &["image", "import", &forged]).unwrap();
    assert_eq!((entry("notes").sif.as_str(), entry("notes").reference), ("images/notes.sif", None));
    assert_eq!(find("llama_cpp"), Some(1));
    run(&context, &["image", "import", &file("more.sif", 3, LLAMA), "--as", "mine"]).unwrap();
    assert_eq!((entry("mine").sif.as_str(), entry("mine").reference), ("images/mine.sif", None));

    // For an engine's name any file will do, when that is what is said, and it is found by that name.
    let built = file("built.sif", 4, "q.io/me/llama:2");
    let refused = run(&context, &["image", "import", &built, "--as", "llama_cpp"]).unwrap_err();
    assert_eq!(refused.code, "image_exists");
    assert!(refused.message.contains(LLAMA), "{refused}");
    run(&context, &["image", "import", &built, "--as", "llama_cpp", "--force"]).unwrap();
    assert_eq!((find("llama_cpp"), entry("llama_cpp").reference), (Some(4), None));

    // A file of images/ keeps its name, whatever it claims, and is not copied.
    let by_hand = site.layout.image_link("mine_1.sif");
    publish(&site, &by_hand, &testing::sif(5, "q.io/other:7"));
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs_err::metadata(path).unwrap());
    let before = inode(&by_hand);
    run(&context, &["image", "import", by_hand.to_str().unwrap()]).unwrap();
    assert_eq!((entry("mine_1").sif.as_str(), inode(&by_hand)), ("images/mine_1.sif", before));
    assert!(!site.layout.image_link("other_7.sif").exists());

    // A copy of what the store has, where the link was, is not thrown away: jobs may run from it.
    fs_err::remove_file(&by_hand).unwrap();
    publish(&site, &by_hand, &testing::sif(5, "q.io/other:7"));
    let refused = run(&context, &["image", "import", by_hand.to_str().unwrap()]).unwrap_err();
    assert!(refused.hint.as_ref().unwrap().contains("move it away"), "{refused:?}");
    let moved = dir.path().join("mine_1.sif");
    fs_err::rename(&by_hand, &moved).unwrap();
    run(&context, &["image", "import", moved.to_str().unwrap()]).unwrap();
    assert_eq!(inode(&by_hand), before);
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    let context = Context { cache_dir: Some(site.layout.root().to_owned()), ..testing::context(None, None) };
    let pipe = dir.path().join("pipe.sif");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let path = pipe.to_str().unwrap().to_owned();
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let words = |path| ["image", "import", path, "--as", "mine"];
        let _ = done.send([path.as_str(), "/dev/zero"].map(|path| run(&context, &words(path)).unwrap_err()));
    });
    for failure in ended.recv_timeout(std::time::Duration::from_secs(10)).expect("it waits for a writer") {
        assert!(failure.message.contains("is not a regular file"), "{failure}");
        assert_eq!(failure.exit, bf_core::report::Exit::Invalid);
    }
}

fn run(context: &Context, words: &[&str]) -> Result<bf_core::report::Exit, Failure> {
    let words: Vec<std::ffi::OsString> = ["bf-admin"].iter().chain(words).map(Into::into).collect();
    let (_, command) = crate::cli::parse(&words).unwrap();
    crate::commands::run(context, command)
}

#[test]
fn what_this_version_cannot_provide_is_told_and_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let made = site(dir.path());
    let text = format!("{}tigerflow: {{ml: true}}\nondemand: {{apps_dir: apps}}\n", made.declared.text);
    fs_err::write(&made.declared.path, text).unwrap();
    let site = locate::site(&testing::context(Some(&made.declared.path), None)).unwrap();
    assert_eq!(setup(&site), 3);
    assert_eq!(off(&site, Depth::Quick), ["tigerflow tigerflow Missing", "ondemand blackfish Elsewhere"]);
    // Where there is Open OnDemand, its app is missing.
    fs_err::create_dir(site.declared.path.with_file_name("apps")).unwrap();
    assert_eq!(off(&site, Depth::Quick), ["tigerflow tigerflow Missing", "ondemand blackfish Missing"]);
    let status = of(&site, &program(&site), Depth::Quick).unwrap();
    assert!(status.in_sync());
    let (mut shown, mut quiet) = (Vec::new(), Vec::new());
    status.text(&mut shown).unwrap();
    status.quiet(&mut quiet).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    let verdict = "in sync, but for what this version cannot provide: tigerflow, ondemand\n";
    assert!(shown.ends_with(verdict) && !shown.contains("hint"), "{shown}");
    assert!(quiet.is_empty());
    assert_eq!(setup(&site), 0, "and it is not done again");
}

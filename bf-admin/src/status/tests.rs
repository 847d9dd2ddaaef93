use std::os::unix::fs::PermissionsExt;

use bf_core::publish::Policy;

use super::*;
use crate::session::{self, Make};
use crate::{apply, locate, plan, testing};

/// A site with one model from a folder, and a cache below the same folder.
fn site(dir: &Path) -> Site {
    let root = fs_err::canonicalize(dir).unwrap();
    fs_err::create_dir_all(root.join("dl")).unwrap();
    fs_err::write(root.join("dl/model.gguf"), testing::gguf(1)).unwrap();
    let text = "schema: 1\ncache_dir: cache\nmodels: [{repo: org/name, path: dl}]\n";
    fs_err::write(root.join("site.yaml"), text).unwrap();
    locate::site(&testing::context(Some(&root.join("site.yaml")), None)).unwrap()
}

fn setup(site: &Site) -> usize {
    let context = testing::context(None, None);
    session::run(&site.layout, &context.command, Make::WithParents, Policy::default(), |publisher| {
        let mut locked = Locked::load(&site.layout)?;
        let present = present::gather(
            site,
            &locked,
            &std::collections::BTreeSet::new(),
            Depth::Quick,
            &context.environment,
        )?;
        let steps = plan::plan(&site.declared, &locked, &present, &[]);
        let done = apply::apply(publisher, &mut locked, steps, context.printer);
        assert!(done.failures.is_empty(), "{:?}", done.failures);
        let line = done.audit();
        Ok((done.changed, line))
    })
    .unwrap()
}

/// `kind name state` of what is not in order, or not declared.
fn off(site: &Site, depth: Depth) -> Vec<String> {
    let status = of(site, depth).unwrap();
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
    assert_eq!(off(&site, Depth::Quick), ["model org/name Missing", "site site.yaml Missing"]);
    assert_eq!(setup(&site), 2);
    assert_eq!(off(&site, Depth::Full), [""; 0]);
    assert!(of(&site, Depth::Quick).unwrap().in_sync());
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
    assert_eq!(off(&site, Depth::Quick), ["permissions models/models--org--name Drifted"]);
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
    assert!(of(&site, Depth::Quick).unwrap().in_sync());
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
    let status = of(&site, Depth::Quick).unwrap();
    let hint = status.items.iter().find(|item| item.name == "engines").unwrap().hint.as_ref();
    assert!(hint.unwrap().contains("`rm "), "{hint:?}");
}

#[test]
fn what_is_not_in_the_lock_is_not_in_sync() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path());
    setup(&site);
    fs_err::remove_file(site.layout.site_lock()).unwrap();
    assert_eq!(off(&site, Depth::Quick), ["model org/name Drifted"]);
    assert_eq!(setup(&site), 1);
    assert_eq!(off(&site, Depth::Full), [""; 0]);
}

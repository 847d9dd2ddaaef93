//! The same for a user, into his own folder: the shared cache stays as it is.

use bf_test_kit::Tree;
use bf_test_kit::hub::{Fault, Place, Repo};

use super::cut::{killed, large};
use super::{ID, SHARD, Stage, repo};

#[test]
fn a_user_fetches_into_his_own_folder_and_changes_nothing_else() {
    let stage = Stage::own(ID, repo(ID));
    let before = Tree::of(stage.site.cache());
    stage.hub.fault(Fault::Drop(600_000).at(Place::Cdn).times(2));
    stage.add(&[]).umask(0o000).code(0);
    stage.is_whole();
    stage.site.user(["model", "ls"]).code(0).stdout_contains(ID);
    assert_eq!(before.changes(&Tree::of(stage.site.cache())), Vec::<String>::new());
    for (path, entry) in Tree::of(&stage.models()).entries() {
        assert!(entry.link.is_some() || entry.mode & 0o022 == 0, "{path:?} {:o}", entry.mode);
    }
    stage.hub.forget();
    stage.add(&[]).code(0);
    assert_eq!(stage.hub.cdn_bytes(), 0, "all of it is there");
}

#[test]
fn what_everybody_has_is_not_fetched_again() {
    let stage = Stage::own(ID, repo(ID));
    stage.at_hub(stage.site.admin(["model", "add", ID])).code(0);
    stage.hub.forget();
    stage.add(&[]).code(0).stdout_contains("shared cache");
    assert_eq!(stage.hub.cdn_bytes(), 0);
    assert!(!stage.model().join("snapshots").exists());
}

#[test]
fn what_is_refused_or_wrong_is_said_to_a_user_too() {
    let stage = Stage::own(ID, repo(ID));
    stage.hub.fault(Fault::Flip(1_234_567).at(Place::Cdn).path(SHARD));
    let outcome = stage.add(&[]).code(65);
    stage.says(outcome, &[SHARD]);
    stage.has_none();
    let gated = Stage::own(ID, Repo::gated(repo(ID)));
    let outcome = gated.add(&[]).code(77);
    gated.says(outcome, &[ID, "gated", gated.hub.endpoint()]);
    gated.has_none();
}

#[test]
fn what_a_user_killed_goes_on_where_it_was() {
    killed(&Stage::own(ID, large(2, 32)));
}

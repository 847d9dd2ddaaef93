//! What ends or fills up on this machine: kills, two at once, a full disk.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use bf_test_kit::hub::{Content, Repo};
use bf_test_kit::{Process, Site, eventually, or_skip};
use nix::sys::signal::Signal;

use super::{ID, Stage, files, shards};
use crate::space::Mounted;

const MEGABYTE: u64 = 1_000_000;
/// Bytes a second: slow enough to be caught at it.
const RATE: u64 = 40 * MEGABYTE;
/// Until it is as far as it should be.
const PATIENCE: Duration = Duration::from_mins(1);

/// A model of so many shards of so many megabytes.
pub(super) fn large(count: u64, megabytes: u64) -> Repo {
    let names: Vec<(String, String)> = (1..=count)
        .map(|number| (format!("model-{number:05}-of-{count:05}.safetensors"), format!("t{number}.weight")))
        .collect();
    let content = |seed: usize, tensor: &str| {
        Content::safetensors(seed as u64, &[(tensor, "BF16", &[megabytes * 500, 1000])])
    };
    let all: Vec<(&str, Content)> = names
        .iter()
        .enumerate()
        .map(|(seed, (path, tensor))| (path.as_str(), content(seed, tensor)))
        .collect();
    let tensors: Vec<&str> = names.iter().map(|(_, tensor)| tensor.as_str()).collect();
    shards(Repo::new(ID), &all, &tensors)
}

/// Killed at half of it, and again at three quarters.
pub(super) fn killed(stage: &Stage) {
    stage.hub.rate(Some(RATE));
    let needed = stage.needed();
    for part in [needed / 2, needed * 3 / 4] {
        let mut child = stage.add(&[]).spawn();
        let process = Process::now(i32::try_from(child.id()).unwrap()).unwrap();
        let reached = || (stage.hub.cdn_bytes() >= part || !process.is_alive()).then_some(());
        eventually("a part of it", PATIENCE, reached);
        assert!(process.is_alive(), "it had ended before");
        // What was sent and not written yet would be lost, by however much the machine is busy.
        stage.hub.rate(Some(0));
        let written = || (on_disk(&stage.site) >= stage.hub.cdn_bytes()).then_some(());
        eventually("what was sent, on the disk", PATIENCE, written);
        process.signal(Signal::SIGKILL);
        child.wait().unwrap();
        stage.hub.rate(Some(RATE));
        eventually("its connections' end", PATIENCE, || (stage.hub.connections() == 0).then_some(()));
        stage.has_none();
    }
    stage.add(&[]).code(0);
    stage.is_whole();
    let sent = stage.hub.cdn_bytes();
    assert!(sent * 100 <= needed * 102, "{sent} bytes were sent, {needed} are needed");
    // Of what was given up and taken up again nothing is left.
    let left: Vec<_> = files(&stage.models())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "partial" || end == "ranges"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Bytes that the files of a site have on the disk.
fn on_disk(site: &Site) -> u64 {
    let of = |path: PathBuf| fs_err::symlink_metadata(path).map_or(0, |meta| meta.blocks() * 512);
    files(site.path()).into_iter().map(of).sum()
}

#[test]
fn one_large_file_goes_on_where_it_was_killed() {
    killed(&Stage::of(ID, large(1, 64)));
}

#[test]
fn several_files_go_on_where_they_were_killed() {
    killed(&Stage::of(ID, large(8, 8)));
}

#[test]
fn two_at_once_fetch_it_once() {
    let stage = Stage::of(ID, large(2, 8));
    stage.hub.rate(Some(RATE / 4));
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| stage.add(&["--wait"]).code(0)));
        eventually("the first bytes", PATIENCE, || (stage.hub.cdn_bytes() > 0).then_some(()));
        // Who does not want to wait is told at once.
        stage.add(&[]).code(75).one_sentence();
        for one in both {
            one.join().unwrap();
        }
    });
    stage.is_whole();
    assert_eq!(stage.hub.cdn_bytes(), stage.needed());
}

#[test]
fn a_model_that_does_not_fit_is_not_begun() {
    let stage = Stage::of(ID, large(2, 8));
    let _small = or_skip!(Mounted::tmpfs(stage.site.cache(), "size=8m,mode=755"));
    let outcome = stage.add(&[]).code(73);
    stage.says(outcome, &[ID, "df -i"]);
    assert_eq!(stage.hub.cdn_bytes(), 0);
    stage.has_none();
}

#[test]
fn a_disk_that_gets_full_meanwhile_is_told_and_the_rest_comes_later() {
    let stage = Stage::of(ID, large(2, 8));
    let small = or_skip!(Mounted::tmpfs(stage.site.cache(), "size=40m,mode=755"));
    stage.hub.rate(Some(RATE / 4));
    let (outcome, ballast) = std::thread::scope(|scope| {
        let adding = scope.spawn(|| stage.add(&[]).code(73));
        eventually("the first bytes", PATIENCE, || (stage.hub.cdn_bytes() > 2 * MEGABYTE).then_some(()));
        let ballast = small.fill();
        (adding.join().unwrap(), ballast)
    });
    stage.says(outcome, &[ID, "df -i"]);
    stage.has_none();
    fs_err::remove_file(ballast).unwrap();
    stage.hub.rate(None);
    stage.add(&[]).code(0);
    stage.is_whole();
}

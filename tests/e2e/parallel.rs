//! Several things at once: what fails stops nothing else, what is told of it, and a kill in the midst of it.

use std::fmt::Write;
use std::time::Duration;

use bf_test_kit::{Process, eventually, sif, write_gguf};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::images::Images;

const ALL: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A site with six images, whose stand-ins wait for each other, and two models.
fn site() -> Images {
    let images = Images::new();
    let mut text = "schema: 1\ncache_dir: cache\nimages:\n".to_owned();
    for (salt, tag) in (1..).zip(ALL) {
        let reference = format!("registry.example/org/name:{tag}");
        fs_err::write(images.fake.join(format!("image-{tag}.sif")), sif(salt, &reference)).unwrap();
        fs_err::write(images.fake.join(format!("do-{tag}")), "together:4").unwrap();
        writeln!(text, "  {tag}: {{ref: '{reference}'}}").unwrap();
    }
    text += "models:\n";
    for name in ["one", "two"] {
        let path = images.site.path().join(name).join("model.gguf");
        fs_err::create_dir(path.parent().unwrap()).unwrap();
        write_gguf(&path, 3).unwrap();
        writeln!(text, "  - {{repo: org/{name}, path: {}}}", path.parent().unwrap().display()).unwrap();
    }
    images.site.declare_text(&text);
    images
}

fn is_complete(images: &Images) {
    images.site.admin(["status", "--full"]).code(0);
    assert_eq!(images.admin(&["setup", "--json"]).code(0).json()["changed"], 0);
}

#[test]
fn four_are_fetched_at_once_and_told_in_the_order_of_the_plan() {
    let images = site();
    let planned = images.admin(&["setup", "--dry-run", "--json"]).code(0).json();
    let outcome = images.admin(&["setup", "--json", "--progress", "json"]).code(0);
    let seen: Vec<usize> = images.said("seen").lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(seen.iter().max(), Some(&4), "{seen:?}");
    let names = |report: &Value| {
        let actions = report["actions"].as_array().unwrap().iter();
        actions.map(|action| format!("{} {}", action["kind"], action["name"])).collect::<Vec<_>>()
    };
    let done = outcome.json();
    assert_eq!(names(&planned), names(&done));
    let kinds: Vec<&str> =
        done["actions"].as_array().unwrap().iter().map(|action| action["kind"].as_str().unwrap()).collect();
    let mut sections = kinds.clone();
    sections.dedup();
    assert_eq!(sections, ["toolkit", "specs", "image", "model", "site"]);
    is_complete(&images);

    // Each event is whole, and says all that there is to say.
    let events: Vec<Value> = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |event: &str, name: &str| {
        let mut found = events.iter().filter(|one| one["event"] == event && one["name"] == name);
        let one = found.next().unwrap_or_else(|| panic!("{event} {name}: {events:?}")).clone();
        assert!(found.next().is_none(), "{event} {name} twice");
        one
    };
    for tag in ALL {
        of("started", tag);
        assert_eq!(of("finished", tag)["kind"], "image");
    }
    let model = of("finished", "org/one");
    assert!(model["total"].as_u64().unwrap() >= 3_000_000 && model["bytes"] == model["total"], "{model}");
    assert!(model["at"].as_str().unwrap().ends_with('Z'), "{model}");
}

#[test]
fn nothing_is_told_of_the_work_where_nobody_looks() {
    let images = Images::new();
    assert_eq!(images.admin(&["setup"]).code(0).stderr, "");
    images.offer(2);
    let plain = images.admin(&["setup", "--update", "mine", "--progress", "plain"]).code(0);
    plain.stderr_contains("mine: pulling registry.example/").stderr_contains("image mine: done");
}

#[test]
fn what_fails_stops_nothing_else() {
    let images = site();
    fs_err::write(images.fake.join("do-b"), "fail:manifest unknown").unwrap();
    fs_err::write(images.site.path().join("two/model.gguf"), "GGUF").unwrap();
    let outcome = images.admin(&["setup", "--json", "--progress", "json"]).code(1);
    let report = outcome.json();
    for action in report["actions"].as_array().unwrap() {
        let fails = ["b", "org/two"].contains(&action["name"].as_str().unwrap());
        assert_eq!(action["state"] == "failed", fails, "{action}");
        assert_eq!(action["message"].is_string(), fails, "{action}");
    }
    assert!(outcome.stderr.lines().any(|line| line.contains("\"failed\"") && line.contains("has no image")));
    // What was done is written down, and the next run does the rest only.
    fs_err::write(images.fake.join("do-b"), "").unwrap();
    write_gguf(&images.site.path().join("two/model.gguf"), 3).unwrap();
    assert_eq!(images.admin(&["setup", "--json"]).code(0).json()["changed"], 2);
    is_complete(&images);
}

#[test]
fn a_kill_among_several_leaves_no_builder_and_the_next_run_completes() {
    let images = site();
    for tag in ["d", "f"] {
        fs_err::write(images.fake.join(format!("do-{tag}")), "hang").unwrap();
    }
    fs_err::write(images.fake.join("do-a"), "").unwrap();
    for tag in ["b", "c", "e"] {
        fs_err::write(images.fake.join(format!("do-{tag}")), "together:9").unwrap();
    }
    let mut setup = images.admin(&["setup"]).spawn();
    let started = eventually("one is published and the others are at work", Duration::from_secs(20), || {
        let lock = fs_err::read_to_string(images.site.cache().join("site.lock")).ok()?;
        let started = fs_err::read_to_string(images.fake.join("started")).ok()?;
        lock.contains("images/name_a.sif").then_some(started)
    });
    let builders: Vec<Process> =
        started.split_whitespace().filter_map(|pid| Process::now(pid.parse().unwrap())).collect();
    Process::now(i32::try_from(setup.id()).unwrap()).unwrap().signal(Signal::SIGKILL);
    setup.wait().unwrap();
    for builder in &builders {
        assert!(builder.gone_within(Duration::from_secs(5)), "{builder:?} went on without us");
    }
    assert!(fs_err::symlink_metadata(images.site.cache().join("images/name_d.sif")).is_err());
    for tag in ALL {
        fs_err::write(images.fake.join(format!("do-{tag}")), "").unwrap();
    }
    let before = images.said("runs").lines().count();
    images.admin(&["setup"]).code(0);
    assert!(images.said("runs").lines().count() - before <= 5, "what was done is not done again");
    is_complete(&images);
}

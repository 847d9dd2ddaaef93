//! One fault after the other, each with a Hub and a cache of its own, all at the same time: what they take is mostly waiting.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bf_test_kit::hub::{Fault, Place, Rule};

use super::{SHARD, Stage};

/// What comes of it.
enum Outcome {
    /// The right bytes, and this holds besides.
    Whole(fn(&Stage)),
    /// This exit code, and an error that names these.
    Error(i32, &'static [&'static str]),
}

use Outcome::{Error, Whole};

struct Row {
    name: &'static str,
    faults: Vec<Rule>,
    outcome: Outcome,
}

fn row<const N: usize>(name: &'static str, faults: [Rule; N], outcome: Outcome) -> Row {
    Row { name, faults: faults.into(), outcome }
}

const MIB: u64 = 1 << 20;

/// No more than what is needed came over the line, but for what a connection that broke off had on its way.
fn nothing_twice(stage: &Stage) {
    let (sent, needed) = (stage.hub.cdn_bytes(), stage.needed());
    assert!(sent * 100 <= needed * 102, "{sent} bytes for {needed}");
}

fn all(_: &Stage) {}

/// Who was told to wait did so, before he asked for that again.
fn waited_for_two_seconds(stage: &Stage) {
    let seen = stage.hub.seen();
    let busy: Vec<_> = seen.iter().filter(|one| one.status == 429).collect();
    assert!(!busy.is_empty());
    for told in busy {
        let again = |one: &&bf_test_kit::hub::Seen| one.at > told.at && one.target == told.target;
        let next = seen.iter().find(again).expect("another try");
        let waited = next.at - told.at;
        assert!(waited >= Duration::from_secs(2), "{waited:?} before {}", next.target);
    }
}

/// Faults that pass.
fn passing() -> Vec<Row> {
    let shard = |fault: Fault| fault.at(Place::Cdn).path(SHARD);
    vec![
        row("nothing", [], Whole(nothing_twice)),
        row("four drops", [shard(Fault::Drop(600_000)).times(4)], Whole(nothing_twice)),
        row("a drop every 256 KiB", [Fault::Drop(MIB / 4).at(Place::Cdn)], Whole(nothing_twice)),
        row(
            "a drop, then the signature is too old",
            [shard(Fault::Drop(MIB)).times(1), shard(Fault::expired()).times(1).after(1)],
            Whole(nothing_twice),
        ),
        row(
            "a drop, and ranges are ignored",
            [shard(Fault::Drop(MIB)).times(1), shard(Fault::IgnoreRange)],
            Whole(all),
        ),
        row(
            "a drop, and another range comes",
            [shard(Fault::Drop(MIB)).times(1), shard(Fault::WrongRange)],
            Whole(all),
        ),
        row(
            "503 of the other origin, three times",
            [shard(Fault::status(503)).times(3)],
            Whole(nothing_twice),
        ),
        row("500 of the other origin, once", [shard(Fault::status(500)).times(1)], Whole(nothing_twice)),
        row("403 of the other origin, twice", [shard(Fault::expired()).times(2)], Whole(nothing_twice)),
        row("503 of the interface, twice", [Fault::status(503).at(Place::Api).times(2)], Whole(all)),
        row(
            "503 where files are, twice",
            [Fault::status(503).at(Place::Resolve).path(SHARD).times(2)],
            Whole(all),
        ),
        row(
            "503 of a small file, twice",
            [Fault::status(503).at(Place::Cache).path("config.json").times(2)],
            Whole(all),
        ),
        row(
            "come back in two seconds, with the listing",
            [Fault::busy(2).at(Place::Api).times(1)],
            Whole(waited_for_two_seconds),
        ),
        row(
            "come back in two seconds, with a file",
            [Fault::busy(2).at(Place::Resolve).path(SHARD).times(2)],
            Whole(waited_for_two_seconds),
        ),
        row("the listing breaks off", [Fault::Drop(100).at(Place::Api).times(1)], Whole(all)),
        row("a small file breaks off", [Fault::Drop(10).at(Place::Cache).times(1)], Whole(all)),
        row(
            "a body is shorter than the file, once",
            [shard(Fault::Shorten(1000)).times(1)],
            Whole(nothing_twice),
        ),
        row("one bit is wrong, once", [shard(Fault::Flip(1_234_567)).times(1)], Whole(all)),
        row(
            "one bit of a small file is wrong, once",
            [Fault::Flip(3).at(Place::Cache).path("config.json").times(1)],
            Whole(all),
        ),
        row("one connection falls silent", [shard(Fault::Stall(MIB)).times(1)], Whole(nothing_twice)),
        row("the listing falls silent", [Fault::Stall(100).at(Place::Api).times(1)], Whole(all)),
        row(
            "headers of hashes lie",
            [Fault::header("X-Linked-Etag", "\"../../x\"").at(Place::Resolve)],
            Whole(all),
        ),
        row(
            "headers of hashes are missing",
            [Fault::without("X-Linked-Etag").at(Place::Resolve)],
            Whole(all),
        ),
    ]
}

/// Faults that stay.
fn staying() -> Vec<Row> {
    let shard = |fault: Fault| fault.at(Place::Cdn).path(SHARD);
    vec![
        row("403 of the other origin", [shard(Fault::expired())], Error(69, &[SHARD, "403"])),
        row("500 of the other origin", [shard(Fault::status(500))], Error(69, &[SHARD, "500"])),
        row("503 of the interface", [Fault::status(503).at(Place::Api)], Error(69, &["503"])),
        row("too many requests", [Fault::busy(0).at(Place::Resolve).path(SHARD)], Error(75, &[SHARD])),
        row("a page in place of a file", [shard(Fault::html())], Error(69, &[SHARD, "web page"])),
        row(
            "a page in place of a small file",
            [Fault::html().path("config.json")],
            Error(69, &["config.json", "web page"]),
        ),
        row("a page in place of the listing", [Fault::html().at(Place::Api)], Error(69, &["web page"])),
        row("a body is shorter than the file", [shard(Fault::Shorten(1000))], Error(69, &[SHARD])),
        row("one bit is wrong", [shard(Fault::Flip(1_234_567))], Error(65, &[SHARD])),
        row(
            "one bit of a small file is wrong",
            [Fault::Flip(3).path("config.json")],
            Error(65, &["config.json"]),
        ),
        row("a file of the listing is missing", [Fault::missing().path(SHARD)], Error(66, &[SHARD])),
        row(
            "a small file is missing",
            [Fault::missing().path("tokenizer.json")],
            Error(66, &["tokenizer.json"]),
        ),
        row("the listing ends too early", [Fault::Shorten(20).at(Place::Api)], Error(65, &["Org/Model"])),
        row(
            "the listing is something else",
            [Fault::Answer(listing("[]")).into()],
            Error(65, &["Org/Model"]),
        ),
        row("nothing comes any more", [shard(Fault::Drop(0))], Error(69, &[SHARD])),
    ]
}

fn listing(text: &str) -> bf_test_kit::hub::Reply {
    bf_test_kit::hub::Reply::text(200, text).header("Content-Type", "application/json")
}

/// All rows at once; says which ones did not hold.
fn hold(rows: &[Row]) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let running: Vec<_> = rows
            .iter()
            .map(|row| (row.name, scope.spawn(|| catch_unwind(AssertUnwindSafe(|| holds(row))))))
            .collect();
        let ended = running.into_iter().map(|(name, row)| (name, row.join().unwrap()));
        ended.filter(|(_, result)| result.is_err()).map(|(name, _)| name).collect()
    });
    assert!(failed.is_empty(), "these rows did not hold: {failed:#?}");
}

fn holds(row: &Row) {
    let stage = Stage::new();
    for fault in &row.faults {
        stage.hub.fault(fault.clone());
    }
    // Whoever it is sent to, the other origin must not see it.
    let token = stage.hub.token("alice", &[]);
    let outcome = stage.add(&[]).env("HF_TOKEN", token).run();
    assert!(stage.hub.seen().iter().any(|one| one.token), "{}: no token came: {outcome}", row.name);
    let struck = stage.hub.struck();
    assert!(
        struck >= row.faults.len() as u64,
        "{}: {struck} times something went wrong: {outcome}",
        row.name
    );
    match row.outcome {
        Whole(check) => {
            assert_eq!(outcome.exit, 0, "{}: {outcome}", row.name);
            stage.is_whole();
            check(&stage);
        }
        Error(exit, words) => {
            assert_eq!(outcome.exit, exit, "{}: {outcome}", row.name);
            stage.says(outcome, words);
            stage.has_none();
            stage.hub.heal();
            stage.add(&[]).code(0);
            stage.is_whole();
        }
    }
    assert!(!stage.hub.token_at_cdn());
}

#[test]
fn what_passes_is_waited_for_and_nothing_wrong_is_kept() {
    hold(&passing());
}

#[test]
fn what_stays_is_an_error_that_names_it_and_leaves_nothing() {
    hold(&staying());
}

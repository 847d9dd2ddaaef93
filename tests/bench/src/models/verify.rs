//! How long it takes to verify a model, beside programs that only hash its files.

use std::ffi::OsString;

use bf_test_kit::{Site, binary};

use super::columns;
use super::stage::{ID, Stage};
use crate::measure::{Cost, measure};
use crate::median::{row, table};

/// The cache is filled from the files themselves, and read once before.
pub(super) fn run(stage: &Stage, rounds: usize) {
    let work = stage.work();
    let cache = work.path().join("out");
    let site = Site::new();
    site.admin(["model", "import", "--as", ID, "--cache-dir"]).args([&cache]).args([stage.folder()]).code(0);
    let text = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let files = || stage.paths().map(|path| stage.folder().join(path).into_os_string()).collect::<Vec<_>>();
    let mut verify = vec![binary("bf-admin").into_os_string()];
    verify.extend(text(&["model", "verify", "--full", "--cache-dir"]));
    verify.push(cache.clone().into_os_string());
    let ways = [
        ("sha256sum", [text(&["sha256sum"]), files()].concat()),
        ("openssl dgst -sha256", [text(&["openssl", "dgst", "-sha256"]), files()].concat()),
        ("bf-admin model verify --full", verify),
    ];
    let mut all = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        for ((name, words), costs) in ways.iter().zip(&mut all) {
            let cost =
                measure(words, work.path(), &cache).unwrap_or_else(|said| panic!("{name} failed: {said}"));
            // The first round fills the caches of the system.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let megabytes = stage.bytes() / 1_000_000;
    println!("\nverifying a model of {megabytes} MB: median of {rounds} runs each, in turns");
    let mut rows = vec![row(["what", "wall", "cpu", "largest process", "rate"])];
    for ((name, _), costs) in ways.iter().zip(&all) {
        let cells = columns(&Cost::median(costs), stage.bytes());
        rows.push(std::iter::once((*name).to_owned()).chain(cells).collect());
    }
    table(&rows);
}

//! How long a model of the Hub takes into the cache: bf-admin, the Hub's own Python client and curl, in turns, each with nothing
//! cached and everything flushed; beside them what must be done at least: copy it. And how long it takes to verify.
//!
//! The Hub is the tests' own, in this process: what it gives is what `curl` gets that throws everything away. All of them share the
//! processors with it. `BF_BENCH_MB` says how large the model is (4000), `BF_BENCH_DIR` where to (`/var/tmp`).

mod stage;
mod verify;

use std::time::Duration;

use bf_test_kit::Site;

use crate::Effort;
use crate::measure::{Cost, measure};
use crate::median::{row, table};
use stage::Stage;

/// Who brings the model, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `cp`, from a folder on the same disk.
    Copy,
    /// `curl --parallel`, to nowhere.
    Nowhere,
    /// `curl --parallel`, to files.
    Curl,
    /// `snapshot_download` of `huggingface_hub`.
    Python,
    /// `bf-admin model add`.
    Native,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Copy => "cp (the limit)",
            Self::Nowhere => "curl --parallel, to nowhere (the Hub's limit)",
            Self::Curl => "curl --parallel",
            Self::Python => "huggingface_hub 2.4.0",
            Self::Native => "bf-admin model add",
        }
    }

    /// What is found out about the bytes that came.
    fn checks(self) -> &'static str {
        match self {
            Self::Copy | Self::Nowhere => "nothing",
            Self::Curl | Self::Python => "size",
            Self::Native => "sha256",
        }
    }
}

/// A line across a country: until an answer begins.
const FAR: Duration = Duration::from_millis(50);

pub(crate) fn run(effort: Effort) {
    let megabytes = std::env::var("BF_BENCH_MB").ok().and_then(|text| text.parse().ok());
    let stage = Stage::new(megabytes.unwrap_or(if effort == Effort::Smoke { 64 } else { 4000 }));
    let mut ways = vec![Way::Copy, Way::Nowhere, Way::Curl];
    match stage.python() {
        Ok(_) => ways.push(Way::Python),
        Err(reason) => println!("\nmodels: huggingface_hub is left out: {reason}"),
    }
    if Site::new().admin(["model", "--help"]).code(0).stdout.contains("\n  add ") {
        ways.push(Way::Native);
    } else {
        println!("\nmodels: this bf-admin does not fetch models: it is left out");
    }
    let rounds = if effort == Effort::Smoke { 1 } else { 3 };
    let what = format!("a model of {} MB in {} files", stage.bytes() / 1_000_000, stage.files());
    show(&format!("{what}, from this machine"), &stage, &ways, rounds);
    ways.retain(|way| *way != Way::Copy);
    stage.hub.latency(FAR);
    show(&format!("{what}, whose answers begin after {} ms", FAR.as_millis()), &stage, &ways, rounds);
    stage.hub.latency(Duration::ZERO);
    verify::run(&stage, rounds);
}

/// Each way in turns, so many times; a table of their medians.
fn show(title: &str, stage: &Stage, ways: &[Way], rounds: usize) {
    let mut results: Vec<(Way, Vec<Cost>)> = ways.iter().map(|way| (*way, Vec::new())).collect();
    for _ in 0..rounds {
        for (way, costs) in &mut results {
            let work = stage.work();
            let words = stage.words(*way, work.path());
            let cost = measure(&words, work.path(), &work.path().join("out"));
            costs.push(cost.unwrap_or_else(|said| panic!("{} failed: {said}", way.name())));
            if matches!(way, Way::Python | Way::Native) {
                stage.is_whole(work.path());
            }
        }
    }
    println!("\n{title}: median of {rounds} runs each, in turns");
    let median =
        |wanted: Way| results.iter().find(|(way, _)| *way == wanted).map(|(_, all)| Cost::median(all));
    let rivals = [Way::Copy, Way::Curl, Way::Python].map(median);
    let head = ["what", "checks", "wall", "cpu", "largest process", "rate", "to cp", "to curl", "to Python"];
    let mut rows = vec![row(head)];
    for (way, costs) in &results {
        let cost = Cost::median(costs);
        let to = |rival: &Option<Cost>| {
            let ratio = |rival: &Cost| cost.wall.as_secs_f64() / rival.wall.as_secs_f64().max(1e-9);
            rival.as_ref().map_or_else(|| "-".to_owned(), |rival| format!("{:.2}", ratio(rival)))
        };
        let mut cells = vec![way.name().to_owned(), way.checks().to_owned()];
        cells.extend(columns(&cost, stage.bytes()));
        cells.extend(rivals.iter().map(to));
        rows.push(cells);
    }
    table(&rows);
}

/// Wall, processor time, memory, and bytes a second.
fn columns(cost: &Cost, bytes: u64) -> [String; 4] {
    #[allow(clippy::cast_precision_loss)] // some gigabytes
    let rate = bytes as f64 / 1e9 / cost.wall.as_secs_f64().max(1e-9);
    [
        format!("{:.2} s", cost.wall.as_secs_f64()),
        format!("{:.2} s", cost.cpu.as_secs_f64()),
        format!("{} MB", cost.memory / 1_000_000),
        format!("{rate:.2} GB/s"),
    ]
}

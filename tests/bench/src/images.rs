//! How long an image of a registry takes to become a SIF file: Apptainer as it is, Apptainer as one can tune it, and bf-admin, in
//! turns, each with nothing cached and the file flushed; beside them what must be done at least: fetch and hash.

mod stage;

use std::ffi::OsString;
use std::time::Duration;

use bf_test_kit::Site;
use bf_test_kit::images::{Faults, Proxy};

use crate::Effort;
use crate::measure::{Cost, measure};
use crate::median::{row, table};
use stage::Stage;

/// Who makes the file, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nobody: the layers are fetched and hashed.
    Limit,
    /// `apptainer pull`: gzip at its highest level.
    Apptainer,
    /// `apptainer build` with zstd at level 3.
    Tuned,
    /// `bf-admin image pull`: zstd.
    Native,
    /// The same with gzip.
    NativeGzip,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Limit => "fetch + sha256sum (the limit)",
            Self::Apptainer => "apptainer pull (gzip)",
            Self::Tuned => "apptainer build, tuned (zstd 3)",
            Self::Native => "bf-admin image pull (zstd)",
            Self::NativeGzip => "bf-admin image pull (gzip)",
        }
    }
}

/// A slow line: bytes in a second.
const SLOW: Faults = Faults { rate: Some(50_000_000), busy_every: None, cut_after: None, cuts: None };
/// And one that tells every fifth connection to come back later.
const BUSY: Faults = Faults { busy_every: Some(5), ..SLOW };

pub(crate) fn run(effort: Effort) {
    let stage = match Stage::new(effort) {
        Ok(stage) => stage,
        Err(reason) => {
            println!("\nimages: not measured: {reason}");
            return;
        }
    };
    let mut ways = vec![Way::Limit];
    if effort == Effort::Full || stage.has_apptainer() {
        ways.extend([Way::Apptainer, Way::Tuned]);
    }
    if converts() {
        ways.extend([Way::Native, Way::NativeGzip]);
    } else {
        println!("\nimages: this bf-admin does not convert images itself: it is left out");
    }
    let rounds = if effort == Effort::Smoke { 1 } else { 3 };
    let (layers, bytes) = (stage.layers(), stage.bytes());
    let what = format!("an image of {layers} layers, {} MB compressed", bytes / 1_000_000);

    let fast = stage.registry_address();
    show(&format!("{what}, from this machine"), &rounds_of(&stage, &ways, rounds, &fast), rounds);
    let slow = Proxy::to(stage.registry.address, SLOW);
    let results = rounds_of(&stage, &ways, rounds, &slow.address.to_string());
    show(&format!("{what}, at 50 MB/s"), &results, rounds);
    let busy = Proxy::to(stage.registry.address, BUSY);
    let results = rounds_of(&stage, &ways, 1, &busy.address.to_string());
    show(
        &format!("{what}, at 50 MB/s, and every fifth connection is told to come back in a second"),
        &results,
        1,
    );
}

fn converts() -> bool {
    Site::new().admin(["image", "pull", "--help"]).code(0).stdout.contains("--engine")
}

/// Each way in turns, so many times. A way that fails once is not tried again, and says why.
fn rounds_of(
    stage: &Stage,
    ways: &[Way],
    rounds: usize,
    address: &str,
) -> Vec<(Way, Result<Vec<Cost>, String>)> {
    let mut results: Vec<_> = ways.iter().map(|way| (*way, Ok(Vec::new()))).collect();
    for _ in 0..rounds {
        for (way, result) in &mut results {
            let Ok(costs) = result else { continue };
            let work = stage.work();
            let words: Vec<OsString> = stage.words(*way, work.path(), address);
            match measure(&words, work.path(), &work.path().join("out")) {
                Ok(cost) => costs.push(cost),
                Err(said) => *result = Err(said),
            }
        }
    }
    results
}

fn show(title: &str, results: &[(Way, Result<Vec<Cost>, String>)], rounds: usize) {
    println!("\n{title}: median of {rounds} runs each, in turns");
    let costs = |wanted: Way| {
        let found = results.iter().find(|(way, _)| *way == wanted)?;
        found.1.as_ref().ok().filter(|costs| !costs.is_empty()).map(|costs| Cost::median(costs))
    };
    let (plain, tuned) = (costs(Way::Apptainer), costs(Way::Tuned));
    let head = ["what", "wall", "cpu", "largest process", "disk besides", "SIF", "to apptainer", "to tuned"];
    let mut rows = vec![row(head)];
    let mut failed = Vec::new();
    for (way, result) in results {
        let Some(cost) = costs(*way) else {
            failed.extend(result.as_ref().err().map(|said| format!("{} failed: {said}", way.name())));
            continue;
        };
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let size = |bytes: u64| format!("{} MB", bytes / 1_000_000);
        let to = |rival: &Option<Cost>| {
            let ratio = |rival: &Cost| cost.wall.as_secs_f64() / rival.wall.as_secs_f64().max(1e-9);
            rival.as_ref().map_or_else(|| "-".to_owned(), |rival| format!("{:.3}", ratio(rival)))
        };
        rows.push(vec![
            way.name().to_owned(),
            seconds(cost.wall),
            seconds(cost.cpu),
            size(cost.memory),
            size(cost.disk),
            size(cost.file),
            to(&plain),
            to(&tuned),
        ]);
    }
    table(&rows);
    for line in failed {
        println!("{line}");
    }
}

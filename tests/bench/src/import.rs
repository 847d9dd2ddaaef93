//! How long a model takes into the cache, beside what must be done at least: copy it and hash it.

use std::process::Command;
use std::time::{Duration, Instant};

use bf_test_kit::{Site, write_gguf};

use crate::Effort;
use crate::median::{median, millis, ratio, row, table};

pub(crate) fn run(effort: Effort) {
    let (rounds, megabytes) = if effort == Effort::Smoke { (1, 20) } else { (5, 500) };
    let site = Site::new();
    let file = site.path().join("noise.gguf");
    write_gguf(&file, megabytes).unwrap();
    let copy = site.path().join("copy.gguf");
    let shell = |line: &str| {
        let begun = Instant::now();
        let status = Command::new("sh").args(["-euc", line, "sh"]).args([&file, &copy]).status().unwrap();
        assert!(status.success(), "{line}: {status}");
        let took = begun.elapsed();
        fs_err::remove_file(&copy).unwrap();
        took
    };
    let mut all = [const { Vec::new() }; 4];
    for round in 0..=rounds {
        let cache = site.path().join(format!("cache-{round}"));
        let words = ["model", "import", file.to_str().unwrap(), "--as", "me/noise", "--cache-dir"];
        let took = site.admin(words).args([&cache]).code(0).took;
        fs_err::remove_dir_all(&cache).unwrap();
        let times = [
            shell("cp -- \"$1\" \"$2\"; sync \"$2\""),
            shell("cp -- \"$1\" \"$2\"; sha256sum \"$2\" >/dev/null"),
            shell("cp -- \"$1\" \"$2\"; sync \"$2\"; sha256sum \"$2\" >/dev/null"),
            took,
        ];
        // The first round warms up.
        if round > 0 {
            for (all, time) in all.iter_mut().zip(times) {
                all.push(time);
            }
        }
    }
    println!("\nimport of a model of {megabytes} MB: median of {rounds} runs each, in turns");
    let medians = all.map(median);
    #[allow(clippy::cast_precision_loss)] // some hundreds
    let rate = |time: Duration| format!("{:.0} MB/s", megabytes as f64 / time.as_secs_f64());
    let names = [
        "cp + sync (the limit: nothing is checked)",
        "cp + sha256sum",
        "cp + sync + sha256sum",
        "bf-admin model import",
    ];
    let mut rows = vec![row(["what", "median", "rate", "to the limit"])];
    for (name, time) in names.into_iter().zip(medians) {
        rows.push(row([name, &millis(time), &rate(time), &ratio(time, medians[0])]));
    }
    table(&rows);
}

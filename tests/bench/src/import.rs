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
    let (mut import, mut plain, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let cache = site.path().join(format!("cache-{round}"));
        let words = ["model", "import", file.to_str().unwrap(), "--as", "me/noise", "--cache-dir"];
        let took = site.admin(words).args([&cache]).code(0).took;
        fs_err::remove_dir_all(&cache).unwrap();
        let times = [
            took,
            shell("cp -- \"$1\" \"$2\"; sha256sum \"$2\" >/dev/null"),
            shell("cp -- \"$1\" \"$2\"; sync \"$2\"; sha256sum \"$2\" >/dev/null"),
        ];
        // The first round warms up.
        if round > 0 {
            for (all, time) in [&mut import, &mut plain, &mut flushed].into_iter().zip(times) {
                all.push(time);
            }
        }
    }
    println!("\nimport of a model of {megabytes} MB: median of {rounds} runs each, in turns");
    let (import, plain, flushed) = (median(import), median(plain), median(flushed));
    #[allow(clippy::cast_precision_loss)] // some hundreds
    let rate = |time: Duration| format!("{:.0} MB/s", megabytes as f64 / time.as_secs_f64());
    let mut rows = vec![row(["what", "median", "rate", "to cp + sha256sum"])];
    for (name, time) in [
        ("cp + sha256sum", plain),
        ("cp + sync + sha256sum", flushed),
        ("bf-admin model import (flushed)", import),
    ] {
        rows.push(row([name, &millis(time), &rate(time), &ratio(time, plain)]));
    }
    table(&rows);
}

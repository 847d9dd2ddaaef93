//! How long `status` takes over a cache of many models, beside `find`, which only lists what is there.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bf_test_kit::{Site, write_gguf};
use serde_json::Value;

use crate::Effort;
use crate::median::{median, millis, ratio, row, table};

pub(crate) fn run(effort: Effort) {
    let (rounds, models) = if effort == Effort::Smoke { (1, 20) } else { (9, 1000) };
    let site = fabricated(models);
    let run = |command: &mut Command| {
        let begun = Instant::now();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{status}");
        begun.elapsed()
    };
    let mut all = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        let mut find = Command::new("find");
        find.arg(site.cache()).args(["-printf", "%s %m %T@ %p\\n"]);
        let mut stat = Command::new("find");
        stat.arg("-L").arg(site.cache()).args(["-printf", "%s %m %T@ %p\\n"]);
        let times = [run(&mut find), run(&mut stat), site.admin(["status", "--quick"]).code(0).took];
        // The first round fills the caches of the system.
        if round > 0 {
            for (all, time) in all.iter_mut().zip(times) {
                all.push(time);
            }
        }
    }
    println!("\nstatus of a cache with {models} models: median of {rounds} runs each, in turns");
    let medians: [Duration; 3] = all.map(median);
    let names = [
        "find -printf '%s %m %T@ %p\\n' (the limit)",
        "find -L, which follows links",
        "bf-admin status --quick",
    ];
    let mut rows = vec![row(["what", "median", "to the limit"])];
    for (name, time) in names.into_iter().zip(medians) {
        rows.push(row([name, &millis(time), &ratio(time, medians[0])]));
    }
    table(&rows);
}

/// A cache with copies of one small model, all of them declared and locked.
fn fabricated(models: usize) -> Site {
    let site = Site::new();
    let source = site.path().join("source");
    fs_err::create_dir(&source).unwrap();
    write_gguf(&source.join("model.gguf"), 0).unwrap();
    for (name, text) in [("config.json", "{}"), ("tokenizer.json", "{}"), ("README.md", "# A model\n")] {
        fs_err::write(source.join(name), text).unwrap();
    }
    site.declare_text("schema: 1\ncache_dir: cache\nmodels: [{repo: me/m0, path: source}]\n");
    site.admin(["setup"]).code(0);
    let path = site.cache().join("site.lock");
    let mut lock: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let one = lock["models"]["me/m0"].clone();
    let mut text = String::from("schema: 1\ncache_dir: cache\nmodels:\n  - repo: me/m0\n");
    let folder = site.cache().join("models/models--me--m0");
    for number in 1..models {
        let to = site.cache().join(format!("models/models--me--m{number}"));
        let status = Command::new("cp").arg("-a").args([&folder, &to]).status().unwrap();
        assert!(status.success(), "{status}");
        lock["models"][format!("me/m{number}")] = one.clone();
        text.extend(["  - repo: me/m", &number.to_string(), "\n"]);
    }
    fs_err::write(&path, serde_json::to_vec_pretty(&lock).unwrap()).unwrap();
    site.declare_text(&text);
    site.admin(["setup"]).code(0);
    site
}

//! How long a command takes that does next to nothing, beside a Python that does nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bf_test_kit::{Site, binary};

use crate::Effort;
use crate::median::{median, millis, ratio, row, table};

pub(crate) fn run(effort: Effort) {
    let rounds = if effort == Effort::Smoke { 3 } else { 60 };
    let site = Site::new();
    fs_err::create_dir(site.cache()).unwrap();
    let Some(python) = bf_test_kit::python() else { panic!("there is no python3 to compare with") };
    let (user, admin) = (binary("bf-user"), binary("bf-admin"));
    let commands = [
        ("true (the limit)", Path::new("/bin/true"), vec![]),
        ("python3 -c pass", python, vec!["-c", "pass"]),
        ("python3 -c 'import argparse, json, sqlite3'", python, vec!["-c", "import argparse, json, sqlite3"]),
        ("bf-user --help", user.as_path(), vec!["--help"]),
        ("bf-user ls (no service)", user.as_path(), vec!["ls"]),
        ("bf-admin --help", admin.as_path(), vec!["--help"]),
    ];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); commands.len()];
    for round in 0..=rounds {
        for (index, (name, program, arguments)) in commands.iter().enumerate() {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.env("BLACKFISH_HOME_DIR", site.home()).env("BLACKFISH_CACHE_DIR", site.cache());
            let begun = Instant::now();
            let status = command.status().unwrap();
            let took = begun.elapsed();
            assert!(status.success(), "{name}: {status}");
            // The first round fills the caches of the system.
            if round > 0 {
                times[index].push(took);
            }
        }
    }
    let medians: Vec<Duration> = times.into_iter().map(median).collect();
    println!("\nstartup: median of {rounds} runs each, in turns");
    let mut rows = vec![row(["command", "median", "to the limit", "to the imports"])];
    for ((name, ..), time) in commands.iter().zip(&medians) {
        rows.push(row([name, &millis(*time), &ratio(*time, medians[0]), &ratio(*time, medians[2])]));
    }
    table(&rows);
}

//! What no real Slurm can be made to show: programs that hang, babble, or are not there.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::replay::{MARK, Replay};
use crate::report::{Exit, Explain};
use crate::slurm::{JobState, Slurm, SlurmError, accounting, job, node, partition, queue};

/// A Slurm whose every program is this script.
fn with(script: &str) -> (Replay, Slurm) {
    let replay = Replay::empty();
    for name in ["sbatch", "squeue", "scontrol", "sacct", "scancel", "sinfo"] {
        replay.program(name, &format!("#!/bin/sh\n{script}\n"));
    }
    let slurm = replay.slurm().unwrap();
    (replay, slurm)
}

#[test]
fn without_sbatch_there_is_no_slurm() {
    assert!(Replay::empty().slurm().is_none());
}

#[test]
fn a_program_that_is_missing_is_named() {
    let replay = Replay::empty();
    replay.program("sbatch", "#!/bin/sh\n");
    let slurm = replay.slurm().unwrap();
    let error = slurm.queue("alice").unwrap_err();
    assert_eq!(error.to_string(), "squeue is not on the PATH");
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(error.hint().unwrap().contains("login node"));
    // Accounts are something that a site may do without.
    let error = slurm.accounted(&["1".parse().unwrap()]).unwrap_err();
    assert!(matches!(error, SlurmError::NoAccounting { .. }), "{error:?}");
    assert_eq!(slurm.accounted(&[]).unwrap(), []);
}

#[test]
fn a_program_that_hangs_is_given_up() {
    let (_replay, slurm) = with("/bin/sleep 1000");
    let slurm = slurm.with_time_limit(Duration::from_millis(200));
    for error in [slurm.queue("alice").unwrap_err(), slurm.submit(Path::new("/x")).unwrap_err()] {
        assert!(matches!(error, SlurmError::TimedOut { .. }), "{error:?}");
        assert_eq!(error.exit(), Exit::Unreachable);
    }
}

#[test]
fn nonsense_is_named() {
    let (_replay, slurm) = with("echo 'Hello, $(world)'");
    for error in [
        slurm.submit(Path::new("/x")).unwrap_err(),
        slurm.job(&"1".parse().unwrap()).unwrap_err(),
        slurm.accounted(&["1".parse().unwrap()]).unwrap_err(),
        slurm.nodes().unwrap_err(),
    ] {
        assert!(matches!(error, SlurmError::Unparsable { .. }), "{error:?}");
        assert!(error.to_string().contains("Hello, $(world)"), "{error}");
    }
    let (_replay, slurm) = with("exit 0");
    assert!(slurm.submit(Path::new("/x")).is_err());
    assert_eq!(slurm.queue("alice").unwrap(), []);
}

#[test]
fn the_last_line_of_sbatch_counts() {
    let (_replay, slurm) = with("echo 'Welcome to the cluster'; echo '123;far'");
    assert_eq!(slurm.submit(Path::new("/x")).unwrap().to_string(), "123;far");
}

#[test]
fn programs_get_a_clean_environment() {
    let (replay, slurm) = with("/usr/bin/env >\"$0.environment\"; echo 1");
    slurm.submit(Path::new("/x")).unwrap();
    let _ = slurm.queue("alice").unwrap();
    let names = |program: &str| {
        let text = fs_err::read_to_string(replay.path(&format!("{program}.environment"))).unwrap();
        // The shell of the script adds some of its own.
        let own = ["PWD", "SHLVL", "_", "OLDPWD"];
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| !own.contains(&line.split('=').next().unwrap()))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let value = |lines: &[String], name: &str| {
        lines.iter().find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned))
    };
    for (program, zone) in [("sbatch", "Asia/Tokyo"), ("squeue", "UTC0")] {
        let lines = names(program);
        let known: Vec<&str> = lines.iter().map(|line| line.split('=').next().unwrap()).collect();
        assert_eq!(known, ["HOME", "LANG", "LOGNAME", "PATH", "SLURM_CONF", "TZ", "USER"], "{program}");
        assert_eq!(value(&lines, "TZ").as_deref(), Some(zone));
        assert_eq!(value(&lines, "LANG").as_deref(), Some("C.UTF-8"));
        assert_eq!(value(&lines, "HOME").as_deref(), Some("/home/alice"));
    }
}

#[test]
fn users_and_scripts_cannot_be_options() {
    let (_replay, slurm) = with("exit 0");
    for user in ["", "-h", "--all", "a,b", "a b", "a\nb"] {
        assert_eq!(slurm.queue(user).unwrap_err().exit(), Exit::Usage, "{user:?}");
    }
    assert!(slurm.submit(Path::new("--wrap=id")).is_err());
}

#[test]
fn a_state_of_the_future_is_kept() {
    let line = format!("{MARK}|7|HIBERNATING|None|cpu|a|alice|n1|N/A|N/A|1:00|{MARK}|(null)|{MARK}|x\n");
    let [job] = queue::read(&line, MARK).unwrap().try_into().unwrap();
    assert_eq!(job.state, JobState::Unknown("HIBERNATING".into()));
    assert!(!job.state.is_over() && !job.state.is_waiting());
    let broken = line.replace("|7|", "|seven|");
    assert!(matches!(queue::read(&broken, MARK), Err(SlurmError::Unparsable { .. })));
    assert_eq!(queue::read_leniently(&format!("{broken}{line}"), MARK).len(), 1);
}

proptest! {
    #[test]
    fn no_output_upsets_anything(text in "(\\PC|\n|[|=:;,()]|0123456789abcdef\\|){0,200}") {
        let _ = queue::read(&text, MARK);
        let _ = queue::read_leniently(&text, MARK);
        let _ = job::read(&text);
        let _ = accounting::read(&text, None);
        let _ = partition::read(&text);
        let _ = node::read(&text);
    }
}

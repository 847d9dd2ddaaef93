//! Models that jobs of Slurm read: what takes them away leaves them alone.

use std::time::Duration;

use bf_test_kit::{Cluster, eventually, or_skip, write_gguf};

const CACHE: &str = "/shared/service/models-job";

#[test]
fn a_model_that_a_job_reads_is_neither_removed_nor_pruned() {
    let cluster = or_skip!(Cluster::start(false));
    cluster.install_tools();
    let service = cluster.shared_dir().join("service");
    let admin = |words: &[&str]| {
        let words = ["bf-admin"].iter().chain(words).chain(&["--cache-dir", CACHE]).copied();
        cluster.program("blackfish@login", words.collect::<Vec<_>>())
    };
    let lock = || -> serde_json::Value {
        serde_json::from_slice(&fs_err::read(service.join("models-job/site.lock")).unwrap()).unwrap()
    };
    for (name, megabytes) in [("one", 1), ("two", 2)] {
        fs_err::create_dir(service.join(name)).unwrap();
        write_gguf(&service.join(name).join("model.gguf"), megabytes).unwrap();
    }
    admin(&["model", "import", "/shared/service/one", "--as", "org/name"]).code(0);
    let commit = lock()["models"]["org/name"]["commit"].as_str().unwrap().to_owned();
    // As the guide tells to work it out by hand.
    let line = format!(
        "mark=$(printf %s org/name@{commit} | sha256sum | cut -c1-12); sbatch --parsable --comment \"bf:svc=x;model=$mark\" --output /dev/null --wrap 'sleep 600'"
    );
    let job = cluster.bash("blackfish@login", &line).code(0).stdout.trim().to_owned();
    let refused = admin(&["model", "rm", "org/name"]).code(75).one_sentence();
    refused.stderr_contains(&format!("is used by job {job}")).stderr_contains("--force");

    // Replaced, it is still read.
    admin(&["model", "import", "/shared/service/two", "--as", "org/name"]).code(0);
    let old = service.join("models-job/models/models--org--name/snapshots").join(&commit);
    admin(&["model", "prune", "--all"]).code(0).stdout_contains(&format!("used by job {job}"));
    assert!(old.exists());
    admin(&["model", "rm", &format!("org/name@{commit}")]).code(75);
    cluster.bash("blackfish@login", &format!("scancel {job}")).code(0);
    eventually("its end", Duration::from_mins(1), || {
        let left = cluster.bash("login", "squeue -h").code(0).stdout;
        left.trim().is_empty().then_some(())
    });
    admin(&["model", "prune", "--all"]).code(0).stdout_contains("freed");
    assert!(!old.exists());
    admin(&["model", "rm", "org/name"]).code(0).stdout_contains("removed");
    assert!(!service.join("models-job/models/models--org--name").exists());
}

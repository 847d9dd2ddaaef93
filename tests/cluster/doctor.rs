//! What `doctor --compute` finds out on real nodes, and what follows from it; and Slurm that hides other people's jobs.

use std::time::Duration;

use bf_test_kit::{Cluster, ClusterOptions, eventually, or_skip};
use serde_json::Value;

use crate::images::{Place, SERVER, job, state};

/// What the cache's owner has written down of nodes: partition, and whether it mounted, if that is known.
fn tried(place: &Place<'_>) -> Vec<(String, Option<bool>)> {
    let text = fs_err::read_to_string(place.here().join("probes.json")).unwrap();
    let probes: Value = serde_json::from_str(&text).unwrap();
    let partitions = probes["zstd"]["partitions"].as_array().unwrap();
    let one = |one: &Value| (one["name"].as_str().unwrap().to_owned(), one["mounted"].as_bool());
    partitions.iter().map(one).collect()
}

/// How the image is compressed that the cache has.
fn compression(place: &Place<'_>) -> String {
    let lock = fs_err::read_to_string(place.here().join("site.lock")).unwrap();
    let lock: Value = serde_json::from_str(&lock).unwrap();
    lock["images"]["llama_cpp"]["compression"].as_str().unwrap_or_else(|| panic!("{lock}")).to_owned()
}

#[test]
fn what_nodes_mount_decides_how_images_are_compressed() {
    let cluster = or_skip!(Cluster::shared());
    let place = Place::new(cluster, "blackfish", "images-doctor");
    let pull = || {
        let done = place.pull(SERVER, &["--as", "llama_cpp", "--force", "--json"]);
        assert_eq!(done.exit, 0, "{done}");
        done.stdout
    };
    let said = pull();
    assert!(said.contains("zstd was not tried on compute nodes"), "{said}");
    assert_eq!(compression(&place), "gzip:7");
    // Only a partition, then all of them.
    place.admin(&["doctor", "--compute", "--partition", "nowhere"]).code(66).one_sentence();
    place.admin(&["doctor", "--compute", "--partition", "cpu"]).code(0);
    assert_eq!(tried(&place), [("cpu".to_owned(), Some(true))]);
    let checks = place.admin(&["doctor", "--compute", "--json"]).code(0).json();
    assert_eq!(checks["ok"], true, "{checks}");
    for partition in ["cpu", "gpu"] {
        let name = format!("zstd image in partition {partition}");
        let check =
            checks["checks"].as_array().unwrap().iter().find(|check| check["check"] == *name).unwrap();
        assert_eq!(check["state"], "ok", "{check}");
        assert!(check["detail"].as_str().unwrap().contains("apptainer version"), "{check}");
    }
    assert_eq!(tried(&place), [("cpu".to_owned(), Some(true)), ("gpu".to_owned(), Some(true))]);
    let said = pull();
    assert!(!said.contains("zstd was not tried"), "{said}");
    assert_eq!(compression(&place), "zstd:8");
    // A job runs from it.
    let image = format!("{}/images/llama-server_test.sif", place.cache);
    let line = format!("srun --immediate=60 apptainer exec {image} true");
    cluster.bash("blackfish@login", &line).limit(Duration::from_mins(3)).code(0);

    // A runtime of the site's that mounts no zstd: then no image is made so any more.
    let runtime = "/shared/service/images-doctor-runtime";
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'apptainer version 1.0.9'; exit 0; }\necho 'FATAL: no zstd' >&2\nexit 255\n";
    let site = format!("schema: 1\ncache_dir: {}\nruntime: {{apptainer: {runtime}}}\n", place.cache);
    let write = |path: &str, text: &str| {
        let line = format!("cat >{path} && chmod 755 {path}");
        cluster.bash("blackfish@login", &line).input(text).code(0);
    };
    write(runtime, script);
    write("/shared/service/images-doctor.yaml", &site);
    let declared = ["setup", "--site", "/shared/service/images-doctor.yaml"];
    cluster.program("blackfish@login", ["bf-admin"]).args(declared).limit(Duration::from_mins(2)).code(0);
    let looked = place.admin(&["doctor", "--compute"]).code(0);
    assert!(looked.stdout.contains("FATAL: no zstd") && looked.stdout.contains("gzip"), "{looked}");
    assert_eq!(tried(&place), [("cpu".to_owned(), Some(false)), ("gpu".to_owned(), Some(false))]);
    let said = pull();
    assert!(said.contains("zstd does not mount in cpu, gpu"), "{said}");
    assert_eq!(compression(&place), "gzip:7");
    // And one that is not there can run nothing at all.
    cluster.bash("blackfish@login", &format!("rm {runtime}")).code(0);
    let missing = place.admin(&["doctor", "--compute"]).code(2);
    assert!(missing.stdout.contains("fail") && missing.stdout.contains(runtime), "{missing}");
    // Which says nothing about zstd.
    assert_eq!(tried(&place), [("cpu".to_owned(), None), ("gpu".to_owned(), None)]);
    let said = place.pull(SERVER, &["--as", "llama_cpp", "--force", "--dry-run"]).stdout;
    assert!(said.contains("the nodes of cpu, gpu have no container runtime"), "{said}");
}

#[test]
fn where_slurm_hides_jobs_nothing_is_pruned_without_force() {
    let options = ClusterOptions { private: true, ..ClusterOptions::default() };
    let cluster = or_skip!(Cluster::start_with(options));
    let place = Place::new(&cluster, "blackfish", "images-hidden");
    let done = place.pull(SERVER, &["--as", "llama_cpp"]);
    assert_eq!(done.exit, 0, "{done}");
    let old = place.store().first().unwrap().clone();
    // A job of somebody else, whom the cache's owner does not see. It has the file itself, as bf-user's jobs do.
    let file = format!("{}/images/.store/{old}", place.cache);
    let alice = Place::new(&cluster, "alice", "none");
    let number = job(&alice, &file, &format!("bf:svc=x;image={}", &old[..12]));
    assert_eq!(cluster.program("blackfish@login", ["squeue", "-h"]).code(0).stdout, "");

    place.admin(&["image", "rm", "llama_cpp"]).code(0);
    assert!(place.store().contains(&old), "a name is taken away, and nothing that runs");
    for words in [&["image", "prune", "--all"][..], &["image", "prune", "--all", "--dry-run"]] {
        let refused = place.admin(words).code(77).one_sentence();
        assert!(refused.stderr.contains("PrivateData") && refused.stderr.contains("--force"), "{refused}");
        assert!(place.store().contains(&old), "{:?}", place.store());
    }
    assert_eq!(state(&alice, &number), "RUNNING");
    // Root sees all jobs, and in a cache of its own which of them use the same image.
    let root = |words: &[&str]| {
        let line = ["bf-admin", "--cache-dir", "/shared/images-of-root", "image"];
        cluster.program("login", line).args(words).limit(Duration::from_mins(5)).code(0)
    };
    root(&["pull", SERVER, "--no-https", "--as", "llama_cpp"]);
    root(&["rm", "llama_cpp"]);
    root(&["prune", "--all"]).stdout_contains(&format!("used by job {number}"));
    cluster.bash("alice@login", "touch ~/stop").code(0);
    eventually("its end", Duration::from_mins(1), || (state(&alice, &number) == "COMPLETED").then_some(()));
    // Who knows that nothing runs says so.
    place.admin(&["image", "prune", "--all", "--force"]).code(0).stderr_contains("PrivateData");
    assert!(place.store().is_empty(), "{:?}", place.store());
}

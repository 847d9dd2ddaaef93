//! The road from an image in a registry to an answer: pulled and published by root, run by an ordinary user through Slurm.

use std::time::Duration;

use bf_test_kit::{REPO, eventually, or_skip};

use crate::site::{self, CACHE, QUESTION, Service, queue, user};

/// The service's own requests.
fn models(url: &str) -> String {
    format!("{url}/v1/models")
}

#[test]
fn setup_by_root_prepares_the_cache_and_a_second_one_changes_nothing() {
    let site = or_skip!(site::shared());
    let said = &site.setup;
    for name in ["llama_cpp", REPO, "resource_specs.yaml", "site.yaml", "bf-user"] {
        assert!(said.stdout.contains(name), "no {name}: {said}");
    }
    let again = site::setup(site.cluster).code(0);
    let again = again.stdout_contains("nothing to do");
    assert!(!again.stderr.contains("pull"), "{again}");
    let words = ["bf-admin", "status", "--full", "--site", "/shared/site/site.yaml"];
    site.cluster.program("login", words).code(0).stdout_contains("in sync");
    // The name is a link to a file that never changes.
    let link =
        fs_err::read_link(site.cluster.shared_dir().join("cache/images/llama-server_test.sif")).unwrap();
    assert!(link.starts_with(".store"), "{}", link.display());
}

#[test]
fn an_ordinary_user_gets_an_answer_from_a_compute_node_and_nobody_else_does() {
    let site = or_skip!(site::shared());
    let cluster = site.cluster;
    let service = Service::run(cluster, "answers", []);
    let details = service.ready();
    let node = details["node"].as_str().unwrap().to_owned();
    assert!(node == "node1" || node == "node2", "{details}");
    assert_eq!(details["scheduler"], "slurm");
    assert_eq!(details["image_ref"], "login:5000/engines/llama-server:test");
    let url = details["url"].as_str().unwrap().to_owned();
    service.ask(["chat", &service.id, "--temperature", "0", "-m", QUESTION]).code(0).stdout_contains("Paris");

    // It is llama.cpp in its container, from the immutable file, with nothing of alice's home.
    let processes = cluster.processes(&node);
    assert!(processes.contains("llama-server --model"), "{processes}");
    let job = details["job_id"].as_str().unwrap();
    let comment =
        queue(cluster, "%A %k").into_iter().find(|line| line.starts_with(&format!("{job} "))).unwrap();
    assert!(comment.contains(&format!("bf:svc={};image=", service.id)), "{comment}");

    assert_eq!(service.status_for("bob@login", &models(&url), None), "401");
    assert_eq!(service.status_for("bob@node1", &models(&url), Some("a-guess")), "401");
    assert_eq!(service.status_for("alice@node2", &models(&url), Some(&service.key())), "200");
    let key_file = details["key_file"].as_str().unwrap();
    for place in ["bob@login", "bob@node1", "bob@node2"] {
        let outcome = cluster.program(place, ["cat", key_file]).run();
        assert_ne!(outcome.exit, 0, "{outcome}");
        assert!(!outcome.stdout.contains(&service.key()), "{outcome}");
    }

    let work = fs_err::read(service.folder().join("work.json")).unwrap();
    let work: serde_json::Value = serde_json::from_slice(&work).unwrap();
    let work = work["path"].as_str().unwrap();
    cluster.program(&node, ["test", "-d", work]).code(0);
    service.ask(["stop", &service.id]).code(0).stdout_contains("stopped");
    assert_eq!(service.state(), ("stopped".into(), "stopped as asked".into()));
    eventually("the job leaves the queue", Duration::from_secs(20), || {
        let line = queue(cluster, "%A %T").into_iter().find(|line| line.starts_with(&format!("{job} ")))?;
        line.ends_with("CANCELLED").then_some(())
    });
    eventually("nothing of it is left on the node", Duration::from_secs(20), || {
        let line =
            format!("pgrep -f '[s]upervise.*{}'; ls -d {work} /var/spool/slurmd/job*{job}*", service.id);
        cluster.bash(&node, &line).run().stdout.is_empty().then_some(())
    });
}

#[test]
fn two_services_share_a_node_and_nothing_else() {
    let site = or_skip!(site::shared());
    let cluster = site.cluster;
    // Only node1 has GPUs, two of them.
    let services: Vec<Service<'_>> =
        ["first", "second"].map(|name| Service::run(cluster, name, ["--partition", "gpu"])).into();
    let details: Vec<_> = services.iter().map(Service::ready).collect();
    let urls: Vec<String> = details.iter().map(|one| models(one["url"].as_str().unwrap())).collect();
    assert!(details.iter().all(|one| one["node"] == "node1" && one["tier"] == "One GPU"), "{details:?}");
    assert_ne!(details[0]["port"], details[1]["port"]);
    let keys: Vec<String> = services.iter().map(Service::key).collect();
    for (own, other) in [(0, 1), (1, 0)] {
        assert_eq!(services[own].status_for("alice@login", &urls[own], Some(&keys[own])), "200");
        assert_eq!(services[own].status_for("alice@login", &urls[own], Some(&keys[other])), "401");
    }
    // Each has the GPU that Slurm gave it.
    let line = "for pid in $(pgrep -x llama-server); do tr '\\0' '\\n' </proc/$pid/environ | grep ^CUDA_VISIBLE_DEVICES=; done";
    let seen = cluster.bash("node1", line).code(0).stdout;
    let mut devices: Vec<&str> = seen.lines().collect();
    devices.sort_unstable();
    assert_eq!(devices, ["CUDA_VISIBLE_DEVICES=0", "CUDA_VISIBLE_DEVICES=1"]);
    // One ends, the other goes on.
    services[0].ask(["stop", "first"]).code(0);
    assert_eq!(services[1].status_for("alice@login", &urls[1], Some(&keys[1])), "200");
}

#[test]
fn a_dry_run_shows_the_script_and_makes_nothing() {
    let site = or_skip!(site::shared());
    let words =
        ["run", "text-generation", REPO, "--name", "dry", "--partition", "gpu", "--account", "physics"];
    let said = user(site.cluster, "alice", words).args(["--time", "90", "--dry-run"]).code(0).stdout;
    for line in [
        "#SBATCH --partition=gpu\n",
        "#SBATCH --gres=gpu:a100:1\n",
        "#SBATCH --constraint=gpu80\n",
        "#SBATCH --account=physics\n",
        "#SBATCH --cpus-per-task=1\n",
        "#SBATCH --mem=1G\n",
        "#SBATCH --time=90\n",
    ] {
        assert!(said.contains(line), "no {line} in {said}");
    }
    assert!(said.contains(&format!("exec {CACHE}/toolkit/")), "{said}");
    assert!(!queue(site.cluster, "%j").contains(&"dry".to_owned()));
    let list = user(site.cluster, "alice", ["ls", "--all"]).code(0).stdout;
    assert!(!list.contains(" dry "), "{list}");
}

#[test]
fn apptainer_runs_an_engine_on_this_machine_as_well() {
    let site = or_skip!(site::shared());
    let service = Service::run(site.cluster, "here", ["--scheduler", "local"]);
    let details = service.ready();
    assert_eq!((details["scheduler"].as_str(), details["node"].as_str()), (Some("local"), Some("login")));
    assert!(details["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{details}");
    service.ask(["chat", "here", "--temperature", "0", "-m", QUESTION]).code(0).stdout_contains("Paris");
    let processes = site.cluster.processes("login");
    assert!(processes.contains("llama-server --model"), "{processes}");
    service.ask(["stop", "here"]).code(0);
    assert_eq!(service.state().0, "stopped");
    let left = site.cluster.bash("login", "pgrep -x llama-server; ls -d /tmp/bf-*").run().stdout;
    assert_eq!(left, "");
}

#[test]
fn a_site_can_have_a_job_script_of_its_own() {
    let cluster = or_skip!(site::own(false));
    let folder = cluster.shared_dir().join("cache/templates/slurm");
    fs_err::create_dir_all(&folder).unwrap();
    let own = "#!/bin/bash\n{% for directive in directives %}\n#SBATCH {{ directive }}\n{% endfor %}\n\
        echo prepared by the site\nexec {{ program }} supervise {{ job_dir }}\n";
    fs_err::write(folder.join("service.sh.j2"), own).unwrap();
    let service = Service::run(&cluster, "own-script", []);
    let details = service.ready();
    let output = service.folder().join(format!("slurm-{}.out", details["job_id"].as_str().unwrap()));
    assert_eq!(fs_err::read_to_string(output).unwrap(), "prepared by the site\n");
    // One that everybody could change is not run.
    cluster.program("login", ["chmod", "777", "/shared/cache/templates/slurm"]).code(0);
    let words = ["run", "text-generation", REPO];
    user(&cluster, "alice", words).code(77).one_sentence().stderr_contains("templates/slurm");
}

//! A site's rules on a real Slurm: jobs are asked for as its site.yaml says, and run.

use bf_test_kit::{REPO, or_skip};

use crate::site::{self, QUESTION, Service, user};

#[test]
fn jobs_are_asked_for_as_the_site_wants_it() {
    let cluster = or_skip!(site::own(false));
    let apptainer = cluster.bash("login", "command -v apptainer").code(0).stdout.trim().to_owned();
    let declare = |more: &str| {
        let text = format!(
            "schema: 1\ncache_dir: /shared/cache\n\
             runtime: {{apptainer: {apptainer}, gpu_flag: none, modules: [no-such/module], binds: [/shared/site], env: {{OF_SITE: a}}}}\n\
             network: {{ports: 21000-21999, interface: eth0}}\n\
             policy: {{max_idle_timeout: 2h, allow_local: false, max_services: 1}}\n\
             slurm:\n  gpu_request: gpus\n  memory: mem-per-gpu\n  directives: [--nice=7]\n{more}"
        );
        fs_err::create_dir_all(cluster.shared_dir().join("site")).unwrap();
        fs_err::write(cluster.shared_dir().join("cache/site.yaml"), text).unwrap();
    };
    declare("  account_required: true\n");
    let run =
        |options: &[&str]| user(&cluster, "alice", ["run", "text-generation", REPO]).args(options).run();
    let refused = run(&[]).one_sentence();
    assert_eq!(refused.exit, 64, "{refused}");
    assert!(refused.stderr.contains("slurm.account_required"), "{refused}");
    let refused = run(&["--scheduler", "local"]).one_sentence();
    assert_eq!(refused.exit, 77, "{refused}");

    declare("");
    let service = Service::run(&cluster, "rules", ["--tier", "gpu.One GPU"]);
    let details = service.ready();
    let job = details["job_id"].as_str().unwrap();
    let known = cluster.program("login", ["scontrol", "show", "job", job]).code(0).stdout;
    assert!(known.contains("Nice=7"), "{known}");
    assert!(
        known.contains("TresPerNode=gres/gpu:a100:1") || known.contains("TresPerNode=gres:gpu:a100:1"),
        "{known}"
    );
    assert!(known.contains("mem=1G"), "{known}");
    let port = details["port"].as_u64().unwrap();
    assert!((21_000..=21_999).contains(&port), "{details}");
    assert_eq!(details["idle_timeout"], 7200);
    service.ask(["chat", &service.id, "--temperature", "0", "-m", QUESTION]).code(0).stdout_contains("Paris");
    let said = fs_err::read_to_string(service.folder().join(format!("slurm-{job}.out"))).unwrap();
    assert!(said.contains("no-such/module cannot be loaded"), "{said}");
    let processes = cluster.processes(details["node"].as_str().unwrap());
    assert!(!processes.contains("--nv"), "{processes}");

    let refused = run(&[]).one_sentence();
    assert_eq!(refused.exit, 75, "{refused}");
    assert!(refused.stderr.contains("policy.max_services"), "{refused}");
}

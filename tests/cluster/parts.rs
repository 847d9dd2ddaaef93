//! The cluster itself: what the tests of the programs take for granted.

use std::net::TcpListener;
use std::time::Duration;

use bf_test_kit::{Cluster, or_skip};

const HOSTS: [&str; 3] = ["login", "node1", "node2"];
const IMAGE: &str = "docker://login:5000/engines/llama-server:test";

#[test]
fn the_hosts_see_each_other_and_nothing_else() {
    let cluster = or_skip!(Cluster::shared());
    // Somebody who listens on all addresses of this machine.
    let outside = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    for host in HOSTS {
        assert_eq!(cluster.program(host, ["hostname"]).code(0).stdout.trim(), host);
        cluster
            .bash(host, "exec 3<>/dev/tcp/login/6817 4<>/dev/tcp/node1/6818 5<>/dev/tcp/node2/6818")
            .code(0);
        let routes = cluster.program(host, ["ip", "route"]).code(0);
        assert_eq!(routes.stdout.lines().count(), 1, "{routes}");
        assert!(routes.stdout.starts_with("10.77.0.0/24 dev eth0"), "{routes}");
        cluster.bash(host, "exec 3<>/dev/tcp/192.0.2.1/80").code(1).stderr_contains("Network is unreachable");
        cluster
            .bash(host, &format!("exec 3<>/dev/tcp/127.0.0.1/{outside}"))
            .code(1)
            .stderr_contains("refused");
    }
    // Nor does this machine have any address of theirs.
    let own = fs_err::read_to_string("/proc/net/fib_trie").unwrap();
    assert!(!own.contains("10.77.0."), "{own}");
}

#[test]
fn homes_and_shared_folders_are_the_same_everywhere() {
    let cluster = or_skip!(Cluster::shared());
    fs_err::write(cluster.state().join("fixture"), "from outside").unwrap();
    cluster.put(&cluster.state().join("fixture"), "/shared/parts/fixture");
    cluster.bash("alice@node1", "umask 077; echo mine > note").code(0);
    for host in HOSTS {
        let place = format!("alice@{host}");
        let read = ["cat", "/shared/parts/fixture", "note"];
        assert_eq!(cluster.program(&place, read).code(0).stdout, "from outsidemine\n");
        // Her home is nobody else's business.
        cluster.program(&format!("bob@{host}"), ["ls", "/home/alice"]).code(2);
        cluster.program(&place, ["touch", "/shared/mine"]).code(1);
    }
    assert_eq!(fs_err::read_to_string(cluster.home("alice").join("note")).unwrap(), "mine\n");
    let service = cluster.bash("blackfish@node2", "touch /shared/service/its && id -u");
    assert_eq!(service.code(0).stdout.trim(), "2003");
    assert!(cluster.shared_dir().join("service/its").is_file());
}

#[test]
fn jobs_run_as_who_submits_them() {
    let cluster = or_skip!(Cluster::shared());
    let job = cluster.program("alice@login", ["srun", "-w", "node2", "bash", "-c", "hostname; id -un; pwd"]);
    assert_eq!(job.code(0).stdout, "node2\nalice\n/home/alice\n");
    // Without accounting there is no history.
    cluster.program("alice@login", ["sacct"]).code(1).stderr_contains("accounting storage is disabled");
}

#[test]
fn a_gpu_job_gets_the_gpus_it_asked_for() {
    let cluster = or_skip!(Cluster::shared());
    let line = "srun -p gpu --gres=gpu:a100:2 bash -c 'hostname; echo $CUDA_VISIBLE_DEVICES'";
    assert_eq!(cluster.bash("alice@login", line).code(0).stdout, "node1\n0,1\n");
    cluster.bash("alice@login", "srun -p gpu --gres=gpu:9 true").code(1);
}

#[test]
fn anybody_reads_the_comment_of_a_job() {
    let cluster = or_skip!(Cluster::shared());
    let line = "sbatch --parsable -c 1 -t 5 --comment 'bf:svc=1;model=2' --wrap 'sleep 200' -o /dev/null";
    let id = cluster.bash("alice@login", line).code(0).stdout.trim().to_owned();
    let seen = cluster.program("bob@node2", ["squeue", "-h", "-j", &id, "-o", "%u %k"]).code(0);
    assert_eq!(seen.stdout.trim(), "alice bf:svc=1;model=2");
    // And only she ends it.
    let refused = cluster.program("bob@login", ["scancel", &id]).run();
    assert_ne!(refused.exit, 0, "{refused}");
    cluster.program("alice@login", ["scancel", &id]).code(0);
}

#[test]
fn an_ordinary_user_runs_the_image_of_the_registry() {
    let cluster = or_skip!(Cluster::shared());
    let pull = ["apptainer", "pull", "--no-https", "engine.sif", IMAGE];
    let pulled = cluster.program("bob@login", pull).code(0);
    let line = "srun -w node2 apptainer run --containall engine.sif --version";
    let ran = cluster.bash("bob@login", line).code(0);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("version"), "{ran}");
    println!("pulled in {:?}, ran in {:?}", pulled.took, ran.took);
}

#[test]
fn what_a_command_needs_can_be_said() {
    let cluster = or_skip!(Cluster::shared());
    cluster.install_tools();
    cluster.install_tools();
    for name in ["bf-admin", "bf-user"] {
        cluster.program("alice@node1", [name, "--version"]).code(0).stdout_contains(name);
    }
    let told = cluster.program("alice@node1", ["sh", "-c", "cat; pwd; echo \"$A $HOME $USER\"; umask"]);
    let told = told.env("A", "a = b").folder("/shared".as_ref()).umask(0o027).input("said\n").code(0);
    assert_eq!(told.stdout, "said\n/shared\na = b /home/alice alice\n0027\n");
    let words = ["env", "B=b", "sh", "-c", "echo $B; exit 3"];
    assert_eq!(cluster.program("bob@login", words).code(3).stdout, "b\n");
    // Who gives up on a command ends it.
    let mut sleeping = cluster.program("alice@node1", ["sleep", "98765"]).spawn();
    let seen = || cluster.processes("node1").contains("sleep 98765").then_some(());
    bf_test_kit::eventually("the command", Duration::from_secs(10), seen);
    sleeping.kill().unwrap();
    sleeping.wait().unwrap();
    bf_test_kit::eventually("its end", Duration::from_secs(10), || seen().is_none().then_some(()));
}

#[test]
fn a_secret_that_strangers_can_see_is_seen() {
    let cluster = or_skip!(Cluster::shared());
    let script = "exec 3<>/dev/tcp/login/6817; read -r _ <&3";
    let mut open = cluster.program("bob@node2", ["bash", "-c", script, "on-the-command-line"]).spawn();
    let seen = || cluster.processes("node2").contains("on-the-command-line").then_some(());
    bf_test_kit::eventually("the argument", Duration::from_secs(10), seen);
    let mut closed = cluster.program("bob@node2", ["sleep", "300"]).env("KEY", "in-the-environment").spawn();
    bf_test_kit::eventually("the other", Duration::from_secs(10), || {
        let all = cluster.processes("node2");
        assert!(!all.contains("in-the-environment"), "{all}");
        all.contains("sleep 300").then_some(())
    });
    for child in [&mut open, &mut closed] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

//! Slurm's accounting: history, accounts, limits.

use std::time::Duration;

use bf_test_kit::{Cluster, eventually, or_skip};

#[test]
fn there_is_a_history_and_limits_hold() {
    let cluster = or_skip!(Cluster::start(true));
    let wrap = |user: &str, words: &str| {
        cluster.bash(&format!("{user}@login"), &format!("sbatch --parsable -c 1 -t 5 -o /dev/null {words}"))
    };
    for (user, account) in [("alice", "research"), ("blackfish", "research"), ("bob", "teaching")] {
        let id = wrap(user, "--comment 'bf:svc=1' --wrap true").code(0).stdout.trim().to_owned();
        let query = format!("sacct -X -n -P -j {id} -o user,account,state,comment");
        let ended = format!("{user}|{account}|COMPLETED|bf:svc=1");
        eventually("its history", Duration::from_secs(20), || {
            (cluster.bash("root@login", &query).code(0).stdout.trim() == ended).then_some(())
        });
    }
    wrap("bob", "-A research --wrap true").code(1).stderr_contains("Invalid account");
    wrap("alice", "-A nonsense --wrap true").code(1).stderr_contains("Invalid account");

    let id = wrap("alice", "-A tiny --wrap 'sleep 100'").code(0).stdout.trim().to_owned();
    wrap("alice", "-A tiny --wrap true").code(1).stderr_contains("AssocMaxSubmitJobLimit");
    cluster.program("alice@login", ["scancel", &id]).code(0);

    // GPU hours can be counted.
    let line = "srun -p gpu --gres=gpu:a100:1 bash -c 'echo $SLURM_JOB_ID'";
    let id = cluster.bash("alice@login", line).code(0).stdout.trim().to_owned();
    let query = format!("sacct -X -n -P -j {id} -o alloctres");
    cluster.bash("alice@login", &query).code(0).stdout_contains("gres/gpu=1");
}

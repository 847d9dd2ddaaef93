//! Where the key of a service on a cluster is: in its file, and nowhere else.

use bf_test_kit::{Cluster, or_skip};

use crate::site::{self, Service};

#[test]
fn the_key_is_nowhere_where_others_could_see_it() {
    let site = or_skip!(site::shared());
    let cluster = site.cluster;
    let service = Service::run(cluster, "secret", []);
    let details = service.ready();
    let key = service.key();
    service.ask(["chat", "secret", "-m", "hello", "--max-tokens", "4"]).code(0);

    for host in ["login", "node1", "node2"] {
        let seen = cluster.processes(host);
        assert!(seen.contains("slurm"), "nothing was seen on {host}: {seen}");
        assert!(!seen.contains(&key), "the key is among the processes of {host}");
    }
    let job = details["job_id"].as_str().unwrap();
    let script = cluster.program("login", ["scontrol", "write", "batch_script", job, "-"]).code(0).stdout;
    assert!(script.contains("supervise"), "{script}");
    assert!(!script.contains(&key), "the key is in the script");
    let shown = cluster.program("login", ["scontrol", "show", "job", "--all", job]).code(0).stdout;
    assert!(!shown.contains(&key), "the key is in what Slurm shows");
    // Of the files that root can read, only the key's own.
    for entry in fs_err::read_dir(service.folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = fs_err::read(&path).unwrap();
        let has = text.windows(key.len()).any(|window| window == key.as_bytes());
        assert_eq!(has, path.ends_with("key"), "{}", path.display());
    }
    for host in ["login", "node1", "node2"] {
        let found = holding(cluster, host, &key);
        assert!(found.is_empty(), "bob finds the key on {host}: {found}");
    }
    // Root finds it, so the search can find something at all.
    let line = "grep -rIlF --exclude-dir=proc --exclude-dir=sys -e \"$KEY\" /home/alice";
    let found = cluster.bash("login", line).env("KEY", &key).run().stdout;
    assert!(found.trim().ends_with("/key"), "{found}");
}

/// The files of a host in which bob finds the key.
fn holding(cluster: &Cluster, host: &str, key: &str) -> String {
    let line = "grep -rIlF -D skip -e \"$KEY\" /home /shared/cache/site.yaml /shared/site /tmp /run /var/spool /var/log /var/tmp /etc 2>/dev/null";
    cluster.bash(&format!("bob@{host}"), line).env("KEY", key).run().stdout
}

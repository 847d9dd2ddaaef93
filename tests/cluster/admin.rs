//! Provisioning by others than root, and what a registry can do to it.

use std::time::Duration;

use bf_test_kit::{REPO, or_skip};

use crate::site::{self, QUESTION};

#[test]
fn a_service_account_can_own_the_cache() {
    let site = or_skip!(site::shared());
    let cluster = site.cluster;
    let folder = cluster.shared_dir().join("service");
    let text = fs_err::read_to_string(cluster.shared_dir().join("site/site.yaml")).unwrap();
    let text = text.replace("/shared/cache", "/shared/service/cache");
    fs_err::write(folder.join("site.yaml"), text).unwrap();
    let setup = |umask: &str| {
        let line = format!("umask {umask}; cd /shared/service; bf-admin setup --no-https");
        cluster.bash("blackfish@login", &line).limit(Duration::from_mins(5))
    };
    setup("077").code(0).stdout_contains("llama_cpp");
    setup("077").code(0).stdout_contains("nothing to do");
    cluster
        .bash("blackfish@login", "cd /shared/service; bf-admin status --full")
        .code(0)
        .stdout_contains("in sync");
    let owner = cluster.bash("login", "find /shared/service/cache ! -user blackfish").code(0).stdout;
    assert_eq!(owner, "", "all of it is the account's");
    // Nothing is left in the account's home.
    let left = cluster.bash("blackfish@login", "find . -type f").code(0).stdout;
    assert_eq!(left, "");

    // An ordinary user runs what the account has provisioned.
    let bf = "/shared/service/cache/bin/bf-user";
    let run = ["run", "text-generation", REPO, "--name", "of-account"];
    cluster.program("bob@login", [bf]).args(run).code(0);
    cluster.program("bob@login", [bf, "wait", "of-account", "--timeout", "120"]).code(0);
    let chat = ["chat", "of-account", "--temperature", "0", "-m", QUESTION];
    cluster.program("bob@login", [bf]).args(chat).code(0).stdout_contains("Paris");
    cluster.program("bob@login", [bf, "stop", "of-account"]).code(0);
}

//! Images of a researcher's own, at a site that has none: on the login node the first service fetches it, and Slurm's nodes see it.

use std::time::Duration;

use bf_test_kit::{Cluster, Program, REPO, or_skip};

use crate::site;

const IMAGE: &str = "login:5000/engines/llama-server:test";
const BARE: &str = "schema: 1\ncache_dir: /shared/bare/cache\nmodels:\n  - repo: HuggingFaceTB/SmolLM2-135M-Instruct-GGUF\n    path: /shared/downloads\n";

/// `bf-user` of bob, for the cache without images.
fn user(cluster: &Cluster, words: &[&str]) -> Program {
    let program = cluster.program("bob@login", ["bf-user"]).args(words);
    program.env("BLACKFISH_CACHE_DIR", "/shared/bare/cache").limit(Duration::from_mins(3))
}

#[test]
fn a_first_service_on_this_machine_fetches_its_image_and_one_of_slurm_does_not() {
    let cluster = or_skip!(Cluster::shared());
    or_skip!(site::declare(cluster));
    let folder = cluster.shared_dir().join("bare");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("site.yaml"), BARE).unwrap();
    cluster.program("login", ["bf-admin", "setup", "--site", "/shared/bare/site.yaml"]).code(0);

    let run = ["run", "text-generation", REPO, "--image-ref", IMAGE, "--cpus-per-task", "1", "--mem", "1"];
    let with = |more: &[&str]| user(cluster, &run).args(more);
    for refused in [with(&[]), with(&["--scheduler", "local", "--no-pull"])] {
        let refused = refused.code(66);
        assert!(refused.stderr.contains("`bf-user image pull "), "{refused}");
    }
    let local = ["--scheduler", "local", "--no-https", "--name", "own-local"];
    let first = with(&local).code(0);
    assert!(first.stderr.contains("is pulled into /home/bob/.blackfish/images first"), "{first}");
    user(cluster, &["wait", "own-local", "--timeout", "120"]).code(0);
    user(cluster, &["chat", "own-local", "-m", site::QUESTION]).code(0);

    // A service that runs keeps its file.
    let files = || cluster.bash("bob@login", "ls ~/.blackfish/images/.store").code(0).stdout;
    let file = files();
    user(cluster, &["image", "rm", "llama-server_test"]).code(0).stdout_contains("1 file stays");
    assert_eq!(files(), file);
    user(cluster, &["image", "pull", "--no-https", IMAGE]).code(0);
    assert_eq!(files(), file, "it is the same one");
    user(cluster, &["stop", "own-local"]).code(0);

    with(&["--name", "own-slurm", "--time", "10"]).code(0);
    user(cluster, &["wait", "own-slurm", "--timeout", "120"]).code(0);
    user(cluster, &["stop", "own-slurm"]).code(0);
    user(cluster, &["image", "rm", "llama-server_test"]).code(0);
    assert_eq!(files(), "");
}

//! Our images where they are run: by Apptainer, from a cache that many hosts share, while it changes.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use bf_test_kit::{Cluster, ClusterOptions, Outcome, Program, eventually, or_skip};

pub(crate) const SERVER: &str = "login:5000/engines/llama-server:test";

/// A cache of its own on a cluster, and who owns it.
pub(crate) struct Place<'c> {
    cluster: &'c Cluster,
    owner: &'static str,
    pub(crate) cache: String,
}

impl<'c> Place<'c> {
    /// `/shared/service/NAME`, of blackfish, or a folder in the home of somebody else.
    pub(crate) fn new(cluster: &'c Cluster, owner: &'static str, name: &str) -> Self {
        cluster.install_tools();
        let folder = if owner == "blackfish" { "/shared/service".into() } else { format!("/home/{owner}") };
        Self { cluster, owner, cache: format!("{folder}/{name}") }
    }

    /// `bf-admin` of the owner on a host.
    pub(crate) fn on(&self, host: &str, words: &[&str]) -> Program {
        let place = format!("{}@{host}", self.owner);
        let line = ["bf-admin", "--cache-dir", &self.cache];
        self.cluster.program(&place, line).args(words).limit(Duration::from_mins(5))
    }

    pub(crate) fn admin(&self, words: &[&str]) -> Program {
        self.on("login", words)
    }

    pub(crate) fn pull(&self, reference: &str, more: &[&str]) -> Outcome {
        self.admin(&[&["image", "pull", reference, "--no-https"], more].concat()).run()
    }

    /// As this machine sees it.
    pub(crate) fn here(&self) -> PathBuf {
        self.cluster.state().join(&self.cache[1..])
    }

    /// The names of the store's files.
    pub(crate) fn store(&self) -> BTreeSet<String> {
        let entries = fs_err::read_dir(self.here().join("images/.store")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// An image whose configuration has what a shell would take apart. Not with quotes and backslashes in a variable: Apptainer 1.4.5 masks
/// these twice, and ours have the value that the configuration says.
const ODD: &str = r#"
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs HOME=$(mktemp -d)
options="--root $HOME/storage --runroot $HOME/run"
container=$(buildah $options from --tls-verify=false login:5000/engines/llama-server:test)
cat >"$HOME/say" <<'SAY'
#!/bin/sh
printf '<%s>\n' "$@"
exit 7
SAY
chmod 755 "$HOME/say"
buildah $options copy -q "$container" "$HOME/say" /opt/say
buildah $options config --env 'ODD=a; b & c' --env 'EMPTY=' --env 'EQUALS=a=b=c' \
    --entrypoint '["/opt/say", "an argument", "it'"'"'s", "$HOME"]' --cmd "one 'two words'" \
    --label 'org.example.odd=a "b" $c' "$container"
buildah $options commit -q "$container" made
buildah $options push -q --tls-verify=false made docker://login:5000/tests/odd:1
buildah $options rm -a >/dev/null
rm -rf "$HOME"
"#;

#[test]
fn apptainer_runs_our_image_as_it_runs_its_own() {
    let cluster = or_skip!(Cluster::shared());
    let place = Place::new(cluster, "alice", "images-run");
    cluster.bash("login", ODD).limit(Duration::from_mins(3)).code(0);
    let alice = |line: &str| cluster.bash("alice@login", line).limit(Duration::from_mins(3)).run();
    for (name, reference) in [("server", SERVER), ("odd", "login:5000/tests/odd:1")] {
        let (ours, theirs) = (format!("{name}-ours.sif"), format!("{name}-theirs.sif"));
        place.admin(&["image", "pull", reference, "--no-https", "--output", &ours]).code(0);
        let pulled = alice(&format!("apptainer pull --no-https {theirs} docker://{reference}"));
        assert_eq!(pulled.exit, 0, "{pulled}");
        // What names the file itself differs, and nothing else.
        let both = |line: &str| {
            let [mut one, mut other] = [&ours, &theirs].map(|sif| alice(&line.replace("SIF", sif)));
            for outcome in [&mut one, &mut other] {
                outcome.stdout = outcome.stdout.replace("-theirs.sif", "-ours.sif");
            }
            assert_eq!(
                (one.exit, &one.stdout),
                (other.exit, &other.stdout),
                "{name}: {line}\n{one}\n{other}"
            );
            one
        };
        let environment = both("apptainer exec --cleanenv SIF env | sort");
        assert!(environment.stdout.contains("PATH="), "{environment}");
        both("apptainer exec SIF env | sort");
        both("apptainer exec SIF sh -c 'ls -ld / /etc /usr /bin; id -u; exit 5'");
        both(
            "apptainer exec SIF find /usr /opt -xdev -printf '%p %y %m %s %l\\n' | LC_ALL=C sort | sha256sum",
        );
        if name == "odd" {
            let said = both("apptainer run SIF");
            assert_eq!(said.exit, 7, "{said}");
            assert!(said.stdout.contains("<it's>") && said.stdout.contains("<$HOME>"), "{said}");
            both("apptainer run SIF three 'four five'");
            let labels = both("apptainer inspect --labels SIF | grep org.example");
            assert!(labels.stdout.contains("a \"b\" $c"), "{labels}");
        }
    }
}

#[test]
fn a_signature_is_no_damage_and_a_flipped_byte_is() {
    let cluster = or_skip!(Cluster::shared());
    let place = Place::new(cluster, "alice", "images-signed");
    let done = place.pull(SERVER, &["--as", "llama_cpp"]);
    assert_eq!(done.exit, 0, "{done}");
    // Somebody else's umask and owners are not ours: it is alice's file, and the image's owners are inside.
    let owners = cluster.bash("alice@login", &format!("find {} ! -user alice", place.cache)).code(0).stdout;
    assert_eq!(owners, "");
    let link = format!("{}/images/llama-server_test.sif", place.cache);
    let listed = "unsquashfs -o $(apptainer sif list IMAGE | awk -F'|' '/Squashfs/ {split($4, at, \"-\"); print at[1] + 0}') -lln IMAGE";
    let listed = cluster.bash("alice@login", &listed.replace("IMAGE", &link)).code(0).stdout;
    assert!(listed.lines().filter(|line| line.contains(" 0/0 ")).count() > 100, "owners are the image's");

    // Nobody declares it, and the home lets nobody in: that is all that is told of it.
    let whole = || {
        let status = place.admin(&["status", "--full", "--json"]).run().json();
        let image = status["items"].as_array().unwrap().iter().find(|item| item["kind"] == "image").unwrap();
        assert_eq!(image["state"], "unmanaged", "{image}");
    };
    whole();
    // Its file is read-only, as all of the store; whoever signs it opens it for that.
    let sign = format!(
        "set -e; cd; export GNUPGHOME=$(mktemp -d)
        cat >key <<'KEY'
%no-protection
Key-Type: RSA
Key-Length: 2048
Name-Real: Alice
Name-Email: alice@example.org
%commit
KEY
        gpg --batch --quiet --generate-key key
        gpg --armor --export-secret-keys >secret.asc
        gpg --armor --export >public.asc
        apptainer key import secret.asc || true
        apptainer key import public.asc || true
        real=$(readlink -f {link}); mode=$(stat -c %a $real)
        chmod u+w $real
        openssl genrsa -out sign.pem 2048 2>/dev/null
        openssl rsa -in sign.pem -pubout -out verify.pem 2>/dev/null
        apptainer sign --key sign.pem $real
        chmod $mode $real
        apptainer verify --key verify.pem {link}"
    );
    cluster.bash("alice@login", &sign).limit(Duration::from_mins(1)).code(0);
    whole();
    cluster.bash("alice@login", &format!("apptainer exec {link} true")).code(0);

    // One byte in the middle of the root filesystem.
    let real = fs_err::canonicalize(place.here().join("images/.store").join(place.store().first().unwrap()))
        .unwrap();
    let flip = || {
        let file = fs_err::OpenOptions::new().read(true).write(true).open(&real).unwrap();
        let (at, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
        file.file().read_exact_at(&mut byte, at).unwrap();
        file.file().write_all_at(&[byte[0] ^ 1], at).unwrap();
    };
    flip();
    let status = place.admin(&["status", "--full"]).run();
    assert_ne!(status.exit, 0, "{status}");
    assert!(status.stdout.contains("the root filesystem"), "{status}");
    let mended = place.pull(SERVER, &["--as", "llama_cpp", "--force"]);
    assert_eq!(mended.exit, 0, "{mended}");
    whole();
}

/// A job that reads its image all the time, with a comment that names it; until the file `stop` is there.
pub(crate) fn job(place: &Place<'_>, image: &str, comment: &str) -> String {
    let script = format!(
        "apptainer exec {image} sh -c 'while [ ! -e ~/stop ]; do cat /usr/lib/x86_64-linux-gnu/*.so* >/dev/null || exit 9; done'"
    );
    let who = format!("{}@login", place.owner);
    let words = ["sbatch", "--parsable", "--comment", comment, "--output", "job.out", "--wrap", &script];
    let job = place.cluster.program(&who, words).code(0).stdout.trim().to_owned();
    eventually("the job", Duration::from_secs(40), || state(place, &job).eq("RUNNING").then_some(()));
    job
}

pub(crate) fn state(place: &Place<'_>, job: &str) -> String {
    let words = ["squeue", "-h", "-t", "all", "-j", job, "-o", "%T"];
    place.cluster.program("login", words).run().stdout.trim().to_owned()
}

/// Replaces the image of a running job, twice, and prunes; the job must never see anything of that.
fn replaced_under_a_job(cluster: &Cluster) {
    let place = Place::new(cluster, "blackfish", "images-job");
    let done = place.pull(SERVER, &["--as", "llama_cpp"]);
    assert_eq!(done.exit, 0, "{done}");
    let link = format!("{}/images/llama-server_test.sif", place.cache);
    let old = place.store().first().unwrap().clone();
    let number = job(&place, &link, &format!("bf:svc=x;image={}", &old[..12]));

    let done = place.pull(SERVER, &["--as", "llama_cpp", "--force", "--compression", "gzip:1"]);
    assert_eq!(done.exit, 0, "{done}");
    assert_eq!(place.store().len(), 2, "{:?}", place.store());
    let dry = place.admin(&["image", "prune", "--all", "--dry-run"]).code(0);
    assert!(dry.stdout.contains(&format!("job {number}")), "{dry}");
    // Young ones stay without being asked for.
    place.admin(&["image", "prune"]).code(0).stdout_contains("stays until");
    let pruned = place.admin(&["image", "prune", "--all"]).code(0);
    assert!(pruned.stdout.contains(&format!("job {number}")), "{pruned}");
    assert!(place.store().contains(&old), "{:?}", place.store());
    // It lives, and reads.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(state(&place, &number), "RUNNING");
    let node = cluster.bash("blackfish@node2", &format!("apptainer exec {link} true")).run();
    assert_eq!(node.exit, 0, "{node}");

    cluster.bash("blackfish@login", "touch ~/stop").code(0);
    eventually("its end", Duration::from_mins(1), || (state(&place, &number) == "COMPLETED").then_some(()));
    place.admin(&["image", "prune", "--all", "--dry-run"]).code(0).stdout_contains("would be removed");
    assert!(place.store().contains(&old), "a dry run removes nothing");
    place.admin(&["image", "prune", "--all"]).code(0).stdout_contains("removed");
    assert!(!place.store().contains(&old), "{:?}", place.store());
    place.admin(&["status", "--full"]).code(0);

    place.admin(&["image", "rm", "llama_cpp", "--dry-run"]).code(0).stdout_contains("would be removed");
    place.admin(&["image", "rm", "llama_cpp"]).code(0);
    assert_eq!(place.store().len(), 1, "its file stays");
    assert!(!place.here().join("images/llama-server_test.sif").is_symlink());
    place.admin(&["image", "prune", "--all"]).code(0);
    assert_eq!(place.store(), BTreeSet::new());
    cluster.bash("blackfish@login", "rm -f ~/stop").code(0);
}

#[test]
fn a_running_job_keeps_its_image() {
    // A cluster of its own: jobs of other tests may run the same image, and would keep it as well.
    replaced_under_a_job(&or_skip!(Cluster::start_with(ClusterOptions::default())));
}

#[test]
fn on_a_network_filesystem_a_job_keeps_its_image_and_many_pulls_are_one() {
    let options = ClusterOptions { bindfs: true, ..ClusterOptions::default() };
    let cluster = or_skip!(Cluster::start_with(options));
    let place = Place::new(&cluster, "blackfish", "images-many");
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|number| {
                let host = ["node1", "node2"][number % 2];
                let words = ["--wait=240", "image", "pull", SERVER, "--no-https"];
                let program = place.on(host, &words);
                scope.spawn(move || program.run())
            })
            .collect();
        for run in runs {
            let outcome = run.join().unwrap();
            assert_eq!(outcome.exit, 0, "{outcome}");
        }
    });
    assert_eq!(place.store().len(), 1);
    let audit = fs_err::read_to_string(place.here().join("audit.jsonl")).unwrap();
    let pulls = audit.lines().filter(|line| line.contains("pull") && line.contains("llama-server")).count();
    assert_eq!(pulls, 1, "{audit}");
    // Each layer went over the network once.
    let log = fs_err::read_to_string(cluster.state().join("login/upper/var/log/registry.log")).unwrap();
    let mut layers: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("\"GET /v2/engines/llama-server/blobs/"))
        .filter_map(|line| line.split("blobs/").nth(1)?.split(' ').next())
        .collect();
    let all = layers.len();
    layers.sort_unstable();
    layers.dedup();
    assert_eq!(all, layers.len(), "{log}");

    // Who does not wait is told that somebody else is at it.
    let force = ["image", "pull", SERVER, "--no-https", "--force"];
    std::thread::scope(|scope| {
        let runs = ["node1", "node2", "node1"].map(|host| {
            let program = place.on(host, &force);
            scope.spawn(move || program.run())
        });
        let mut exits = runs.map(|run| run.join().unwrap().exit);
        exits.sort_unstable();
        assert_eq!(exits, [0, 75, 75]);
    });
    replaced_under_a_job(&cluster);
}

//! `bf-admin doctor` on one machine: with a container runtime that mounts, one that does not, and none.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bf_test_kit::images::ToolRoot;
use bf_test_kit::{Program, Site, or_skip};
use serde_json::Value;

const SOMEBODY: u32 = 54_321;

/// A site with a cache, and folders for programs that are found.
struct Own(Site);

impl Own {
    /// With this runtime as `apptainer`, if any.
    fn with(runtime: Option<&str>) -> Self {
        let site = Site::new();
        site.declare_text("schema: 1\ncache_dir: cache\n");
        fs_err::create_dir(site.path().join("bin")).unwrap();
        if let Some(script) = runtime {
            let program = site.path().join("bin/apptainer");
            fs_err::write(&program, script).unwrap();
            fs_err::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self(site)
    }

    fn doctor(&self, words: &[&str]) -> Program {
        let path = format!("{}:{}", self.0.path().join("bin").display(), std::env::var("PATH").unwrap());
        self.0.admin(["doctor"]).args(words).env("PATH", path)
    }

    /// Its lines as programs get them, after they were held against those that people get.
    #[track_caller]
    fn checks(&self, exit: i32) -> Vec<Value> {
        let outcome = self.doctor(&["--json"]).code(exit);
        let document = outcome.json();
        assert_eq!(document["ok"], exit == 0, "{outcome}");
        let checks = document["checks"].as_array().unwrap().clone();
        let text = self.doctor(&[]).code(exit);
        let lines: Vec<&str> = text.stdout.lines().collect();
        assert_eq!(lines.len(), checks.len() + 1, "{text}");
        for (check, line) in checks.iter().zip(&lines[1..]) {
            let of = |name: &str| check[name].as_str().unwrap_or_default();
            assert!(line.starts_with(of("state")) && line.contains(of("check")), "{line}: {check}");
            assert!(["ok", "warn", "fail"].contains(&of("state")), "{check}");
            assert!(!of("check").is_empty() && !of("detail").is_empty(), "{check}");
            // What is not well says what to do.
            assert!(
                of("state") == "ok" || (!of("hint").is_empty() && line.contains(of("hint"))),
                "{line}: {check}"
            );
        }
        let bad = checks.iter().filter(|check| check["state"] != "ok");
        let bad: Vec<&str> = bad.map(|check| check["check"].as_str().unwrap()).collect();
        let said = self.doctor(&["--quiet"]).code(exit).stdout;
        assert_eq!(said.lines().collect::<Vec<_>>(), bad);
        checks
    }

    /// The state of a check.
    fn states(&self, exit: i32) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.checks(exit).iter().map(|check| (text(&check["check"]), text(&check["state"]))).collect()
    }

    /// What it wrote down; the folder for temporary files must be empty.
    fn noted(&self) -> Value {
        assert_eq!(fs_err::read_dir(self.0.tmp()).unwrap().count(), 0);
        let text = fs_err::read_to_string(self.0.cache().join("probes.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn named(states: &[(&str, &str)]) -> Vec<(String, String)> {
    states.iter().map(|(check, state)| ((*check).to_owned(), (*state).to_owned())).collect()
}

const RUNTIME: &str = "container runtime";
const MOUNTS: &str = "zstd image on this machine";

/// A script that runs the real Apptainer of the tools' root filesystem.
fn real(root: &ToolRoot) -> String {
    // In a user namespace, since root may not do everything on every machine. Not by its name, which is this script's in the `PATH` of
    // these tests.
    let inside =
        ["unshare", "--user", "--map-root-user", "--mount", "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    let words = root.words(Path::new("/var/tmp"), inside.into_iter().chain(["apptainer"]));
    let masked = words.iter().map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''")));
    format!("#!/bin/sh\nexec {} \"$@\"\n", masked.collect::<Vec<_>>().join(" "))
}

#[test]
fn with_a_runtime_that_mounts_zstd_all_is_well() {
    let root = or_skip!(ToolRoot::get());
    let own = Own::with(Some(&real(root)));
    own.0.admin(["setup"]).code(0);
    assert_eq!(own.states(0), named(&[(RUNTIME, "ok"), (MOUNTS, "ok")]));
    let noted = own.noted();
    assert_eq!((&noted["schema"], &noted["zstd"]["mounted"]), (&1.into(), &true.into()), "{noted}");
    assert!(noted["zstd"]["runtime"].as_str().unwrap().contains("apptainer version"), "{noted}");
    // Without a cache there is nothing to write to, and the answer is the same.
    fs_err::remove_file(own.0.site_yaml()).unwrap();
    assert_eq!(own.states(0), named(&[(RUNTIME, "ok"), (MOUNTS, "ok")]));
}

#[test]
fn a_runtime_that_does_not_mount_is_no_failure_and_none_is() {
    let refuses = "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'apptainer version 1.0.0'; exit 0; }\n\
        echo 'FATAL:   squashfs: unsupported \x1b[31mcompression' >&2\nexit 255\n";
    let own = Own::with(Some(refuses));
    own.0.admin(["setup"]).code(0);
    assert_eq!(own.states(0), named(&[(RUNTIME, "ok"), (MOUNTS, "warn")]));
    let said = own.doctor(&[]).code(0);
    assert!(said.stdout.contains("unsupported compression") && said.stdout.contains("gzip"), "{said}");
    assert_eq!(own.noted()["zstd"]["mounted"], false);
    // One that says nothing at all, and one that says yes and shows another text.
    for lies in ["#!/bin/sh\nexit 0\n", "#!/bin/sh\necho apptainer version 9\n"] {
        let own = Own::with(Some(lies));
        let states = own.states(0);
        assert!(states.iter().any(|(check, state)| check == MOUNTS && state == "warn"), "{states:?}");
    }
    let none = Own::with(None);
    none.0.admin(["setup"]).code(0);
    let known = none.doctor(&[]).run();
    if known.stdout.contains("neither apptainer nor singularity") {
        assert_eq!(none.states(2), named(&[(RUNTIME, "fail")]));
        assert_eq!(none.noted()["zstd"]["mounted"], Value::Null);
    }
    none.doctor(&["--compute"]).code(69).one_sentence().stderr_contains("Slurm");
}

#[test]
fn a_cache_that_cannot_be_believed_or_written_is_said() {
    let root = or_skip!(ToolRoot::get());
    let own = Own::with(Some(&real(root)));
    own.0.admin(["setup"]).code(0);
    let cache = own.0.cache().to_owned();
    let mode = |mode: u32| fs_err::set_permissions(&cache, PermissionsExt::from_mode(mode)).unwrap();
    // Everybody may write: what it declares could be anybody's.
    mode(0o777);
    let doubtful = own.doctor(&[]).code(77).one_sentence();
    assert!(
        doubtful.stderr.contains(cache.to_str().unwrap()) && doubtful.stderr.contains("hint: "),
        "{doubtful}"
    );
    mode(0o755);
    // Somebody to whom it does not belong looks at the machine, and writes nothing down.
    fs_err::set_permissions(own.0.tmp(), PermissionsExt::from_mode(0o777)).unwrap();
    let stranger = || own.doctor(&["--cache-dir", cache.to_str().unwrap()]).as_user(SOMEBODY);
    let looked = stranger().run();
    assert!(looked.exit == 0 && looked.stdout.contains(RUNTIME), "{looked}");
    assert!(!cache.join("probes.json").exists());
    mode(0o700);
    stranger().code(77).one_sentence().stderr_contains(cache.to_str().unwrap());
    mode(0o755);
    assert_eq!(own.states(0).len(), 2);
}

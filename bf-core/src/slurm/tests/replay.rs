//! Programs that say again what a real Slurm said.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::settings::Environment;
use crate::slurm::Slurm;

/// The versions of which there are fixtures.
pub(super) const VERSIONS: [&str; 3] = ["22.05", "24.11", "26.05"];

/// The mark that stands in the captured queues.
pub(super) const MARK: &str = "0123456789abcdef";

/// The fixtures of one version.
pub(super) struct Captured {
    folder: PathBuf,
    pub(super) version: &'static str,
    /// Exit code and command of each.
    commands: BTreeMap<String, (i32, String)>,
    /// The number of each job.
    pub(super) names: BTreeMap<String, String>,
}

impl Captured {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        VERSIONS.into_iter().map(Self::of)
    }

    fn of(version: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/slurm").join(version);
        let read = |name: &str| fs_err::read_to_string(folder.join(name)).unwrap();
        let commands = read("commands");
        let commands = commands.lines().map(|line| {
            let [name, exit, command] = line.splitn(3, '\t').collect::<Vec<_>>().try_into().unwrap();
            (name.to_owned(), (exit.parse().unwrap(), command.to_owned()))
        });
        let names = read("names");
        let names = names.lines().map(|line| {
            let (number, name) = line.split_once(' ').unwrap();
            (name.to_owned(), number.to_owned())
        });
        Self { commands: commands.collect(), names: names.collect(), version, folder }
    }

    /// All fixtures whose name begins so.
    pub(super) fn starting(&self, start: &str) -> Vec<&str> {
        self.commands.keys().map(String::as_str).filter(|name| name.starts_with(start)).collect()
    }

    /// A file, or nothing where nothing was said.
    pub(super) fn text(&self, file: &str) -> String {
        fs_err::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    pub(super) fn exit(&self, name: &str) -> i32 {
        self.commands[name].0
    }

    /// A Slurm that says what was captured as `name`, to this command and to no other.
    pub(super) fn replay(&self, name: &str) -> Replay {
        let (exit, command) = &self.commands[name];
        let program = command.split(' ').next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // The mark is another one with each call.
        let script = format!(
            r#"#!/bin/sh
mark={MARK}
for argument; do case $argument in *'|%A|'*) mark=${{argument%%|*}} ;; esac; done
echo "{program} $*" | /bin/sed "s/$mark/{MARK}/g" >{folder}/asked
if [ -e {fixture}.out ]; then /bin/sed "s/{MARK}|/$mark|/g" {fixture}.out; fi
if [ -e {fixture}.err ]; then /bin/cat {fixture}.err >&2; fi
exit {exit}
"#,
            folder = folder.path().display(),
            fixture = self.folder.join(name).display(),
        );
        let replay = Replay { folder, command: command.clone() };
        replay.program("sbatch", "#!/bin/sh\nexit 99\n");
        replay.program(program, &script);
        replay
    }
}

/// A folder with programs.
pub(super) struct Replay {
    folder: tempfile::TempDir,
    command: String,
}

impl Replay {
    /// A folder without any.
    pub(super) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), command: String::new() }
    }

    pub(super) fn program(&self, name: &str, script: &str) {
        let file = self.folder.path().join(name);
        // Written by another process: what a test beside this one starts just then would inherit a file that is open for writing,
        // and nobody could execute it until that has ended.
        let mut write = Command::new("/bin/sh");
        write.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(&file).stdin(Stdio::piped());
        let mut child = write.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The Slurm of an environment with these programs, and with all that must not reach them.
    pub(super) fn slurm(&self) -> Option<Slurm> {
        let path = self.folder.path().display().to_string();
        let values = [
            ("PATH", path.as_str()),
            ("HOME", "/home/alice"),
            ("SLURM_CONF", "/etc/slurm/slurm.conf"),
            ("SQUEUE_FORMAT", "%i"),
            ("SBATCH_PARTITION", "other"),
            ("SLURM_TIME_FORMAT", "relative"),
            ("HF_TOKEN", "hf_secret"),
            ("TZ", "Asia/Tokyo"),
            ("LC_ALL", "de_DE.UTF-8"),
        ];
        Slurm::find(&Environment::of(values.map(|(name, value)| (name.to_owned(), value.to_owned()))))
    }

    /// That the command was the one that was captured.
    pub(super) fn was_asked(&self) {
        let asked = fs_err::read_to_string(self.path("asked")).unwrap();
        assert_eq!(asked.trim_end(), self.command);
    }
}

//! The tools that others made for images (Apptainer, skopeo, umoci, buildah, squashfs-tools, a registry), from the root filesystem of
//! the test cluster, without a cluster.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::unistd::geteuid;

use crate::program::Program;

/// The root filesystem, to be entered by commands. They see it read-only, with this machine's `/var/tmp`, devices and network, a `/run`
/// and a `/tmp` of their own, and one folder of this machine as `/srv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRoot(PathBuf);

/// Mounts, enters, runs. `$1`: the root, `$2`: what is /srv, the rest: the command.
const ENTER: &str = r#"
root=$1 srv=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount --bind /var/tmp "$root/var/tmp"
mount --bind "$srv" "$root/srv"
for folder in run tmp root var/cache var/lib/containers old; do
    [ ! -d "$root/$folder" ] || mount -t tmpfs -o mode=755 tmpfs "$root/$folder"
done
chmod 1777 "$root/tmp"
cd "$root"
# Not chroot: buildah and Apptainer mount again what they take for the root.
mkdir old/root
pivot_root . old/root
cd /
mount -t proc proc /proc
umount -l /old/root
exec "$@"
"#;

impl ToolRoot {
    /// Builds it unless it is there. `Err` says why this machine cannot: the test is to be skipped.
    pub fn get() -> Result<&'static Self, String> {
        static ROOT: OnceLock<Result<ToolRoot, String>> = OnceLock::new();
        let made = ROOT.get_or_init(|| {
            if !geteuid().is_root() {
                return Err("needs root, for the tools of the test cluster".into());
            }
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster/build");
            let built = Program::new(script, Path::new("/")).limit(std::time::Duration::from_mins(15)).run();
            match built.exit {
                0 => Ok(Self(PathBuf::from(built.stdout.trim()).join("root"))),
                69 => Err(built.stderr.lines().last().unwrap_or("no root filesystem").to_owned()),
                _ => panic!("{built}"),
            }
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// Its folder on this machine.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The words that run a command inside, with `srv` as `/srv`. What it starts ends with it.
    pub fn words<S: AsRef<OsStr>>(&self, srv: &Path, words: impl IntoIterator<Item = S>) -> Vec<OsString> {
        let enter =
            ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "bash", "-euc", ENTER, "bash"];
        let mut all: Vec<OsString> = enter.map(OsString::from).to_vec();
        all.extend([self.0.clone().into_os_string(), srv.as_os_str().to_owned()]);
        all.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        all
    }

    /// A command inside, in `/`, with HOME in `/root`, which is empty each time.
    pub fn program<S: AsRef<OsStr>>(&self, srv: &Path, words: impl IntoIterator<Item = S>) -> Program {
        let words = self.words(srv, words);
        Program::new(&words[0], Path::new("/"))
            .args(&words[1..])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
    }

    /// A line for bash inside.
    pub fn bash(&self, srv: &Path, line: &str) -> Program {
        self.program(srv, ["bash", "-euc", line])
    }

    /// Has Apptainer make the SIF `to` (below `/var/tmp`) of `source` (as `oci:/srv/layout:tag`, `docker://...`), with further words
    /// before. `work` (below `/var/tmp`) takes what it writes on its way.
    pub fn apptainer(&self, work: &Path, srv: &Path, words: &[&str], to: &Path, source: &str) -> Program {
        for folder in ["cache", "tmp"] {
            fs_err::create_dir_all(work.join(folder)).expect("a folder");
        }
        let program = self.program(srv, ["apptainer"]).args(words).args([to.as_os_str(), OsStr::new(source)]);
        program
            .env("APPTAINER_CACHEDIR", work.join("cache"))
            .env("APPTAINER_TMPDIR", work.join("tmp"))
            .env("TMPDIR", work.join("tmp"))
    }
}

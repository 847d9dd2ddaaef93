//! Who holds a lock, and whether that process still lives.

use std::fmt;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Who holds a lock, written into the claim for whoever waits or is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Host name.
    pub host: String,
    /// The id that the kernel got when it was booted; empty if that is not known.
    #[serde(default)]
    pub boot: String,
    /// The process namespace, which containers on one host have of their own; empty if that is not known.
    #[serde(default)]
    pub namespace: String,
    /// Process id on that host.
    pub pid: u32,
    /// When the process began, in ticks of the kernel since it was booted: ids come again.
    #[serde(default)]
    pub started: u64,
    /// Login name, or the numeric id if it has none.
    pub user: String,
    /// RFC 3339, when the lock was taken, by that host's clock. For people: nothing is decided by it.
    pub since: String,
    /// The program and its verb, without arguments, which may be secret.
    #[serde(default)]
    pub command: String,
}

impl Owner {
    /// This process, now.
    pub fn me() -> Self {
        let pid = std::process::id();
        let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = fs_err::read_link("/proc/self/ns/pid").unwrap_or_default();
        Self {
            host: crate::host::name(),
            boot: boot.trim().to_owned(),
            namespace: namespace.to_string_lossy().into_owned(),
            pid,
            started: stat(pid).map_or(0, |(_, started)| started),
            user: crate::host::user(),
            since: crate::host::now(),
            command: command(std::env::args_os().map(|word| word.to_string_lossy().into_owned())),
        }
    }

    /// Whether the process is known to be gone, as seen by `me`. Of one on another host, or in another container, nothing is known.
    pub(super) fn is_gone(&self, me: &Self) -> bool {
        let place = |owner: &Self| (owner.host.clone(), owner.boot.clone(), owner.namespace.clone());
        if self.boot.is_empty() || self.namespace.is_empty() || place(self) != place(me) {
            return false;
        }
        // Not by /proc, which a site may hide from other users.
        let Ok(pid) = i32::try_from(self.pid) else { return false };
        if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
            return true;
        }
        // It is there; whether it is the same one we know if we may look.
        match stat(self.pid) {
            Some((state, started)) => matches!(state, 'Z' | 'X') || started != self.started,
            None => false,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.user)?;
        if !self.command.is_empty() {
            write!(f, "{}, ", self.command)?;
        }
        write!(f, "process {} on {}, since {})", self.pid, self.host, self.since)
    }
}

/// State and start of a process, if we may know.
fn stat(pid: u32) -> Option<(char, u64)> {
    let line = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// The program's name, and the words that follow as far as they are plain: verbs.
fn command(mut arguments: impl Iterator<Item = String>) -> String {
    let program = arguments.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    let is_verb = |word: &String| word.len() <= 16 && word.chars().all(|letter| letter.is_ascii_lowercase());
    let mut words: Vec<String> = vec![name.chars().take(32).collect()];
    words.extend(arguments.take_while(is_verb).take(2));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_gone_only_where_that_can_be_known() {
        let me = Owner::me();
        assert!(me.started > 0 && !me.boot.is_empty() && !me.namespace.is_empty(), "{me:?}");
        assert!(!me.is_gone(&me));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let started = stat(child.id()).unwrap().1;
        let other = Owner { pid: child.id(), started, ..me.clone() };
        assert!(!other.is_gone(&me));
        // Another process got its number.
        assert!(Owner { started: started + 1, ..other.clone() }.is_gone(&me));
        child.kill().unwrap();
        while !other.is_gone(&me) {
            std::thread::yield_now(); // until it waits to be reaped
        }
        child.wait().unwrap();
        assert!(other.is_gone(&me));
        for elsewhere in [
            Owner { host: "another".into(), ..other.clone() },
            Owner { boot: "another".into(), ..other.clone() },
            Owner { namespace: "another".into(), ..other.clone() },
        ] {
            assert!(!elsewhere.is_gone(&me));
        }
        // Two that are unknown are not the same.
        let unknown = |owner: &Owner| Owner { namespace: String::new(), ..owner.clone() };
        assert!(!unknown(&other).is_gone(&unknown(&me)));
    }

    #[test]
    fn the_command_is_told_without_its_arguments() {
        let of = |words: &[&str]| command(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(of(&["/opt/bf-admin", "model", "import", "secret"]), "bf-admin model import");
        assert_eq!(of(&["bf-admin", "image", "https://me:pw@host"]), "bf-admin image");
        assert_eq!(of(&["bf-admin", "--token", "secret"]), "bf-admin");
        assert_eq!(of(&[]), "");
    }
}

//! `probes.json` of a cache: where a SIF compressed with zstd was seen to mount, which `doctor` finds out.

use std::io;

use bf_core::bounded::{self, Links};
use bf_core::report::{Exit, Failure};
use bf_core::site::{Layout, trusted};
use serde::{Deserialize, Serialize};

/// The largest file that is read, in bytes: some 100 for each partition.
const MAX_BYTES: u64 = 1024 * 1024;

/// What was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probes {
    /// 1.
    pub(crate) schema: u32,
    /// An image that is compressed with zstd.
    #[serde(default)]
    pub(crate) zstd: Option<Tried>,
}

/// Where something was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tried {
    /// When it was tried last, by the clock of that host.
    pub(crate) seen_at: String,
    /// The host that `doctor` ran on.
    pub(crate) host: String,
    /// Whether it mounted there; nothing where there is no container runtime.
    pub(crate) mounted: Option<bool>,
    /// The container runtime there, with its version.
    pub(crate) runtime: Option<String>,
    /// The partitions of Slurm where it was tried, by name.
    #[serde(default)]
    pub(crate) partitions: Vec<TriedPartition>,
}

/// A partition where something was tried, on one of its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TriedPartition {
    /// Its name.
    pub(crate) name: String,
    /// Whether it mounted; nothing where the node has no container runtime.
    pub(crate) mounted: Option<bool>,
    /// When it was tried.
    pub(crate) seen_at: String,
}

impl Probes {
    const SCHEMA: u32 = 1;

    pub(crate) fn of(zstd: Tried) -> Self {
        Self { schema: Self::SCHEMA, zstd: Some(zstd) }
    }

    /// What is known of a cache; nothing where nothing was tried.
    ///
    /// # Errors
    /// The file is none of ours, or somebody else could have changed it.
    pub(crate) fn load(layout: &Layout) -> Result<Option<Self>, Failure> {
        let path = layout.probes();
        let file = match bounded::open(&path, Links::Refuse) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        trusted(layout.root(), &path)?;
        let invalid = |why: String| {
            Failure::new(Exit::Invalid, "invalid_probes", format!("{} is not valid: {why}", path.display()))
                .with_hint("`bf-admin doctor` writes it anew")
        };
        let bytes = bounded::contents(&path, &file, MAX_BYTES)?;
        let probes: Self = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        if probes.schema != Self::SCHEMA {
            return Err(invalid(format!("schema {} is not known", probes.schema)));
        }
        Ok(Some(probes))
    }
}

impl Tried {
    /// Enters what became of it in some partitions; others stay as they are.
    pub(crate) fn enter(&mut self, partitions: impl IntoIterator<Item = TriedPartition>) {
        for partition in partitions {
            self.partitions.retain(|own| own.name != partition.name);
            self.partitions.push(partition);
        }
        self.partitions.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Why images for the machines of this site are not compressed in this way; nothing where it was seen to mount.
    pub(crate) fn against(&self, has_slurm: bool) -> Option<String> {
        if !has_slurm {
            return match self.mounted {
                Some(true) => None,
                Some(false) => Some(format!("zstd does not mount on {}", self.host)),
                None if self.host.is_empty() => Some(UNTRIED.into()),
                None => Some(format!("zstd was not seen to mount: {} has no container runtime", self.host)),
            };
        }
        if self.partitions.is_empty() {
            return Some(UNTRIED_ON_NODES.into());
        }
        let those = |mounted| {
            let of = self.partitions.iter().filter(|one| one.mounted == mounted);
            of.map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (failed, unseen) = (those(Some(false)), those(None));
        match (failed.is_empty(), unseen.is_empty()) {
            (false, _) => Some(format!("zstd does not mount in {failed}")),
            (true, false) => {
                Some(format!("zstd was not seen to mount: the nodes of {unseen} have no container runtime"))
            }
            (true, true) => None,
        }
    }
}

/// A message of a program without what colours it or moves a cursor: sequences of ECMA-48 (`ESC [ ... m`, `ESC ] ... BEL`), and all
/// control characters but the ends of lines.
pub(crate) fn plain(said: &str) -> String {
    let mut text = String::with_capacity(said.len());
    let mut rest = said.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\x1b' {
            text.extend((!c.is_control() || c == '\n').then_some(c));
            continue;
        }
        match rest.peek() {
            Some('[') => {
                rest.next();
                while rest.next_if(|c| ('\x20'..='\x3f').contains(c)).is_some() {}
                rest.next_if(|c| ('\x40'..='\x7e').contains(c));
            }
            // A title or a link, up to its end: a bell or `ESC \`.
            Some(']') => {
                while let Some(c) = rest.next_if(|c| *c != '\n') {
                    if c == '\x07' || (c == '\x1b' && rest.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            _ => drop(rest.next_if(|c| !c.is_control())),
        }
    }
    text
}

/// What is said where nothing is known.
pub(super) const UNTRIED: &str = "zstd was not tried on this machine; bf-admin doctor";
pub(super) const UNTRIED_ON_NODES: &str = "zstd was not tried on compute nodes; bf-admin doctor --compute";

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(name: &str, mounted: impl Into<Option<bool>>) -> TriedPartition {
        TriedPartition { name: name.into(), mounted: mounted.into(), seen_at: "2026-01-01T00:00:00Z".into() }
    }

    #[test]
    fn only_where_it_mounted_everywhere_it_is_used() {
        let mut tried = Tried { host: "login".into(), mounted: Some(true), ..Tried::default() };
        assert_eq!(tried.against(false), None);
        assert_eq!(tried.against(true).as_deref(), Some(UNTRIED_ON_NODES));
        tried.enter([partition("gpu", false), partition("cpu", true)]);
        assert_eq!(tried.against(true).as_deref(), Some("zstd does not mount in gpu"));
        tried.enter([partition("gpu", true)]);
        assert_eq!(tried.against(true), None);
        assert_eq!(tried.partitions.len(), 2);
        tried.mounted = Some(false);
        assert_eq!(tried.against(false).as_deref(), Some("zstd does not mount on login"));
        // Without a container runtime nobody has seen anything.
        (tried.mounted, tried.partitions) = (None, vec![partition("cpu", true), partition("gpu", None)]);
        let said = tried.against(false).unwrap();
        assert_eq!(said, "zstd was not seen to mount: login has no container runtime");
        let said = tried.against(true).unwrap();
        assert_eq!(said, "zstd was not seen to mount: the nodes of gpu have no container runtime");
        assert_eq!(Tried::default().against(false).as_deref(), Some(UNTRIED));
    }

    #[test]
    fn what_colours_a_message_is_not_part_of_it() {
        assert_eq!(plain("\x1b[1;31mFATAL:\x1b[0m   no\x07 zstd\r\nmore"), "FATAL:   no zstd\nmore");
        assert_eq!(plain("\x1b]8;;http://a\x1b\\link\x1b]0;title\x07 end"), "link end");
        // Cut off, at any place, and of words that only look like it.
        assert_eq!(plain("a\x1b"), "a");
        assert_eq!(plain("a\x1b[3"), "a");
        assert_eq!(plain("a\x1b]title\nb"), "a\nb");
        assert_eq!(plain("[0m \u{e4}"), "[0m \u{e4}");
    }

    #[test]
    fn what_is_not_ours_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(Probes::load(&layout), Ok(None));
        let probes = Probes::of(Tried { host: "login".into(), ..Tried::default() });
        fs_err::write(layout.probes(), serde_json::to_vec(&probes).unwrap()).unwrap();
        bf_core::publish::set_mode(&layout.probes(), 0o644).unwrap();
        assert_eq!(Probes::load(&layout), Ok(Some(probes)));
        bf_core::publish::set_mode(&layout.probes(), 0o666).unwrap();
        assert_eq!(Probes::load(&layout).unwrap_err().exit, Exit::Permission);
        bf_core::publish::set_mode(&layout.probes(), 0o644).unwrap();
        for text in ["", "[]", r#"{"schema": 2}"#] {
            fs_err::write(layout.probes(), text).unwrap();
            assert_eq!(Probes::load(&layout).unwrap_err().code, "invalid_probes", "{text}");
        }
    }
}

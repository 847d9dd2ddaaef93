//! Puts Apptainer's files and folders into the tree of an image, whatever the image itself has in their places.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{definition, environment, labels, runscript, scripts};
use crate::report::{Exit, Explain};
use crate::sif::Facts;
use crate::squashfs::{Content, Inode, InodeId, Kind, Meta, Tree};

/// As many links are followed as the kernel follows.
const MAX_LINKS: usize = 40;
/// Folders that a container's mounts need.
const FOLDERS: [&str; 9] = ["dev", "proc", "root", "var", "var/tmp", "tmp", "etc", "sys", "home"];
/// The names at the root, and what they name.
const LINKS: [(&str, &str); 6] = [
    ("singularity", ".singularity.d/runscript"),
    (".run", ".singularity.d/actions/run"),
    (".exec", ".singularity.d/actions/exec"),
    (".test", ".singularity.d/actions/test"),
    (".shell", ".singularity.d/actions/shell"),
    ("environment", ".singularity.d/env/90-environment.sh"),
];

/// Why an image cannot be made ready for Apptainer.
#[derive(Debug, Error)]
pub enum RootError<E: std::error::Error> {
    /// A file's content could not be stored.
    #[error(transparent)]
    Store(E),
    /// Something in the image is where a folder must be.
    #[error("/{path} of the image must be a folder, and it is none")]
    NotAFolder {
        /// The place, from the root.
        path: String,
    },
    /// Its configuration says what no program can be given.
    #[error("the image's configuration has a NUL byte in its {what}")]
    Nul {
        /// The field.
        what: &'static str,
    },
    /// There are more inodes than squashfs can count.
    #[error("the image has more files than a squashfs can hold")]
    TooMany,
}

impl<E: Explain> Explain for RootError<E> {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            _ => "image_refused",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Store(error) => error.exit(),
            _ => Exit::Invalid,
        }
    }
}

/// Makes the tree of an image one that Apptainer can run. `store` takes the content of a small file. What is added belongs to root, with
/// the image's time.
///
/// Links in the image are followed as in a container: never out of its root. `/.singularity.d` is Apptainer's, so a link or file there gives
/// way to a folder, and other files in it stay. `/etc/hosts` and `/etc/resolv.conf`, over which Apptainer binds the host's,
/// become empty files whatever they were; what a link there named is not touched. Other folders stay as they are.
///
/// # Errors
/// Something that is no folder is in the place of one, an error of `store`, too many inodes, or a NUL byte in the configuration.
pub fn install<E: std::error::Error>(
    tree: &mut Tree,
    facts: &Facts,
    store: &mut dyn FnMut(&[u8]) -> Result<Content, E>,
) -> Result<(), RootError<E>> {
    let run = &facts.run;
    for (what, texts) in [("ENV", &run.env), ("ENTRYPOINT", &run.entrypoint), ("CMD", &run.cmd)] {
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(RootError::Nul { what });
        }
    }
    let time = u32::try_from(facts.created.max(0)).unwrap_or(u32::MAX);
    let mut root = Root { tree, time, store };

    for path in FOLDERS {
        root.folder(path)?;
    }
    let etc = root.folder("etc")?;
    for name in ["hosts", "resolv.conf"] {
        root.file(etc, name, 0o644, "")?;
    }

    let top = root.tree.root();
    let own = root.own_folder(top, ".singularity.d")?;
    root.own_folder(own, "libs")?;
    let actions = root.own_folder(own, "actions")?;
    for (name, text) in scripts::actions() {
        root.file(actions, name, 0o755, &text)?;
    }
    let env = root.own_folder(own, "env")?;
    for (name, text) in [
        ("01-base.sh", scripts::BASE),
        ("10-docker2singularity.sh", &environment::script(&run.env)),
        ("90-environment.sh", scripts::ENVIRONMENT),
        ("95-apps.sh", scripts::APPS),
        ("99-base.sh", scripts::LIBRARIES),
        ("99-runtimevars.sh", scripts::RUNTIME),
    ] {
        root.file(env, name, 0o755, text)?;
    }
    root.file(own, "Singularity", 0o644, &definition(facts))?;
    // A map of strings is always JSON.
    let labels = serde_json::to_string_pretty(&labels(facts)).unwrap_or_default();
    root.file(own, "labels.json", 0o644, &(labels + "\n"))?;
    root.file(own, "runscript", 0o755, &runscript(run))?;
    root.file(own, "startscript", 0o755, scripts::STARTSCRIPT)?;

    for (name, target) in LINKS {
        if root.tree.child(top, name.as_bytes()).is_none() {
            let link = root.add(0o777, Kind::Symlink(target.into()))?;
            root.tree.link(top, name, link);
        }
    }
    Ok(())
}

struct Root<'t, 's, E> {
    tree: &'t mut Tree,
    time: u32,
    store: &'s mut dyn FnMut(&[u8]) -> Result<Content, E>,
}

impl<E: std::error::Error> Root<'_, '_, E> {
    fn meta(&self, mode: u16) -> Meta {
        Meta { mode, mtime: self.time, ..Meta::default() }
    }

    fn add(&mut self, mode: u16, kind: Kind) -> Result<InodeId, RootError<E>> {
        let meta = self.meta(mode);
        self.tree.add(Inode { meta, kind }).map_err(|_| RootError::TooMany)
    }

    /// A new file in the place of what had its name, which may have others.
    fn file(&mut self, parent: InodeId, name: &str, mode: u16, text: &str) -> Result<(), RootError<E>> {
        let content = (self.store)(text.as_bytes()).map_err(RootError::Store)?;
        let file = self.add(mode, Kind::File(content))?;
        self.tree.link(parent, name, file);
        Ok(())
    }

    /// A folder that is ours: one that is there becomes root's and readable, and what is no folder gives way.
    fn own_folder(&mut self, parent: InodeId, name: &str) -> Result<InodeId, RootError<E>> {
        if let Some(id) = self.tree.child(parent, name.as_bytes()) {
            let meta = self.meta(0o755);
            let inode = self.tree.inode_mut(id);
            if matches!(inode.kind, Kind::Directory(_)) {
                inode.meta = meta;
                return Ok(id);
            }
        }
        let id = self.add(0o755, Kind::Directory(BTreeMap::new()))?;
        self.tree.link(parent, name, id);
        Ok(id)
    }

    /// The folder at `path`, as a process in the container would find it; made where it is missing, at the end of a link as well.
    fn folder(&mut self, path: &str) -> Result<InodeId, RootError<E>> {
        let none = || RootError::NotAFolder { path: path.to_owned() };
        let top = self.tree.root();
        let mut above = vec![top];
        // What is still to be walked, the next part last.
        let mut parts: Vec<Vec<u8>> = split(path.as_bytes());
        let mut links = 0;
        while let Some(part) = parts.pop() {
            let here = above.last().copied().unwrap_or(top);
            if part == b".." {
                // The root is its own parent.
                if above.len() > 1 {
                    above.pop();
                }
                continue;
            }
            let Some(id) = self.tree.child(here, &part) else {
                let id = self.add(0o755, Kind::Directory(BTreeMap::new()))?;
                self.tree.link(here, part, id);
                above.push(id);
                continue;
            };
            match &self.tree.inode(id).kind {
                Kind::Directory(_) => above.push(id),
                Kind::Symlink(target) if links < MAX_LINKS => {
                    links += 1;
                    if target.starts_with(b"/") {
                        above.truncate(1);
                    }
                    parts.extend(split(target));
                }
                _ => return Err(none()),
            }
        }
        Ok(above.last().copied().unwrap_or(top))
    }
}

/// The parts of a path, the last one first.
fn split(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

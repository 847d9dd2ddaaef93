//! Layers applied the plain way: one after the other, entry by entry, to a map from whole paths without links to things.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Listing, Tar};

/// What an entry does, with paths as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Folder(String, u16),
    File(String),
    Symlink(String, String),
    Hard(String, String),
    Fifo(String),
    Gone(String),
    Opaque(String),
}

type Path = Vec<String>;

#[derive(Debug, Clone)]
enum Thing {
    Folder(u16),
    Link(String),
    Other(String),
}

#[derive(Debug, Default, Clone)]
pub(super) struct Oracle {
    names: BTreeMap<Path, usize>,
    things: Vec<Thing>,
    made: BTreeSet<Path>,
}

/// Why a deed cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum No {
    Loop,
    Missing,
    Folder,
}

fn split(path: &str) -> Path {
    path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Oracle {
    pub(super) fn next_layer(&mut self) {
        self.made.clear();
    }

    fn thing(&self, path: &Path) -> Option<&Thing> {
        self.names.get(path).map(|number| &self.things[*number])
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_empty() || matches!(self.thing(path), Some(Thing::Folder(_)))
    }

    fn real(&self, path: &[String]) -> Result<Path, No> {
        let (mut out, mut links) = (Path::new(), 0);
        let mut todo: VecDeque<String> = path.iter().cloned().collect();
        while let Some(part) = todo.pop_front() {
            match part.as_str() {
                "" | "." => {}
                ".." => drop(out.pop()),
                _ => {
                    out.push(part);
                    if let Some(Thing::Link(text)) = self.thing(&out) {
                        links += 1;
                        if links > 255 {
                            return Err(No::Loop);
                        }
                        out.pop();
                        if text.starts_with('/') {
                            out.clear();
                        }
                        for part in text.split('/').rev() {
                            todo.push_front(part.to_owned());
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    fn remove(&mut self, path: &Path) {
        self.names.retain(|name, _| !name.starts_with(path));
    }

    fn put(&mut self, path: Path, thing: Thing) {
        self.things.push(thing);
        self.names.insert(path, self.things.len() - 1);
    }

    fn parents(&mut self, folder: &[String]) {
        for length in 1..=folder.len() {
            let path = folder[..length].to_vec();
            if !self.is_folder(&path) {
                self.remove(&path);
                self.put(path.clone(), Thing::Folder(0o755));
            }
            self.made.insert(path);
        }
    }

    fn delete(&mut self, top: &Path, itself: bool) {
        let below: Vec<Path> = self
            .names
            .keys()
            .filter(|path| path.starts_with(top) && (itself || *path != top))
            .cloned()
            .collect();
        for path in below {
            if !self.made.contains(&path) {
                self.remove(&path);
            }
        }
    }

    /// Does it. The content of a file is `text`.
    pub(super) fn act(&mut self, deed: &Deed, text: &str) -> Result<(), No> {
        let (Deed::Folder(path, _)
        | Deed::File(path)
        | Deed::Symlink(path, _)
        | Deed::Hard(path, _)
        | Deed::Fifo(path)
        | Deed::Gone(path)
        | Deed::Opaque(path)) = deed;
        let path = split(path);
        if let Deed::Opaque(_) = deed {
            let folder = self.real(&path)?;
            self.delete(&folder, false);
            return Ok(());
        }
        let (last, folder) = path.split_last().expect("the root is in no test");
        let folder = self.real(folder)?;
        let mut place = folder.clone();
        place.push(last.clone());
        if let Deed::Gone(_) = deed {
            self.delete(&place, true);
            return Ok(());
        }
        self.parents(&folder);
        if let (Deed::Folder(_, mode), true) = (deed, self.is_folder(&place)) {
            let number = self.names[&place];
            self.things[number] = Thing::Folder(*mode);
            self.made.insert(place);
            return Ok(());
        }
        self.remove(&place);
        match deed {
            Deed::Folder(_, mode) => self.put(place.clone(), Thing::Folder(*mode)),
            Deed::File(_) => self.put(place.clone(), Thing::Other(format!("file {text} 644"))),
            Deed::Symlink(_, target) => self.put(place.clone(), Thing::Link(target.clone())),
            Deed::Fifo(_) => self.put(place.clone(), Thing::Other("Fifo 644".into())),
            Deed::Hard(_, target) => {
                let target = split(target);
                let (last, folder) = target.split_last().expect("the root is in no test");
                let mut target = self.real(folder)?;
                target.push(last.clone());
                if self.is_folder(&target) {
                    return Err(No::Folder);
                }
                let number = *self.names.get(&target).ok_or(No::Missing)?;
                self.names.insert(place.clone(), number);
            }
            Deed::Gone(_) | Deed::Opaque(_) => {}
        }
        self.made.insert(place);
        Ok(())
    }

    pub(super) fn listing(&self) -> Listing {
        let mut least: BTreeMap<usize, String> = BTreeMap::new();
        let mut all = Listing::from([(String::new(), ("folder 755".into(), String::new()))]);
        let text = |path: &Path| format!("/{}", path.join("/"));
        for (path, number) in &self.names {
            let path = text(path);
            let name = least.entry(*number).or_insert_with(|| path.clone());
            *name = name.clone().min(path);
        }
        for (path, number) in &self.names {
            let what = match &self.things[*number] {
                Thing::Folder(mode) => format!("folder {mode:o}"),
                Thing::Link(target) => format!("-> {target} 777"),
                Thing::Other(what) => what.clone(),
            };
            all.insert(text(path), (what, least[number].clone()));
        }
        all
    }
}

/// The same as a tar's entry.
pub(super) fn write(tar: Tar, deed: &Deed, text: &str) -> Tar {
    match deed {
        Deed::Folder(path, mode) => tar.folder(path, *mode),
        Deed::File(path) => tar.file(path, text),
        Deed::Symlink(path, target) => tar.symlink(path, target),
        Deed::Hard(path, target) => tar.hard(path, target),
        Deed::Fifo(path) => tar.head(super::build::Head::new(path, b'6', 0)),
        Deed::Gone(path) => tar.gone(path),
        Deed::Opaque(path) => tar.opaque(path),
    }
}

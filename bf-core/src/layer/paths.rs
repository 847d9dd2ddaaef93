//! Names and paths as numbers: each name, and each path, is in memory once, however many layers have it.

use std::collections::HashMap;
use std::rc::Rc;

/// The path of the root.
pub(super) const ROOT: u32 = 0;

/// All names and paths of an image.
#[derive(Debug)]
pub(super) struct Paths {
    names: Vec<Rc<[u8]>>,
    numbers: HashMap<Rc<[u8]>, u32>,
    /// The folder, and the name in it.
    nodes: Vec<(u32, u32)>,
    index: HashMap<(u32, u32), u32>,
    bytes: u64,
}

impl Paths {
    pub(super) fn new() -> Self {
        let empty: Rc<[u8]> = Rc::from(&b""[..]);
        Self {
            names: vec![Rc::clone(&empty)],
            numbers: HashMap::from([(empty, 0)]),
            nodes: vec![(ROOT, 0)],
            index: HashMap::new(),
            bytes: 0,
        }
    }

    /// Gives the memory back that only new names and paths need: there will be none.
    pub(super) fn close(&mut self) {
        self.numbers = HashMap::new();
        self.index = HashMap::new();
        self.nodes = Vec::new();
    }

    /// How many paths there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many bytes the different names have.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn name(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name: Rc<[u8]> = Rc::from(name);
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.bytes += name.len() as u64;
        self.names.push(Rc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    pub(super) fn text(&self, name: u32) -> &[u8] {
        self.names.get(name as usize).map_or(b"", |name| name)
    }

    /// The path of these parts.
    pub(super) fn path(&mut self, parts: &[&[u8]]) -> u32 {
        parts.iter().fold(ROOT, |folder, part| {
            let name = self.name(part);
            *self.index.entry((folder, name)).or_insert_with(|| {
                self.nodes.push((folder, name));
                u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
            })
        })
    }

    /// The folder that a path is in; the root is in itself.
    pub(super) fn parent(&self, path: u32) -> u32 {
        self.nodes.get(path as usize).map_or(ROOT, |(parent, _)| *parent)
    }

    /// The path and all that lead to it, from the root's child on.
    pub(super) fn chain(&self, mut path: u32) -> Vec<u32> {
        let mut chain = Vec::new();
        while path != ROOT {
            chain.push(path);
            path = self.parent(path);
        }
        chain.reverse();
        chain
    }

    /// The names of a path's parts.
    pub(super) fn parts(&self, mut path: u32) -> Vec<u32> {
        let mut parts = Vec::new();
        while path != ROOT {
            let (parent, name) = self.nodes.get(path as usize).copied().unwrap_or((ROOT, 0));
            parts.push(name);
            path = parent;
        }
        parts.reverse();
        parts
    }

    /// A path as text, for messages.
    pub(super) fn shown(&self, path: u32) -> String {
        let parts: Vec<&[u8]> = self.parts(path).into_iter().map(|name| self.text(name)).collect();
        super::error::shown(&parts.join(&b'/'))
    }
}

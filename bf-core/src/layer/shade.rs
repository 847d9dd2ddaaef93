//! What upper layers hide, by the names in their tars, so that it need not be compressed.
//!
//! This is a guess that is nearly always right, and it never decides what an image is: that [`replay`](super::replay) does, which
//! knows where symbolic links lead. Wrong in one direction it costs a file that is written in vain, in the other a second reading of
//! a layer. Where lower layers could still turn a folder on the way into a link, and an upper layer has something to say of
//! that folder, a file counts as seen.

use super::paths::{Paths, ROOT};

/// An upper layer has a folder here.
const FOLDER: u8 = 1;
/// An upper layer has something else here, or deletes what is here.
const CUT: u8 = 2;
/// An upper layer has something in here.
const IMPLIED: u8 = 4;
/// An upper layer deletes all that is in here.
const OPAQUE: u8 = 8;
/// An upper layer has a hard link to this, and does not have it itself.
const WANTED: u8 = 16;
/// The present layer has a thing of this name.
const PRESENT: u8 = 32;

#[derive(Debug, Clone, Copy, Default)]
struct Shade {
    /// What the layers above say.
    upper: u8,
    /// What the present layer says, with the same flags.
    here: u8,
}

/// What is hidden from the layer that is read.
#[derive(Debug, Default)]
pub(super) struct Shades {
    shades: Vec<Shade>,
    /// Paths of which the present layer says something.
    touched: Vec<u32>,
    /// Targets of its hard links that it does not have.
    wanted: Vec<u32>,
}

impl Shades {
    fn get(&self, path: u32) -> Shade {
        self.shades.get(path as usize).copied().unwrap_or_default()
    }

    fn here(&mut self, path: u32) -> &mut u8 {
        let at = path as usize;
        if at >= self.shades.len() {
            self.shades.resize(at + 1, Shade::default());
        }
        if self.shades[at].here == 0 {
            self.touched.push(path);
        }
        &mut self.shades[at].here
    }

    /// The present layer has something here. What comes later in a tar counts.
    pub(super) fn present(&mut self, paths: &Paths, path: u32, folder: bool) {
        let here = self.here(path);
        *here = *here & !(FOLDER | PRESENT) | PRESENT | if folder { FOLDER } else { 0 };
        let mut parent = paths.parent(path);
        while parent != ROOT && self.get(parent).here & IMPLIED == 0 {
            *self.here(parent) |= IMPLIED;
            parent = paths.parent(parent);
        }
    }

    pub(super) fn whiteout(&mut self, path: u32) {
        *self.here(path) |= CUT;
    }

    pub(super) fn opaque(&mut self, path: u32) {
        *self.here(path) |= OPAQUE;
    }

    /// The present layer has a hard link to this.
    pub(super) fn link(&mut self, target: u32) {
        if self.get(target).here & PRESENT == 0 {
            self.wanted.push(target);
        }
    }

    /// Whether what the present layer has here will not be seen.
    pub(super) fn hidden(&self, paths: &Paths, path: u32, lowest: bool) -> bool {
        let this = self.get(path);
        if this.upper & WANTED != 0 {
            return false;
        }
        if self.get(ROOT).upper & OPAQUE != 0 {
            return true;
        }
        for folder in paths.chain(paths.parent(path)) {
            let shade = self.get(folder);
            let unsaid = shade.here & (PRESENT | FOLDER) == 0;
            // What the layer does not say to be a folder may be a link of a lower one. That matters only here: above this folder
            // the ways of all layers lead to the same place, unless an upper one has something to say of those, too.
            let may_be_link = shade.here & FOLDER == 0 && !(lowest && unsaid);
            if may_be_link && shade.upper & (FOLDER | CUT) != 0 {
                return false;
            }
            if shade.upper & (CUT | OPAQUE) != 0 {
                return true;
            }
        }
        this.upper & (FOLDER | CUT | IMPLIED) != 0
    }

    /// The present layer is read: it is one of the upper ones from now on.
    pub(super) fn commit(&mut self) {
        for path in self.touched.drain(..) {
            let Some(shade) = self.shades.get_mut(path as usize) else { continue };
            let here = std::mem::take(&mut shade.here);
            shade.upper |= here & (FOLDER | CUT | IMPLIED | OPAQUE);
            if here & (PRESENT | FOLDER) == PRESENT {
                shade.upper |= CUT;
            }
            if here & (PRESENT | CUT) != 0 {
                shade.upper &= !WANTED;
            }
        }
        for path in std::mem::take(&mut self.wanted) {
            // `here` makes room for it, and is empty again afterwards.
            let _ = self.here(path);
            self.shades[path as usize].upper |= WANTED;
        }
        self.touched.clear();
    }
}

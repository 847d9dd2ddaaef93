//! Everything behind the data: inodes, folders, fragments, owners, attributes, and the superblock at last.

use std::collections::HashMap;

use super::compress::Compressor;
use super::directory::{Entry, Lister};
use super::inode::{self, Head};
use super::metadata::{Metadata, Place, indexed};
use super::order::Order;
use super::output::Output;
use super::store::Data;
use super::superblock::{SUPERBLOCK, Superblock, compressor_options};
use super::xattr::Xattrs;
use super::{Content, Finished, Inode, InodeId, Kind, Options, SquashfsError, Tree};

/// The longest text of a symbolic link: newer kernels refuse an image's link above a page.
const LONGEST_LINK: usize = 4096;

/// Blocks in the lists of all files, holes counted: 8 TiB, 256 MiB of lists. Hostile images have holes.
const MOST_BLOCKS: u64 = 1 << 26;

/// What has been written of the tables.
struct Tables<'a> {
    tree: &'a Tree,
    data: &'a Data,
    order: Order,
    compressor: Compressor,
    output: Output,
    inodes: Metadata,
    directories: Metadata,
    xattrs: Xattrs,
    ids: Vec<u32>,
    known_ids: HashMap<u32, u16>,
    /// Where inodes are, by their numbers less one.
    places: Vec<Option<Place>>,
    /// Blocks in lists up to here.
    blocks: u64,
}

/// Writes all tables.
pub(super) fn write(
    output: Output,
    data: &Data,
    tree: &Tree,
    options: &Options,
) -> Result<Finished, SquashfsError> {
    let order = Order::of(tree)?;
    let mut tables = Tables {
        tree,
        data,
        compressor: Compressor::new(options.compression)?,
        output,
        inodes: Metadata::new("bytes of inodes"),
        directories: Metadata::new("bytes of folders"),
        xattrs: Xattrs::new(),
        ids: Vec::new(),
        known_ids: HashMap::new(),
        places: vec![None; order.count as usize],
        blocks: 0,
        order,
    };
    let inode_table = tables.output.position();
    // Backwards: entries say where inodes are, so what a folder names comes in front of it.
    for folder in std::mem::take(&mut tables.order.folders).into_iter().rev() {
        tables.folder(folder)?;
    }
    tables.end(inode_table, options)
}

impl Tables<'_> {
    fn place(&self, id: InodeId) -> Option<Place> {
        let at = usize::try_from(self.order.number(id)).ok()?.checked_sub(1)?;
        self.places.get(at).copied()?
    }

    fn unstorable(&self, id: InodeId, reason: &'static str) -> SquashfsError {
        self.order.unstorable(self.tree, id, reason)
    }

    /// Writes what a folder names and the folder itself, when the folders in it are written.
    fn folder(&mut self, folder: InodeId) -> Result<(), SquashfsError> {
        let tree = self.tree;
        let Some(inode @ Inode { kind: Kind::Directory(entries), .. }) = tree.get(folder) else {
            return Ok(());
        };
        for &id in entries.values() {
            if self.place(id).is_none()
                && let Some(inode) = tree.get(id)
            {
                self.other(id, inode)?;
            }
        }
        let mut lister = Lister::new(&mut self.directories, &mut self.compressor)?;
        for (name, &id) in entries {
            let number = self.order.number(id);
            let place = number.checked_sub(1).and_then(|at| self.places.get(at as usize).copied()?);
            let (Some(place), Some(inode)) = (place, tree.get(id)) else { continue };
            lister.add(&Entry { name, inode: place, number, kind: inode::kind(&inode.kind) })?;
        }
        let listing = lister.finish()?;
        // The root is in none, which is said with a number that no inode has.
        let parent = if folder == tree.root() {
            self.order.count + 1
        } else {
            self.order.number(self.order.parent(folder))
        };
        let bytes = self.head(folder, inode)?.directory(&listing, parent);
        let bytes =
            bytes.ok_or_else(|| self.unstorable(folder, "the folder has more than 4 GiB of names"))?;
        self.put(folder, &bytes)
    }

    /// Writes the inode of what is no folder.
    fn other(&mut self, id: InodeId, inode: &Inode) -> Result<(), SquashfsError> {
        let head = self.head(id, inode)?;
        let basic = inode::kind(&inode.kind);
        let bytes = match &inode.kind {
            // Only after what it names.
            Kind::Directory(_) => return Ok(()),
            Kind::File(content) => return self.file(id, *content, &head),
            Kind::Symlink(text) if text.len() > LONGEST_LINK => {
                return Err(self.unstorable(id, "the symbolic link has more than 4096 bytes"));
            }
            Kind::Symlink(text) => head.symlink(text),
            Kind::Block(major, minor) | Kind::Character(major, minor) => {
                head.device(basic, *major, *minor)
                    .ok_or_else(|| self.unstorable(id, "the device's number is larger than Linux has them"))?
            }
            Kind::Fifo | Kind::Socket => head.pipe(basic),
        };
        self.put(id, &bytes)
    }

    fn file(&mut self, id: InodeId, content: Content, head: &Head) -> Result<(), SquashfsError> {
        let data = self.data;
        let Some(stored) = data.files.get(content.0 as usize) else {
            return Err(self.unstorable(id, "its content was not given to this writer"));
        };
        let blocks = data.blocks(stored);
        self.put(id, &head.file(stored, blocks))?;
        let Some(blocks) = blocks else { return Ok(()) };
        for run in data.runs(blocks) {
            self.blocks += u64::from(run.count);
            if self.blocks > MOST_BLOCKS {
                return Err(self.unstorable(id, "the image's files have more than 8 TiB, counting holes"));
            }
            for _ in 0..run.count {
                self.inodes.write(&run.size.to_le_bytes(), &mut self.compressor)?;
            }
            self.inodes.drain_some(&mut self.output)?;
        }
        Ok(())
    }

    fn head(&mut self, id: InodeId, inode: &Inode) -> Result<Head, SquashfsError> {
        let meta = &inode.meta;
        if meta.mode > 0o7777 {
            return Err(self.unstorable(id, "its mode has more than twelve bits"));
        }
        let (order, tree) = (&self.order, self.tree);
        Ok(Head {
            mode: meta.mode,
            uid: owner(meta.uid, &mut self.ids, &mut self.known_ids)?,
            gid: owner(meta.gid, &mut self.ids, &mut self.known_ids)?,
            mtime: meta.mtime,
            number: order.number(id),
            links: order.links(id),
            xattrs: self.xattrs.add(&meta.xattrs, &mut self.compressor, || order.path(tree, id))?,
        })
    }

    /// Writes an inode and notes where it is.
    fn put(&mut self, id: InodeId, bytes: &[u8]) -> Result<(), SquashfsError> {
        let place = self.inodes.place()?;
        let at = self.order.number(id).checked_sub(1);
        if let Some(noted) = at.and_then(|at| self.places.get_mut(at as usize)) {
            *noted = Some(place);
        }
        self.inodes.write(bytes, &mut self.compressor)?;
        self.inodes.drain_some(&mut self.output)
    }

    /// Writes the tables that come behind the inodes, in the order in which the kernel expects them.
    fn end(self, inode_table: u64, options: &Options) -> Result<Finished, SquashfsError> {
        let root = self.place(self.tree.root()).unwrap_or_default().reference();
        let Self {
            data, order, mut compressor, mut output, inodes, directories, xattrs, ids, places, ..
        } = self;
        inodes.finish(&mut output, &mut compressor)?;
        let directory_table = output.position();
        directories.finish(&mut output, &mut compressor)?;
        let fragments = data.fragments.iter().map(|(start, size)| {
            let mut entry = [0; 16];
            let fields = start.to_le_bytes().into_iter().chain(size.to_le_bytes());
            entry.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
            entry
        });
        let fragment_table = indexed(&[], fragments, &mut output, &mut compressor)?;
        let export = places.iter().map(|place| place.unwrap_or_default().reference().to_le_bytes());
        let export_table = indexed(&[], export, &mut output, &mut compressor)?;
        let id_table = indexed(&[], ids.iter().map(|id| id.to_le_bytes()), &mut output, &mut compressor)?;
        let xattr_table = xattrs.finish(&mut output, &mut compressor)?;
        // Both were counted within their limits before.
        let fragments = u32::try_from(data.fragments.len()).unwrap_or(0);
        let superblock = Superblock {
            compression: options.compression,
            mtime: options.mtime,
            inodes: order.count,
            fragments,
            ids: u16::try_from(ids.len()).unwrap_or(0),
            root,
            bytes: output.position(),
            id_table,
            xattr_table,
            inode_table,
            directory_table,
            fragment_table,
            export_table,
        };
        output.write_at(0, &superblock.encode())?;
        output.write_at(SUPERBLOCK, &compressor_options(options.compression))?;
        let (file, bytes) = output.finish()?;
        Ok(Finished { file, bytes, inodes: order.count, fragments, duplicates: data.duplicates })
    }
}

/// The place of an owner or a group in the table of both.
fn owner(id: u32, ids: &mut Vec<u32>, known: &mut HashMap<u32, u16>) -> Result<u16, SquashfsError> {
    if let Some(&place) = known.get(&id) {
        return Ok(place);
    }
    let place = u16::try_from(ids.len()).ok().filter(|&place| place < u16::MAX);
    let place = place.ok_or(SquashfsError::TooMany { what: "owners and groups", limit: 65535 })?;
    ids.push(id);
    known.insert(id, place);
    Ok(place)
}

//! A writer of tar archives that can write what other writers would refuse: POSIX.1-1988 and 2001 (ustar, pax) and the formats of
//! GNU tar, as `tar(5)` and the GNU tar manual ("Basic Tar Format", "Sparse Formats") lay them out.

use std::io::{Result, Write};

use super::content::Content;
use super::item::{Format, Item, Layer, What};

const BLOCK: usize = 512;

/// Writes a whole archive: the entries, and two blocks of zeros.
pub(super) fn write(layer: &Layer, out: &mut dyn Write) -> Result<()> {
    layer.0.iter().try_for_each(|item| entry(item, out))?;
    out.write_all(&[0; 2 * BLOCK])
}

/// A header of that type and length alone, for archives that nobody should write.
pub fn tar_header(kind: u8, name: &[u8], size: u64) -> [u8; BLOCK] {
    block(&Header { size, gnu: true, ..plain(name, kind, 0) })
}

/// What a header block says.
struct Header<'a> {
    name: &'a [u8],
    kind: u8,
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: i64,
    link: &'a [u8],
    device: (u32, u32),
    gnu: bool,
}

fn entry(item: &Item, out: &mut dyn Write) -> Result<()> {
    let mut name = item.path.clone();
    if matches!(item.what, What::Folder) && !name.ends_with(b"/") {
        name.push(b'/');
    }
    let (kind, link, device, size) = match &item.what {
        What::File(content) => (b'0', &[][..], (0, 0), content.len()),
        What::Folder => (b'5', &[][..], (0, 0), 0),
        What::Symlink(text) => (b'2', text.as_slice(), (0, 0), 0),
        What::HardLink(target) => (b'1', target.as_slice(), (0, 0), 0),
        What::Character(major, minor) => (b'3', &[][..], (*major, *minor), 0),
        What::Block(major, minor) => (b'4', &[][..], (*major, *minor), 0),
        What::Fifo => (b'6', &[][..], (0, 0), 0),
    };
    let meta = &item.meta;
    let mut header = Header {
        name: &name,
        kind,
        mode: meta.mode,
        uid: meta.uid.into(),
        gid: meta.gid.into(),
        size,
        mtime: meta.mtime,
        link,
        device,
        gnu: item.format == Format::Gnu,
    };
    let mut records = Vec::new();
    for (name, value) in &meta.xattrs {
        records.push(record(&[b"SCHILY.xattr.", name.as_slice()].concat(), value));
    }
    let sparse = match &item.what {
        What::File(Content::Sparse { bytes, pieces }) => Some((*bytes, pieces.as_slice())),
        _ => None,
    };
    if item.format == Format::Gnu {
        extended(b'x', &records, meta.mtime, out)?;
        if name.len() > 100 {
            long(b'L', &name, out)?;
        }
        if link.len() > 100 {
            long(b'K', link, out)?;
        }
        return match sparse {
            Some((bytes, pieces)) => old_sparse(&mut header, bytes, pieces, out),
            None => whole(&header, item, out),
        };
    }
    if item.format == Format::Pax && meta.nanos > 0 {
        records.push(record(b"mtime", format!("{}.{:09}", meta.mtime, meta.nanos).as_bytes()));
    }
    if let (Some((bytes, pieces)), Format::Pax) = (sparse, item.format) {
        return new_sparse(&mut header, records, (bytes, pieces), out);
    }
    if split(&name).is_none() || !name.is_ascii() {
        records.push(record(b"path", &name));
    }
    if link.len() > 100 {
        records.push(record(b"linkpath", link));
    }
    for (key, value, most) in
        [("uid", header.uid, 0o777_7777), ("gid", header.gid, 0o777_7777), ("size", size, 0o777_7777_7777)]
    {
        if value > most {
            records.push(record(key.as_bytes(), value.to_string().as_bytes()));
        }
    }
    extended(b'x', &records, meta.mtime, out)?;
    whole(&header, item, out)
}

fn whole(header: &Header<'_>, item: &Item, out: &mut dyn Write) -> Result<()> {
    out.write_all(&block(header))?;
    if let What::File(content) = &item.what {
        content.write_to(out)?;
        pad(content.len(), out)?;
    }
    Ok(())
}

/// One record of an extended header: its length counts its own digits.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

fn extended(kind: u8, records: &[Vec<u8>], mtime: i64, out: &mut dyn Write) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let body = records.concat();
    let header = Header { mtime, ..plain(b"PaxHeaders/x", kind, body.len()) };
    out.write_all(&block(&header))?;
    out.write_all(&body)?;
    pad(body.len() as u64, out)
}

/// GNU's name for what follows.
fn long(kind: u8, name: &[u8], out: &mut dyn Write) -> Result<()> {
    out.write_all(&block(&Header { gnu: true, ..plain(b"././@LongLink", kind, name.len() + 1) }))?;
    out.write_all(name)?;
    out.write_all(&[0])?;
    pad(name.len() as u64 + 1, out)
}

fn plain(name: &[u8], kind: u8, size: usize) -> Header<'_> {
    let size = size as u64;
    Header { name, kind, mode: 0o644, uid: 0, gid: 0, size, mtime: 0, link: b"", device: (0, 0), gnu: false }
}

/// Offsets and lengths, with the end as a last one where nothing else is there.
fn map(bytes: u64, pieces: &[(u64, Vec<u8>)]) -> Vec<(u64, u64)> {
    // GNU tar begins each piece at a block, other readers take them as one stream: only so they mean the same.
    let (_, but_last) = pieces.split_last().unwrap_or((&(0, Vec::new()), &[]));
    assert!(but_last.iter().all(|(_, piece)| piece.len().is_multiple_of(BLOCK)), "pieces are whole blocks");
    let mut map: Vec<(u64, u64)> = pieces.iter().map(|(at, piece)| (*at, piece.len() as u64)).collect();
    if map.last().is_none_or(|(at, length)| at + length < bytes) {
        map.push((bytes, 0));
    }
    map
}

fn pieces_of(pieces: &[(u64, Vec<u8>)], out: &mut dyn Write) -> Result<u64> {
    pieces.iter().try_for_each(|(_, piece)| out.write_all(piece))?;
    Ok(pieces.iter().map(|(_, piece)| piece.len() as u64).sum())
}

/// The old GNU format: four pieces in the header, twenty-one in each further block.
fn old_sparse(
    header: &mut Header<'_>,
    bytes: u64,
    pieces: &[(u64, Vec<u8>)],
    out: &mut dyn Write,
) -> Result<()> {
    let map = map(bytes, pieces);
    (header.kind, header.size) = (b'S', pieces.iter().map(|(_, piece)| piece.len() as u64).sum());
    let mut first = block(header);
    let (here, further) = map.split_at(map.len().min(4));
    put_map(&mut first[386..], here);
    first[482] = u8::from(!further.is_empty());
    number(&mut first[483..495], bytes, true);
    checksum(&mut first);
    out.write_all(&first)?;
    let blocks: Vec<_> = further.chunks(21).collect();
    for (index, pieces) in blocks.iter().enumerate() {
        let mut block = [0; BLOCK];
        put_map(&mut block, pieces);
        block[504] = u8::from(index + 1 < blocks.len());
        out.write_all(&block)?;
    }
    let written = pieces_of(pieces, out)?;
    pad(written, out)
}

fn put_map(to: &mut [u8], map: &[(u64, u64)]) {
    for (cell, (at, length)) in to.chunks_exact_mut(24).zip(map) {
        number(&mut cell[..12], *at, true);
        number(&mut cell[12..24], *length, true);
    }
}

/// GNU's format 1.0, for pax: the map as decimal lines before the data.
fn new_sparse(
    header: &mut Header<'_>,
    mut records: Vec<Vec<u8>>,
    (bytes, pieces): (u64, &[(u64, Vec<u8>)]),
    out: &mut dyn Write,
) -> Result<()> {
    let map = map(bytes, pieces);
    let mut text = format!("{}\n", map.len());
    for (at, length) in &map {
        text.extend([at.to_string(), "\n".into(), length.to_string(), "\n".into()]);
    }
    let mut text = text.into_bytes();
    text.resize(text.len().next_multiple_of(BLOCK), 0);
    let name = header.name.to_vec();
    for (key, value) in [("major", b"1".to_vec()), ("minor", b"0".to_vec()), ("name", name)] {
        records.push(record(format!("GNU.sparse.{key}").as_bytes(), &value));
    }
    records.push(record(b"GNU.sparse.realsize", bytes.to_string().as_bytes()));
    extended(b'x', &records, header.mtime, out)?;
    header.name = b"GNUSparseFile.0/sparse";
    header.size = text.len() as u64 + pieces.iter().map(|(_, piece)| piece.len() as u64).sum::<u64>();
    out.write_all(&block(header))?;
    out.write_all(&text)?;
    let written = pieces_of(pieces, out)?;
    pad(written, out)
}

/// A name in the two fields of ustar: prefix and name. Nothing where it does not fit.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((b"", name));
    }
    let fits = |slash: &usize| {
        *slash <= 155 && name.len() - slash - 1 <= 100 && *slash > 0 && name.len() - slash > 1
    };
    let slash = (0..name.len()).filter(|at| name[*at] == b'/').find(fits)?;
    Some((&name[..slash], &name[slash + 1..]))
}

fn block(header: &Header<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let cut = |name: &[u8]| name[..name.len().min(100)].to_vec();
    let (prefix, name) = match (header.gnu, split(header.name)) {
        (false, Some((prefix, name))) => (prefix, name.to_vec()),
        // What is cut off is said elsewhere.
        _ => (&[][..], cut(header.name)),
    };
    block[..name.len()].copy_from_slice(&name);
    number(&mut block[100..108], header.mode.into(), header.gnu);
    number(&mut block[108..116], header.uid, header.gnu);
    number(&mut block[116..124], header.gid, header.gnu);
    number(&mut block[124..136], header.size, header.gnu);
    number(&mut block[136..148], u64::try_from(header.mtime).unwrap_or(0), header.gnu);
    block[156] = header.kind;
    let link = cut(header.link);
    block[157..157 + link.len()].copy_from_slice(&link);
    block[257..265].copy_from_slice(if header.gnu { b"ustar  \0" } else { b"ustar\x0000" });
    number(&mut block[329..337], header.device.0.into(), header.gnu);
    number(&mut block[337..345], header.device.1.into(), header.gnu);
    block[345..345 + prefix.len()].copy_from_slice(prefix);
    checksum(&mut block);
    block
}

fn checksum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Octal with a NUL; what has no room is binary (GNU), or 0 and said elsewhere.
fn number(field: &mut [u8], value: u64, binary: bool) {
    let digits = field.len() - 1;
    let fits = digits * 3 >= 64 || value >> (digits * 3) == 0;
    if fits {
        field.copy_from_slice(format!("{value:0digits$o}\0").as_bytes());
    } else if binary {
        let length = field.len();
        field.fill(0);
        let bytes = value.to_be_bytes();
        let room = length.min(8);
        field[length - room..].copy_from_slice(&bytes[8 - room..]);
        field[0] |= 0x80;
    } else {
        field.copy_from_slice(format!("{:0digits$o}\0", 0).as_bytes());
    }
}

fn pad(written: u64, out: &mut dyn Write) -> Result<()> {
    let rest = usize::try_from(written % BLOCK as u64).expect("less than a block");
    out.write_all(&[0; BLOCK][..(BLOCK - rest) % BLOCK])
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::features::{Hard, features};
    use super::super::tree::ImageTree;
    use super::super::{Kind, expected};
    use super::*;

    #[test]
    fn gnu_tar_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = |item: &Item| {
            let named = |what: &str| item.path.starts_with(what.as_bytes());
            let special = matches!(item.what, What::Character(..) | What::Block(..));
            (named("odd") || named("links")) && !special && !named("links/lower")
        };
        let image = features(Hard { huge: false, old_sparse: true });
        // Those without markers.
        let both = [&image.layers[2], &image.layers[5]];
        let layer =
            Layer(both.iter().flat_map(|layer| &layer.0).filter(|item| wanted(item)).cloned().collect());
        let mut bytes = Vec::new();
        write(&layer, &mut bytes).unwrap();
        let archive = folder.path().join("layer.tar");
        fs_err::write(&archive, bytes).unwrap();
        let to = folder.path().join("tree");
        fs_err::create_dir(&to).unwrap();
        let options = ["--extract", "--no-same-owner", "--preserve-permissions", "--keep-directory-symlink"];
        let done =
            Command::new("tar").args(options).arg("-C").arg(&to).arg("-f").arg(&archive).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let found = ImageTree::of(&to);
        for (path, entry) in expected(&[layer]).0 {
            let other = found.0.get(&path).unwrap_or_else(|| panic!("no {}", path.escape_ascii()));
            let seen = |one: &super::super::ImageEntry| {
                (one.kind, one.bytes, one.sum, one.link.clone(), one.group.clone())
            };
            assert_eq!(seen(&entry), seen(other), "{}", path.escape_ascii());
            // It changes some times again: of links, and of folders that it comes back to.
            if entry.kind != Kind::Symlink && entry.kind != Kind::Folder {
                assert_eq!((entry.mode, entry.mtime), (other.mode, other.mtime), "{}", path.escape_ascii());
            }
        }
    }
}

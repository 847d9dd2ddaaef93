//! What must be refused, and what must not take for ever or all memory.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::build::Head;
use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}

fn one(stored: Vec<u8>, tar: &[u8]) -> Result<(Merged, Memory), LayerError> {
    apply_with(&mut Stored(vec![(stored, diff_id(tar))]), &Limits::default())
}

fn small() -> Vec<u8> {
    let text = "text ".repeat(1000);
    Tar::new().folder("d", 0o755).file("d/f", &text).pax(&[("path", b"long")]).file("x", "y").end()
}

#[test]
fn every_compression_is_known_by_its_bytes() {
    let tar = small();
    let (half, rest) = tar.split_at(1234);
    for stored in [
        tar.clone(),
        gzip(&tar),
        zstd(&tar),
        [gzip(half), gzip(rest)].concat(),
        [zstd(half), zstd(rest)].concat(),
        [b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(&tar)].concat(),
    ] {
        let (merged, memory) = one(stored, &tar).unwrap();
        assert_eq!(lines_of(&listing(&merged, &memory)).len(), 3);
        assert_eq!(merged.unpacked, tar.len() as u64);
    }
    for (magic, name) in [(&b"\xfd7zXZ\0\0\0\0\0\0"[..], "xz"), (b"BZh91AY&SY..", "bzip2")] {
        assert!(one(magic.to_vec(), b"").unwrap_err().to_string().contains(name));
    }
}

#[test]
fn what_is_behind_the_compressed_bytes_or_missing_of_them_is_an_error() {
    let tar = small();
    for whole in [gzip(&tar), zstd(&tar)] {
        let garbage = [&whole[..], b"garbage"].concat();
        assert!(matches!(one(garbage, &tar), Err(LayerError::Compressed { .. })));
        for length in [11, whole.len() / 2, whole.len() - 1] {
            let error = one(whole[..length].to_vec(), &tar).unwrap_err();
            assert!(matches!(error, LayerError::Compressed { .. }), "{length} {error}");
        }
    }
    let mut wrong = gzip(&tar);
    let crc = wrong.len() - 6;
    wrong[crc] ^= 1;
    assert!(matches!(one(wrong, &tar), Err(LayerError::Compressed { .. })));
}

#[test]
fn a_window_beyond_128_mib_is_refused() {
    let tar = small();
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&tar).unwrap();
    assert!(matches!(one(encoder.finish().unwrap(), &tar), Err(LayerError::Compressed { .. })));
}

#[test]
fn another_digest_is_an_error_that_names_the_layer() {
    let tar = small();
    let error = one(tar.clone(), b"other").unwrap_err();
    assert!(error.to_string().starts_with("layer layer0 unpacks to sha256:"), "{error}");
    // What follows the end of a tar counts.
    let more = [&tar[..], b"more"].concat();
    assert!(one(more.clone(), &more).is_ok());
    assert!(matches!(one(more, &tar), Err(LayerError::Digest { .. })));
}

#[test]
fn a_tar_that_ends_too_early_is_an_error_and_at_a_border_is_none() {
    let tar = small();
    let names = |length: usize| one(tar[..length].to_vec(), &tar[..length]).map(|(merged, _)| merged.entries);
    let borders = [0, 512, tar.len() - 1024 - 2048, tar.len() - 1024, tar.len() - 512, tar.len()];
    for length in (0..=tar.len()).step_by(512).chain([1, 511, 513, 1500, tar.len() - 1]) {
        let result = names(length);
        if borders.contains(&length) {
            assert!(result.is_ok(), "{length}: {result:?}");
        } else {
            match result {
                Err(LayerError::Tar { layer, position, .. }) => {
                    assert_eq!(layer, "layer0");
                    assert!(position <= length as u64);
                }
                other => panic!("{length}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_the_input_says_is_told_as_such() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "the other side has gone"))
        }
    }
    struct Once(Vec<u8>);
    impl Source for Once {
        type Error = Infallible;
        fn count(&self) -> usize {
            1
        }
        fn open(&mut self, _: usize) -> Result<Layer<'_>, Infallible> {
            let input = Box::new(self.0.chain(Broken));
            Ok(whole(input, diff_id(b""), "l".into()))
        }
    }
    for begin in
        [Vec::new(), gzip(&small())[..50].to_vec(), zstd(&small())[..30].to_vec(), small()[..700].to_vec()]
    {
        let result = apply(&mut Once(begin), &mut Memory::default(), &Limits::default(), &mut |_| {});
        let error = error(result.unwrap_err());
        assert_eq!(error.to_string(), "layer l cannot be read: the other side has gone");
    }
}

#[test]
fn more_than_the_limits_is_refused() {
    let tar = Tar::new().file("a", "12345").file("b", "12345").end();
    let limits = Limits { bytes: 4000, entries: 10, text: 100 };
    assert!(apply_with(&mut stored(vec![tar.clone()]), &limits).is_ok());
    for limits in [
        Limits { bytes: 3000, ..limits },
        Limits { bytes: 9, ..limits },
        Limits { entries: 1, ..limits },
        Limits { text: 1, ..limits },
    ] {
        let result = apply_with(&mut stored(vec![tar.clone()]), &limits);
        assert!(matches!(result, Err(LayerError::Limit { .. })), "{limits:?}");
    }
    // Two layers of 3000 bytes are more than 4000 as well.
    assert!(apply_with(&mut stored(vec![tar.clone(), tar]), &limits).is_err());
    // A path of a thousand folders that nothing else has.
    let deep = Tar::new().pax(&[("path", "x/".repeat(1000).as_bytes())]).file("x", "");
    let result = apply_with(&mut stored(vec![deep.file("y", "").end()]), &limits);
    assert!(matches!(result, Err(LayerError::Limit { .. })));
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let mut zeros = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    let head = Head::new("zeros", b'0', 1 << 30).done();
    zeros.write_all(&head).unwrap();
    io::copy(&mut io::repeat(0).take(64 << 20), &mut zeros).unwrap();
    let bomb = zeros.finish().unwrap();
    assert!(bomb.len() < 64 << 10);
    let limits = Limits { bytes: 8 << 20, ..Limits::default() };
    let result = apply_with(&mut Stored(vec![(bomb, diff_id(b""))]), &limits);
    assert!(matches!(result, Err(LayerError::Limit { what: "bytes", .. })));
}

#[test]
fn attributes_count_once_and_with_what_they_cost() {
    let names: Vec<String> = (0..100).map(|number| format!("SCHILY.xattr.user.{number}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let mut tar = Tar::new();
    for number in 0..100 {
        tar = tar.pax(&many).file(&number.to_string(), "");
    }
    let same = tar.end();
    let limits = Limits { text: 20_000, ..Limits::default() };
    assert!(apply_with(&mut stored(vec![same]), &limits).is_ok());
    // No two files have the same.
    let mut tar = Tar::new();
    for name in names.iter().chain(&["SCHILY.xattr.user.x".to_owned()]) {
        tar = tar.pax(&[(name, b"")]).file("f", "");
    }
    let other = tar.end();
    assert!(apply_with(&mut stored(vec![other.clone()]), &Limits { text: 23_000, ..limits }).is_ok());
    let result = apply_with(&mut stored(vec![other]), &limits);
    assert!(matches!(result, Err(LayerError::Limit { what: "bytes of names", .. })));
}

#[test]
fn a_hundred_thousand_names_in_one_folder_take_no_long_time() {
    let mut tar = Tar::new();
    for number in 0..100_000 {
        tar = tar.file(&format!("d/{number}"), "");
    }
    let layers = vec![tar.clone().end(), tar.gone("d").end(), Tar::new().opaque("d").file("d/x", "").end()];
    let start = Instant::now();
    let (merged, _) = merge(layers).unwrap();
    assert_eq!((merged.files.files, merged.entries), (1, 200_003));
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}

#[test]
fn deletions_that_are_said_again_and_again_take_no_long_time() {
    let mut tar = Tar::new();
    for number in 0..30_000 {
        tar = tar.file(&format!("d/{number}"), "");
    }
    for _ in 0..30_000 {
        tar = tar.opaque("d");
    }
    let start = Instant::now();
    let (merged, _) = merge(vec![tar.end()]).unwrap();
    assert_eq!(merged.files.files, 30_000);
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}

#[test]
fn links_that_multiply_the_way_end() {
    // Each link is the one before it, many times over.
    let mut tar = Tar::new().folder("d", 0o755).symlink("d/l0", ".");
    for number in 1..40 {
        let target = format!("l{}/", number - 1).repeat(20);
        tar = tar.pax(&[("linkpath", target.as_bytes())]).symlink(&format!("d/l{number}"), "x");
    }
    let layers = vec![tar.end(), Tar::new().file("d/l39/x", "").end()];
    assert!(matches!(merge(layers), Err(LayerError::Entry { fault: EntryFault::Loop, .. })));
}

/// A small generator of numbers: the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

#[test]
fn damaged_tars_are_refused_or_read_but_nothing_panics() {
    let mut sparse = Head::new("s", b'S', 512).gnu();
    sparse.put(386, b"00000001000\0").put(398, b"00000001000\0").put(483, b"00000010000\0");
    let whole = Tar::new()
        .folder("d", 0o755)
        .file("d/f", "text")
        .symlink("l", "d")
        .pax(&[("path", b"l/long"), ("SCHILY.xattr.user.x", b"y"), ("mtime", b"1.5")])
        .file("x", "y")
        .head(sparse)
        .data(&[7; 512])
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"t"),
            ("GNU.sparse.realsize", b"9"),
        ])
        .file("GNUSparseFile.0/t", &format!("{:\0<512}z", "1\n3\n1\n"))
        .hard("h", "d/f")
        .head(Head::new("././@LongLink", b'L', 6).gnu())
        .data(b"longer")
        .gone("d")
        .end();
    assert!(one(whole.clone(), &whole).is_ok());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let cases = std::env::var("BLACKFISH_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(3000);
    for _ in 0..cases {
        let mut tar = whole.clone();
        for _ in 0..=numbers.next(3) {
            let at = numbers.next(tar.len());
            match numbers.next(4) {
                0 => tar[at] ^= 1 << numbers.next(8),
                1 => tar[at] = u8::try_from(numbers.next(256)).unwrap(),
                2 => drop(tar.drain(at..(at + 1 + numbers.next(600)).min(tar.len()))),
                _ => drop(tar.splice(at..at, vec![b'7'; 1 + numbers.next(600)])),
            }
            if tar.is_empty() {
                break;
            }
            // Beyond the checksums, so that more than these is tried.
            if numbers.next(4) > 0 {
                for block in tar.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
                    let head = Head { block: block.try_into().unwrap() };
                    block.copy_from_slice(&head.done());
                }
            }
        }
        let limits = Limits { bytes: 64 << 20, entries: 1000, text: 1 << 20 };
        let _ = apply_with(&mut stored(vec![tar.clone()]), &limits);
        let compressed = gzip(&tar[..tar.len().min(600)]);
        let mut damaged = compressed.clone();
        let at = numbers.next(damaged.len());
        damaged[at] ^= 1 << numbers.next(8);
        let _ = apply_with(&mut stored(vec![damaged]), &limits);
    }
}

/// A layer that is wrong at once, from a registry that has a byte now and then.
struct Dripping(Arc<AtomicU64>);

impl Source for Dripping {
    type Error = Infallible;

    fn count(&self) -> usize {
        1
    }

    fn open(&mut self, _: usize) -> Result<Layer<'_>, Infallible> {
        let drops = io::repeat(1).take(20_000);
        let input = Box::new([1; 512].chain(Slow(drops, Arc::clone(&self.0))));
        Ok(whole(input, diff_id(b""), "l".into()))
    }
}

struct Slow<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(1));
        self.0.read(&mut buffer[..1])
    }
}

#[test]
fn what_is_wrong_is_said_before_the_rest_has_come() {
    let reads = Arc::new(AtomicU64::new(0));
    let mut source = Dripping(Arc::clone(&reads));
    let result = apply(&mut source, &mut Memory::default(), &Limits::default(), &mut |_| {});
    assert!(matches!(error(result.unwrap_err()), LayerError::Tar { .. }));
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads < 10_000, "{reads}");
}

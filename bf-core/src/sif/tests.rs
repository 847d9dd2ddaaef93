use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::format::{DATA_OFFSET, DESCRIPTOR_SIZE, DataType, Descriptor, GROUP, Header, TABLE_OFFSET};
use super::testing::facts;
use super::verify::{digests_of, verify_of};
use super::*;

/// A SIF around `size` bytes that begin as a squashfs does.
fn written(facts: Facts, size: usize) -> (File, Finished) {
    let file = tempfile::tempfile().unwrap();
    let writer = SifWriter::new(&file, facts).unwrap();
    let mut squashfs = vec![7; size];
    squashfs[..4].copy_from_slice(b"hsqs");
    squashfs[20..22].copy_from_slice(&[6, 0]);
    squashfs[40..48].copy_from_slice(&(size as u64).to_le_bytes());
    file.write_all_at(&squashfs, writer.partition_offset()).unwrap();
    let finished = writer.finish(size as u64, None).unwrap();
    (file, finished)
}

fn bytes(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn whole() -> Vec<u8> {
    bytes(&written(facts(), 5000).0)
}

/// Appends a signature as `apptainer sign` does.
fn sign(bytes: &mut Vec<u8>, time: i64) {
    let sif = Sif::read(&mut Cursor::new(&bytes), bytes.len() as u64).unwrap();
    let mut entry = Descriptor::new(DataType::SIGNATURE, 99, bytes.len() as u64, 300, 300, time);
    (entry.group, entry.link) = (0, GROUP);
    let slot = usize::try_from(TABLE_OFFSET).unwrap() + sif.objects.len() * DESCRIPTOR_SIZE;
    bytes[slot..slot + DESCRIPTOR_SIZE].copy_from_slice(&entry.encode());
    bytes.extend([b's'; 300]);
    let mut header = sif.header;
    header.modified = time;
    header.free -= 1;
    header.data_size += 300;
    bytes[..128].copy_from_slice(&header.encode());
}

fn damage(bytes: &[u8]) -> Result<Vec<Damage>, SifError> {
    verify_of(&mut Cursor::new(bytes), bytes.len() as u64)
}

fn both(bytes: &[u8]) -> Result<SifDigests, SifError> {
    digests_of(&mut Cursor::new(bytes), bytes.len() as u64)
}

#[test]
fn a_written_one_is_read_and_whole() {
    let (file, finished) = written(facts(), 5000);
    let length = file.metadata().unwrap().len();
    assert_eq!(finished.bytes, length);
    let header = crate::image::sif::parse(&mut &file, length).unwrap();
    assert_eq!(header.source, Some("q.io/org/name:tag".parse().unwrap()));
    assert_eq!(
        (header.primary.size, header.primary.offset % 4096, header.primary.compression),
        (5000, 0, Some("zstd"))
    );
    assert_eq!(verify(&file).unwrap(), []);
    let digests = digests(&file).unwrap();
    assert_eq!(digests.partition_sha256, finished.partition_sha256);
    let record = provenance_of(&file).unwrap();
    assert_eq!(
        (record.manifest, record.layers, record.partition_sha256),
        (facts().manifest, facts().layers, finished.partition_sha256)
    );
}

#[test]
fn it_is_laid_out_as_apptainer_lays_it_out() {
    let (file, _) = written(facts(), 5000);
    let sif = Sif::read(&mut &file, file.metadata().unwrap().len()).unwrap();
    assert_eq!(
        (sif.header.total, sif.header.free, sif.header.table_offset, sif.header.table_size),
        (48, 43, 4096, 28080)
    );
    assert_eq!(
        (sif.header.data_offset, sif.header.data_offset + sif.header.data_size),
        (DATA_OFFSET, sif.length)
    );
    // A version 4 id, of the kind that the standard describes.
    assert_eq!((sif.header.uuid[6] >> 4, sif.header.uuid[8] >> 6), (4, 2));
    let kinds: Vec<_> =
        sif.objects.iter().map(|one| (one.descriptor.kind.0, one.descriptor.name())).collect();
    let expected = [
        (0x4001, ""),
        (0x4006, "inspect-metadata.json"),
        (0x4006, "oci-config.json"),
        (0x4004, ""),
        (0x4006, "blackfish-provenance.json"),
    ];
    assert_eq!(kinds, expected.map(|(kind, name)| (kind, name.to_owned())));
    let oci = sif.document("oci-config.json").unwrap();
    let text = sif.content(&mut &file, oci).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), facts().oci);
    let inspect = sif.content(&mut &file, sif.document("inspect-metadata.json").unwrap()).unwrap();
    let inspect: serde_json::Value = serde_json::from_slice(&inspect).unwrap();
    assert_eq!(inspect["type"], "container");
    assert_eq!(inspect["data"]["attributes"]["labels"]["org.label-schema.build-arch"], "amd64");
}

#[test]
fn the_same_image_gives_the_same_file_and_another_one_another_id() {
    let one = whole();
    assert_eq!(one, whole());
    let id = |facts: Facts| bytes(&written(facts, 500).0)[48..64].to_vec();
    let same = id(facts());
    assert_eq!(same, one[48..64]);
    let manifest = "sha256:".to_owned() + &"9".repeat(64);
    assert_ne!(same, id(Facts { manifest: Some(manifest.parse().unwrap()), ..facts() }));
    assert_ne!(same, id(Facts { compression: "gzip".into(), ..facts() }));
    assert_ne!(same, id(Facts { tool: "0.2.0".into(), ..facts() }));
}

#[test]
fn one_that_was_not_finished_is_no_sif() {
    let file = tempfile::tempfile().unwrap();
    let writer = SifWriter::new(&file, facts()).unwrap();
    file.write_all_at(b"hsqs", writer.partition_offset() + 4096).unwrap();
    let length = file.metadata().unwrap().len();
    assert!(matches!(Sif::read(&mut &file, length).unwrap_err(), SifError::NotASif));
    // What was written is no squashfs at the place of one.
    assert!(matches!(writer.finish(4000, None).unwrap_err(), SifError::Malformed { .. }));
    let writer = SifWriter::new(&file, facts()).unwrap();
    assert!(matches!(writer.finish(4000, None).unwrap_err(), SifError::Truncated { .. }));
}

#[test]
fn each_flipped_byte_is_found_and_named() {
    let whole = whole();
    let sif = Sif::read(&mut Cursor::new(&whole), whole.len() as u64).unwrap();
    let recorded = both(&whole).unwrap();
    let table = usize::try_from(TABLE_OFFSET).unwrap();
    let numbers =
        |at: usize| at >= table && at < table + 6 * DESCRIPTOR_SIZE && (at - table) % DESCRIPTOR_SIZE < 90;
    for at in 0..whole.len() {
        // All numbers of the header and the table, and samples of what is long.
        if at >= 128 && !numbers(at) && at % 29 != 0 {
            continue;
        }
        for bit in [0, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(found) = both(&bytes) {
                assert_ne!(found, recorded, "{at}");
            }
            let Ok(damage) = damage(&bytes) else { continue };
            let part = |part: &Part| damage.iter().any(|one| one.part == *part);
            let object = sif.objects.iter().find(|one| one.bytes().contains(&(at as u64)));
            let expected = match object {
                Some(object) if object.is_primary() => Part::Partition,
                Some(object) => Part::Object(object.descriptor.id, object.descriptor.name()),
                None if at < 128 => Part::Header,
                None if (table..table + 48 * DESCRIPTOR_SIZE).contains(&at) => Part::Table,
                None => Part::Gap,
            };
            // Where the record's own entry lies about its length, it is the record that cannot be read.
            let own = table + 4 * DESCRIPTOR_SIZE..table + 5 * DESCRIPTOR_SIZE;
            assert!(part(&expected) || own.contains(&at) && !damage.is_empty(), "{at}: {damage:?}");
            assert!(!expected.to_string().is_empty());
        }
    }
}

#[test]
fn to_sign_is_no_damage_and_hides_none() {
    let whole = whole();
    let recorded = both(&whole).unwrap();
    let mut signed = whole.clone();
    for time in [1_800_000_000, 1_900_000_000] {
        sign(&mut signed, time);
        assert_eq!(both(&signed).unwrap(), recorded);
        assert_eq!(damage(&signed).unwrap(), []);
    }
    for at in (0..whole.len()).filter(|at| *at < 128 || at % 41 == 0) {
        let slot = usize::try_from(TABLE_OFFSET).unwrap() + 5 * DESCRIPTOR_SIZE;
        if (slot..slot + 2 * DESCRIPTOR_SIZE).contains(&at) {
            continue; // what is entered of the signatures
        }
        let mut bytes = signed.clone();
        bytes[at] ^= 4;
        assert!(both(&bytes).map_or(true, |found| found != recorded), "{at}");
        assert!(damage(&bytes).map_or(true, |damage| !damage.is_empty()), "{at}");
    }
}

#[test]
fn what_is_cut_off_or_appended_is_found() {
    let whole = whole();
    let recorded = both(&whole).unwrap();
    for more in [&[0; 10][..], &[1], &vec![0; 600_000]] {
        let longer = [&whole, more].concat();
        assert_ne!(both(&longer).unwrap(), recorded);
        assert_ne!(damage(&longer).unwrap(), []);
    }
    for cut in [0, 100, 128, 5000, 33000, whole.len() - 1] {
        assert!(both(&whole[..cut]).is_err() && damage(&whole[..cut]).is_err());
    }
}

#[test]
fn one_that_is_not_ours_has_digests_and_no_record() {
    let other = crate::image::sif::testing::small(1, 200);
    assert!(matches!(damage(&other).unwrap_err(), SifError::NoProvenance));
    let digests = both(&other).unwrap();
    assert_eq!(digests.partition_sha256, crate::digest::of_bytes(&other[4096..]));
    for at in [0, 60, 200, 1000, 2050, 3000] {
        let mut bytes = other.clone();
        bytes[at] ^= 1;
        assert!(both(&bytes).map_or(true, |found| found != digests), "{at}");
    }
}

#[test]
fn parts_that_share_bytes_are_refused() {
    let whole = whole();
    let table = usize::try_from(TABLE_OFFSET).unwrap();
    for (at, value) in [(17, 100_u64), (17, 5000), (17, 32300), (25, 1 << 40), (17, u64::MAX), (25, u64::MAX)]
    {
        let mut bytes = whole.clone();
        let place = table + DESCRIPTOR_SIZE + at;
        bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
        assert!(both(&bytes).is_err(), "{at} {value}");
    }
    // A table over the header, and one that needs more memory than there is file.
    for (field, value) in [(96, 64_u64), (88, 4096), (88, 1 << 60)] {
        let mut bytes = whole.clone();
        bytes[field..field + 8].copy_from_slice(&value.to_le_bytes());
        assert!(Sif::read(&mut Cursor::new(&bytes), bytes.len() as u64).is_err(), "{field}");
    }
    assert_eq!(Header::decode(whole.first_chunk().unwrap()).unwrap().total, 48);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        changes in prop::collection::vec((prop_oneof![0_usize..128, 4096_usize..8000, 32176_usize..45000], any::<u8>()), 0..12),
        cut in 0_usize..50000,
    ) {
        let mut bytes = whole();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut);
        let _ = both(&bytes);
        let _ = damage(&bytes);
    }
}

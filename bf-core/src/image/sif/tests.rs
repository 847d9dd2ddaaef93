use std::io::Cursor;

use proptest::prelude::*;

use super::testing::{PARTITION, small};
use super::*;

fn parsed(bytes: &[u8]) -> Result<Header, SifError> {
    parse(&mut Cursor::new(bytes), bytes.len() as u64)
}

#[test]
fn a_whole_one_says_what_it_is() {
    let header = parsed(&small(1, 200)).unwrap();
    assert_eq!((header.bytes, header.objects), (4296, 2));
    assert_eq!(header.source, Some("q.io/org/name:tag".parse().unwrap()));
    assert_eq!(
        header.primary,
        Primary {
            offset: PARTITION as u64,
            size: 200,
            filesystem: Filesystem::Squashfs,
            architecture: Some("x86_64"),
            compression: Some("gzip"),
        }
    );
    assert_ne!(header.id, parsed(&small(2, 200)).unwrap().id);
}

#[test]
fn one_that_was_cut_off_is_told_from_what_is_none() {
    let whole = small(1, 200);
    for cut in [128, 1000, 2050, PARTITION, whole.len() - 1] {
        let error = parsed(&whole[..cut]).unwrap_err();
        assert!(matches!(error, SifError::Truncated { .. }), "{cut}: {error}");
    }
    for other in [&b""[..], b"<!DOCTYPE html>", &whole[..100], &[0; 5000]] {
        assert!(matches!(parsed(other).unwrap_err(), SifError::NotASif));
    }
}

#[test]
fn what_cannot_be_is_named() {
    type Change = fn(&mut Vec<u8>);
    let put = |bytes: &mut Vec<u8>, at: usize, value: i64| {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    let cases: [(Change, &str); 6] = [
        (|bytes| bytes[43] = b'2', "version"),
        (|bytes| bytes[128 + 4] = 0, "no root filesystem"),
        (|bytes| bytes[PARTITION] = b'x', "not the squashfs"),
        (|bytes| bytes[PARTITION + 20] = 99, "not known"),
        (|bytes| bytes[PARTITION + 46] = 1, "cut off"),
        (|bytes| bytes[128 + 201 + 4] = 1, "no root filesystem"),
    ];
    for (change, word) in cases {
        let mut bytes = small(1, 200);
        change(&mut bytes);
        let error = parsed(&bytes).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    for (at, value) in [
        (88, -1),
        (88, i64::MAX),
        (96, i64::MAX),
        (112, i64::MAX),
        (120, -5),
        (145, i64::MAX),
        (153, i64::MAX),
    ] {
        let mut bytes = small(1, 200);
        put(&mut bytes, at, value);
        assert!(parsed(&bytes).is_err(), "{at}");
    }
}

#[test]
fn a_folder_is_no_sif() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(read(dir.path()).unwrap_err(), SifError::NotAFile));
    assert!(matches!(read(&dir.path().join("none")).unwrap_err(), SifError::Io(_)));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(changes in prop::collection::vec((0_usize..4400, any::<u8>()), 0..12), cut in 0_usize..4400) {
        let mut bytes = small(1, 200);
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut);
        let _ = parsed(&bytes);
    }

    #[test]
    fn numbers_of_any_size_are_compared_with_the_file(at in prop::sample::select(vec![88_usize, 96, 104, 112, 120, 145, 153, 4136]), value in any::<i64>()) {
        let mut bytes = small(1, 200);
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        if let Ok(header) = parsed(&bytes) {
            prop_assert!(header.primary.offset + header.primary.size <= bytes.len() as u64);
        }
    }
}

use proptest::prelude::*;

use super::*;
use crate::model::testing::Gguf;

fn parse(bytes: &[u8]) -> Result<Summary, HeaderError> {
    read_from(bytes, bytes.len() as u64)
}

fn small() -> Gguf {
    Gguf::new()
        .text("general.name", "A Small Model")
        .number("llama.context_length", 2048)
        .text("general.architecture", "llama")
        .text("general.license", "apache-2.0")
        .number("general.file_type", 3)
        .texts("tokenizer.ggml.tokens", &["a", "b", ""])
        .tensor("embed", &[64, 4], 3)
        .tensor("norm", &[64], 0)
}

#[test]
fn facts_are_read() {
    let summary = parse(&small().bytes()).unwrap();
    assert_eq!(summary.architecture.as_deref(), Some("llama"));
    assert_eq!(summary.name.as_deref(), Some("A Small Model"));
    assert_eq!(summary.license.as_deref(), Some("apache-2.0"));
    assert_eq!(summary.context_length, Some(2048));
    assert_eq!(summary.quantisation.as_deref(), Some("Q4_1"));
    assert_eq!((summary.parameters, summary.tensors), (64 * 4 + 64, 2));
}

#[test]
fn numbers_of_layers_are_kept_whatever_their_order() {
    let long = vec![1; 1025];
    let file = Gguf::new()
        .number("other.block_count", 3)
        .numbers("llama.attention.head_count_kv", &[8, 0, 8])
        .number("llama.block_count", 2)
        .numbers("llama.attention.head_count", &[1, -1])
        .numbers("llama.attention.key_length", &long)
        .text("general.architecture", "llama")
        .number("llama.of_the_future", 1);
    let shape = parse(&file.bytes()).unwrap().shape;
    assert_eq!(shape.get("attention.head_count_kv"), [8, 0, 8]);
    assert_eq!((shape.one("block_count"), shape.one("attention.head_count_kv")), (Some(2), None));
    for none in ["attention.head_count", "attention.key_length", "of_the_future"] {
        assert_eq!(shape.get(none), [0; 0], "{none}");
    }
    let whole = file.bytes();
    for length in 0..whole.len() {
        assert!(matches!(parse(&whole[..length]), Err(HeaderError::Truncated { .. })), "{length}");
    }
}

#[test]
fn without_a_file_type_most_parameters_decide() {
    let summary = parse(&Gguf::new().tensor("a", &[256], 14).tensor("b", &[16], 0).bytes()).unwrap();
    assert_eq!(summary.quantisation.as_deref(), Some("Q6_K"));
    assert_eq!(summary.architecture, None);
}

#[test]
fn every_cut_is_told() {
    let whole = small().bytes();
    for length in 0..whole.len() {
        let error = parse(&whole[..length]).unwrap_err();
        assert!(matches!(error, HeaderError::Truncated { .. }), "{length}: {error}");
    }
}

#[test]
fn padding_behind_the_data_is_allowed() {
    let mut bytes = small().bytes();
    bytes.extend_from_slice(&[0; 40]);
    assert!(parse(&bytes).is_ok());
}

#[test]
fn an_alignment_of_the_files_own_is_obeyed() {
    let bytes = Gguf::new().alignment(4096).tensor("a", &[256], 0).bytes();
    assert!(parse(&bytes).is_ok());
    assert!(matches!(parse(&bytes[..bytes.len() - 1]), Err(HeaderError::Truncated { .. })));
    for bad in [0, 3, 1 << 30] {
        let bytes = Gguf::new().number("general.alignment", bad).tensor("a", &[256], 0).bytes();
        assert!(matches!(parse(&bytes), Err(HeaderError::Malformed { .. })), "{bad}");
    }
}

#[test]
fn a_type_of_the_future_is_not_called_damaged() {
    let bytes = Gguf::new().tensor("a", &[1 << 40], 200).bytes();
    assert_eq!(parse(&bytes).unwrap().parameters, 1 << 40);
}

#[test]
fn hostile_claims_are_refused_before_anything_is_allocated() {
    let claim = |at: usize, value: u64| {
        let mut bytes = small().bytes();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        parse(&bytes)
    };
    for at in [8, 16, 24] {
        for value in [u64::MAX, u64::MAX / 2, 1 << 40] {
            assert!(claim(at, value).is_err(), "{value} at {at}");
        }
    }
    let huge = Gguf::new().tensor("a", &[u64::MAX, u64::MAX], 0).bytes_without_data();
    assert!(matches!(parse(&huge), Err(HeaderError::Malformed { .. })));
    let huge = Gguf::new().tensor("a", &[u64::MAX], 0).bytes_without_data();
    assert!(matches!(parse(&huge), Err(HeaderError::Malformed { .. })));
    // Terminal escapes in a name are not shown to anybody.
    let escape = Gguf::new().text("general.name", "\u{1b}[2J").bytes();
    assert_eq!(parse(&escape).unwrap().name, None);
}

#[test]
fn other_files_are_named() {
    assert!(matches!(parse(b"version https://git-lfs.github.com/spec/v1\n"), Err(HeaderError::LfsPointer)));
    assert!(matches!(parse(b"PK\x03\x04 a zip file, not weights"), Err(HeaderError::Malformed { .. })));
    for version in [1_u32, 4, 3_u32.swap_bytes()] {
        let mut bytes = small().bytes();
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        assert!(matches!(parse(&bytes), Err(HeaderError::Unsupported { .. })), "{version}");
    }
}

/// Counts what is asked of it: no read may reach behind the header, however long the file claims to be.
#[test]
fn only_the_header_is_read() {
    let bytes = small().bytes_without_data();
    let mut rest: &[u8] = &bytes;
    assert!(read_from(&mut rest, u64::MAX).is_ok());
    assert!(rest.is_empty());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_bytes_behind_the_magic_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), claimed: u64) {
        let mut file = b"GGUF\x03\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
        file.extend(bytes);
        let _ = read_from(&file[..], claimed);
    }

    #[test]
    fn no_change_to_a_valid_file_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = small().bytes();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(summary) = parse(&bytes) {
            // Texts are the only thing kept that a file decides the length of.
            for text in [summary.name, summary.license, summary.architecture].into_iter().flatten() {
                prop_assert!(text.len() as u64 <= MAX_TEXT);
            }
        }
    }
}

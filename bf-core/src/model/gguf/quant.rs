//! ggml's tensor types and llama.cpp's names of quantisations.
//!
//! Sources: `GGML_QUANT_SIZES` and `LlamaFileType` in llama.cpp's `gguf-py/gguf/constants.py`.

/// (ggml type, name, parameters a block, bytes a block). Without `Q8_1`, which is never stored and whose size the
/// sources disagree on.
const TYPES: [(u32, &str, u64, u64); 33] = [
    (0, "F32", 1, 4),
    (1, "F16", 1, 2),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1),
    (25, "I16", 1, 2),
    (26, "I32", 1, 4),
    (27, "I64", 1, 8),
    (28, "F64", 1, 8),
    (29, "IQ1_M", 256, 56),
    (30, "BF16", 1, 2),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
];

/// (`general.file_type`, name).
const FILE_TYPES: [(u64, &str); 35] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4_MOE"),
    (39, "NVFP4"),
    (40, "Q1_0"),
];

/// llama.cpp sets this bit when it guessed the file type.
const GUESSED: u64 = 1024;

/// Parameters and bytes of one block of a ggml type that we know.
pub(super) fn block(kind: u32) -> Option<(u64, u64)> {
    TYPES.iter().find(|known| known.0 == kind).map(|known| (known.2, known.3))
}

/// The name of a ggml type that we know.
pub(super) fn type_name(kind: u32) -> Option<&'static str> {
    TYPES.iter().find(|known| known.0 == kind).map(|known| known.1)
}

/// The name of a `general.file_type`: 15 is `Q4_K_M`.
pub fn file_type_name(file_type: u64) -> Option<&'static str> {
    let file_type = file_type & !GUESSED;
    FILE_TYPES.iter().find(|known| known.0 == file_type).map(|known| known.1)
}

/// The quantisation that a file's name speaks of, the longest one where several fit: `model-Q4_K_M.gguf` is `Q4_K_M`.
pub fn label_in_name(file_name: &str) -> Option<&'static str> {
    let name = file_name.to_ascii_uppercase();
    let labels = FILE_TYPES.iter().map(|known| known.1).chain(TYPES.iter().map(|known| known.1));
    labels.filter(|label| stands_alone(&name, label)).max_by_key(|label| label.len())
}

/// Whether `label` is in `name` with neither a letter nor a digit at its sides, so that `BF16` is no `F16`.
fn stands_alone(name: &str, label: &str) -> bool {
    name.match_indices(label).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        let after = name[at + label.len()..].chars().next();
        [before, after].into_iter().flatten().all(|c| !c.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_from_names() {
        for (name, label) in [
            ("SmolLM2-135M-Instruct.Q4_1.gguf", Some("Q4_1")),
            ("model-q4_k_m.gguf", Some("Q4_K_M")),
            ("model-Q4_K_M-00001-of-00002.gguf", Some("Q4_K_M")),
            ("model-BF16.gguf", Some("BF16")),
            ("model-f16.gguf", Some("F16")),
            ("gpt-oss-20b-mxfp4.gguf", Some("MXFP4")),
            ("model.gguf", None),
            ("llamaf16x.gguf", None),
            ("modèle-Q8_0.gguf", Some("Q8_0")),
        ] {
            assert_eq!(label_in_name(name), label, "{name}");
        }
    }

    #[test]
    fn a_guessed_file_type_has_the_same_name() {
        assert_eq!(file_type_name(15), Some("Q4_K_M"));
        assert_eq!(file_type_name(15 | GUESSED), Some("Q4_K_M"));
        assert_eq!(file_type_name(999), None);
    }
}

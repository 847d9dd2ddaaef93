//! Which of several quantisations is taken when nobody says which.

/// Four to five bits a weight first, which most people take; then what is larger and better, nearly lossless, lossless;
/// then what is smaller and worse, down to what hardly works. The order is ours and fixed: the same files, the same choice.
const ORDER: [&str; 40] = [
    "Q4_K_M",
    "Q4_K_S",
    "Q5_K_M",
    "Q5_K_S",
    "Q6_K",
    "Q8_0",
    "Q4_K",
    "Q5_K",
    "Q4_1",
    "Q4_0",
    "IQ4_NL",
    "IQ4_XS",
    "Q5_1",
    "Q5_0",
    "MXFP4_MOE",
    "MXFP4",
    "NVFP4",
    "BF16",
    "F16",
    "Q3_K_L",
    "Q3_K_M",
    "Q3_K_S",
    "Q3_K",
    "IQ3_M",
    "IQ3_S",
    "IQ3_XS",
    "IQ3_XXS",
    "F32",
    "Q2_K",
    "Q2_K_S",
    "IQ2_M",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
    "TQ2_0",
    "TQ1_0",
    "IQ1_M",
    "IQ1_S",
    "Q1_0",
    "Q8_K",
];

/// The place of a quantisation in the order, the preferred one first; those unknown are last, and then names decide.
pub(super) fn preference(quantisation: Option<&str>) -> usize {
    quantisation.and_then(|name| ORDER.iter().position(|known| *known == name)).unwrap_or(ORDER.len())
}

//! What a file's name tells: whether it is weights, of which format, and whether it can hold code.

use super::WeightFormat;

/// Folders of a repository that hold the same model again, for other runtimes or as its maker trained it.
const ELSEWHERE: [&str; 8] =
    ["original", "onnx", "openvino", "coreml", "tflite", "flax_model", "tf_model", "tensorrt"];

/// Endings of weights that no engine here loads.
const FOREIGN: [&str; 22] = [
    "ckpt",
    "pkl",
    "pickle",
    "ggml",
    "h5",
    "msgpack",
    "onnx",
    "onnx_data",
    "tflite",
    "ot",
    "npz",
    "pb",
    "keras",
    "mlmodel",
    "mlpackage",
    "nemo",
    "engine",
    "pte",
    "llamafile",
    "mar",
    "task",
    "imatrix",
];

pub(super) fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}

pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(extension))
}

/// The format of the weights in the file at `path`; nothing when an engine would not load it, whatever else it is.
pub(in super::super) fn format_of(path: &str) -> Option<WeightFormat> {
    let fits = |format: &WeightFormat| match format {
        WeightFormat::Safetensors => is_safetensors(path),
        WeightFormat::Gguf => is_gguf(path),
        WeightFormat::Ggml => is_ggml(path),
        WeightFormat::Pickle => is_pickle(path),
    };
    WeightFormat::ALL.into_iter().find(fits)
}

/// Whether a file is weights of whatever kind, or belongs to some: what no engine needs beside those that it loads.
pub(in super::super) fn is_weights(path: &str) -> bool {
    format_of(path).is_some()
        || ["gguf", "bin", "pt", "pth"].iter().chain(&FOREIGN).any(|extension| has_extension(path, extension))
}

/// Whether a file lies in a folder that holds the same model again, for somebody else.
pub(in super::super) fn is_elsewhere(path: &str) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').any(|folder| ELSEWHERE.contains(&folder) || has_extension(folder, "mlpackage"))
}

/// Whether a file says which shards hold the tensors: of one of the sets that engines load, or of a variant.
pub(in super::super) fn is_index(path: &str) -> bool {
    let name = file_name(path);
    has_extension(&name, "json") && (name.contains(".safetensors.index.") || name.contains(".bin.index."))
}

pub(super) fn is_safetensors(path: &str) -> bool {
    path.ends_with(".safetensors")
}

/// Neither the eyes of a multimodal model nor the statistics of a quantisation are a model.
pub(super) fn is_gguf(path: &str) -> bool {
    let name = file_name(path);
    has_extension(&name, "gguf") && !name.contains("mmproj") && !name.starts_with("imatrix")
}

/// The eyes and ears of a multimodal model, which llama.cpp loads beside it.
pub(in super::super) fn is_projector(path: &str) -> bool {
    let name = file_name(path);
    has_extension(&name, "gguf") && name.contains("mmproj")
}

pub(super) fn is_ggml(path: &str) -> bool {
    let name = file_name(path);
    !path.contains('/') && name.starts_with("ggml-") && has_extension(&name, "bin")
}

/// Whether a file can hold code that is run when it is loaded, as its name tells: a pickle, also one that training left beside a model.
pub fn holds_code(path: &str) -> bool {
    let name = file_name(path);
    ["bin", "pt", "pth", "ckpt", "pkl", "pickle"].iter().any(|extension| has_extension(&name, extension))
        && !is_ggml(path)
        && !name.starts_with("openvino_")
}

/// What training leaves beside a model is no model (vLLM leaves out the same).
pub(super) fn is_pickle(path: &str) -> bool {
    const LEFT_BY_TRAINING: [&str; 6] =
        ["training_args", "optimizer", "scheduler", "scaler", "rng_state", "openvino_"];
    let name = file_name(path);
    ["bin", "pt", "pth"].iter().any(|extension| has_extension(&name, extension))
        && !is_ggml(path)
        && !LEFT_BY_TRAINING.iter().any(|begin| name.starts_with(begin))
}

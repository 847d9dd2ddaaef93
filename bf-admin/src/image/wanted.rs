//! What site.yaml means by the name of an image: its own `ref`, or the image of the engine of that name.

use std::collections::BTreeMap;

use bf_core::image::{GPU_SUFFIX, Reference};
use bf_core::report::{Exit, Failure};
use bf_core::service::{self, Engine};
use bf_core::site::{DeclaredImage, Layout};

/// The reference of each declared image, or why there is none. Two that would have the same file are both named by the second.
pub(crate) fn all(
    layout: &Layout,
    declared: &BTreeMap<String, DeclaredImage>,
) -> BTreeMap<String, Result<Reference, Failure>> {
    let needed = declared.values().any(|image| image.reference.is_none());
    let engines = if needed { service::engines(Some(layout)) } else { Ok(Vec::new()) };
    let mut files: BTreeMap<String, &str> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for (name, image) in declared {
        let mut wanted = match (&image.reference, &engines) {
            (Some(reference), _) => Ok(reference.clone()),
            (None, Ok(engines)) => reference(engines, name, image),
            (None, Err(failure)) => Err(failure.clone()),
        };
        if let Some(file) = wanted.as_ref().ok().map(Reference::sif_name) {
            match files.get(&file) {
                Some(other) => {
                    let message = format!("the images {other} and {name} have the same file, {file}");
                    wanted = Err(Failure::new(Exit::Invalid, "duplicate_image", message)
                        .with_hint("keep one of the two in site.yaml"));
                }
                None => drop(files.insert(file, name)),
            }
        }
        all.insert(name.clone(), wanted);
    }
    all
}

/// The reference of one declared image.
pub(crate) fn reference(engines: &[Engine], name: &str, image: &DeclaredImage) -> Result<Reference, Failure> {
    if let Some(reference) = &image.reference {
        return Ok(reference.clone());
    }
    let invalid = |message: String| Failure::new(Exit::Invalid, "image_without_ref", message);
    let of = |id: &str| engines.iter().find(|engine| engine.id == id);
    let reference = if let Some(engine) = of(name) {
        let image = engine.image.as_ref();
        image.map(|image| image.reference.clone()).ok_or_else(|| {
            invalid(format!("the engine {name} has no image")).with_hint("give the image a `ref`")
        })?
    } else if let Some(engine) = name.strip_suffix(GPU_SUFFIX).and_then(of) {
        let image = engine.image.as_ref().and_then(|image| image.gpu_reference.clone());
        image.ok_or_else(|| {
            invalid(format!("the engine {} has no other image for GPUs", engine.id))
                .with_hint(format!("declare `{}`, or give the image a `ref`", engine.id))
        })?
    } else {
        let with_image = engines.iter().filter(|engine| engine.image.is_some());
        let known: Vec<&str> = with_image.map(|engine| engine.id.as_str()).collect();
        return Err(invalid(format!("the image {name} has no `ref`, and no engine is called like it"))
            .with_hint(format!("give it a `ref`; engines with an image are: {}", known.join(", "))));
    };
    Ok(match &image.digest {
        Some(digest) => reference.pinned(digest.clone()),
        None => reference,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_ref_is_an_engines() {
        let layout = Layout::new("/nonexistent");
        let digest = format!("sha256:{}", "a1".repeat(32));
        let of = |name: &str, image: DeclaredImage| {
            let declared = BTreeMap::from([(name.to_owned(), image)]);
            all(&layout, &declared).remove(name).unwrap().map(|reference| reference.to_string())
        };
        let default = DeclaredImage::default;
        assert_eq!(of("llama_cpp", default()).unwrap(), "ghcr.io/ggml-org/llama.cpp:server");
        assert_eq!(of("llama_cpp-gpu", default()).unwrap(), "ghcr.io/ggml-org/llama.cpp:server-cuda");
        let pinned = DeclaredImage { digest: Some(digest.parse().unwrap()), ..default() };
        assert_eq!(of("llama_cpp", pinned).unwrap(), format!("ghcr.io/ggml-org/llama.cpp:server@{digest}"));
        assert_eq!(of("vllmm", default()).unwrap_err().code, "image_without_ref");
        let own = DeclaredImage { reference: Some("a:1".parse().unwrap()), ..default() };
        assert_eq!(of("llama_cpp", own).unwrap(), "docker.io/library/a:1");
    }

    #[test]
    fn two_names_for_one_file_are_refused() {
        let own = DeclaredImage {
            reference: Some("q.io/llama.cpp:server".parse().unwrap()),
            ..DeclaredImage::default()
        };
        let declared =
            BTreeMap::from([("llama_cpp".to_owned(), DeclaredImage::default()), ("mine".to_owned(), own)]);
        let all = all(&Layout::new("/nonexistent"), &declared);
        assert!(all["llama_cpp"].is_ok());
        assert_eq!(all["mine"].as_ref().unwrap_err().code, "duplicate_image");
    }
}

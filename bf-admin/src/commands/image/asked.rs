//! What somebody means by a word: an image that site.yaml declares, that of an engine, or one of a registry.

use std::collections::BTreeMap;

use bf_core::image::{GPU_SUFFIX, Reference};
use bf_core::report::{Exit, Failure};
use bf_core::service::{self, Engine};
use bf_core::site::{DeclaredImage, Layout};
use bf_core::spec::parse::closest;
use bf_core::squashfs::Compression;

use super::declared;
use crate::cli::Context;
use crate::image::{self, Place};
use crate::{locate, printer};

/// An image that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) reference: Reference,
    /// Its name in site.yaml, if it was asked for by that.
    pub(super) declared: Option<String>,
    /// How it is compressed, where site.yaml says that.
    pub(super) compression: Option<Compression>,
}

/// What words can mean, and how images are made there.
pub(super) struct Known<'a> {
    pub(super) place: Place<'a>,
    images: BTreeMap<String, DeclaredImage>,
    engines: Vec<Engine>,
}

impl<'a> Known<'a> {
    /// For a cache.
    pub(super) fn of(context: &'a Context, layout: &Layout) -> Result<Self, Failure> {
        let declared = declared(context, layout)?;
        let place = Place::of(layout, declared.as_ref(), &context.environment);
        let images = declared.map(|declared| declared.images).unwrap_or_default();
        Ok(Self { place, images, engines: service::engines(Some(layout))? })
    }

    /// For a file without a cache: by the cache that is named, if any.
    pub(super) fn anywhere(context: &'a Context) -> Result<Self, Failure> {
        let failure = match locate::cache(context).and_then(|layout| Self::of(context, &layout)) {
            Ok(known) => return Ok(known),
            Err(failure) => failure,
        };
        if failure.code != "cache_unnamed" {
            // It is not needed: the file is made all the same.
            printer::warning(&failure.message, failure.hint.as_deref());
        }
        let place = Place::unknown(&context.environment);
        Ok(Self { place, images: BTreeMap::new(), engines: service::engines(None)? })
    }

    /// What a word means: the image of that name in site.yaml, that of the engine, or of that and `-gpu`, else a reference.
    ///
    /// # Errors
    /// A word that is nearly such a name is a slip rather than an image of Docker's own, which can be written out.
    pub(super) fn asked(&self, text: &str) -> Result<Asked, Failure> {
        if text.contains(['/', ':', '@']) {
            return of_registry(text);
        }
        let of_engine = |id: &str| self.engines.iter().any(|engine| engine.id == id);
        if let Some(image) = self.images.get(text) {
            let reference = image::reference(&self.engines, text, image)?;
            return Ok(Asked { reference, declared: Some(text.to_owned()), compression: image.compression });
        }
        if of_engine(text) || text.strip_suffix(GPU_SUFFIX).is_some_and(of_engine) {
            let reference = image::reference(&self.engines, text, &DeclaredImage::default())
                .map_err(|failure| Failure { exit: Exit::Usage, ..failure })?;
            return Ok(Asked { reference, declared: None, compression: None });
        }
        let names = self.images.keys().map(String::as_str);
        let names =
            names.chain(self.engines.iter().filter(|one| one.image.is_some()).map(|one| one.id.as_str()));
        let Some(near) = closest(text, names) else { return of_registry(text) };
        let message =
            format!("there is no image {text}: site.yaml declares none, and no engine is called like it");
        let docker = text.to_lowercase();
        Err(Failure::new(Exit::NotFound, "image_unknown", message).with_hint(format!(
            "did you mean `{near}`? An image of Docker Hub is named in full: docker.io/library/{docker}"
        )))
    }
}

fn of_registry(text: &str) -> Result<Asked, Failure> {
    let reference = text.parse().map_err(|error| {
        let error: bf_core::image::ImageError = error;
        Failure { exit: Exit::Usage, ..error.into() }
    })?;
    Ok(Asked { reference, declared: None, compression: None })
}

#[cfg(test)]
mod tests {
    use bf_core::settings::Environment;

    use super::*;

    #[test]
    fn a_word_is_a_declared_name_an_engine_or_a_reference() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        let environment = Environment::of([]);
        let declared =
            |reference: Option<&str>, digest: Option<&str>, compression: Option<&str>| DeclaredImage {
                reference: reference.map(|text| text.parse().unwrap()),
                digest: digest.map(|text| text.parse().unwrap()),
                compression: compression.map(|text| text.parse().unwrap()),
            };
        let known = Known {
            place: Place::unknown(&environment),
            images: BTreeMap::from([
                ("tools".to_owned(), declared(Some("q.io/org/tools:1"), None, Some("zstd:3"))),
                ("llama_cpp".to_owned(), declared(None, Some(&digest), None)),
            ]),
            engines: service::engines(None).unwrap(),
        };
        let asked =
            |text: &str| known.asked(text).map(|asked| (asked.reference.to_string(), asked.compression));
        assert_eq!(asked("tools").unwrap(), ("q.io/org/tools:1".into(), Some("zstd:3".parse().unwrap())));
        let pinned = format!("ghcr.io/ggml-org/llama.cpp:server@{digest}");
        assert_eq!(asked("llama_cpp").unwrap().0, pinned, "as it is declared");
        assert_eq!(asked("llama_cpp-gpu").unwrap().0, "ghcr.io/ggml-org/llama.cpp:server-cuda");
        assert_eq!(known.asked("tools").unwrap().declared.as_deref(), Some("tools"));
        assert_eq!(asked("q.io/a:1").unwrap().0, "q.io/a:1");
        assert_eq!(asked("ubuntu").unwrap().0, "docker.io/library/ubuntu:latest");

        for (slip, near) in [("tool", "tools"), ("Tools", "tools"), ("lama_cpp", "llama_cpp")] {
            let failure = asked(slip).unwrap_err();
            assert_eq!((failure.exit, failure.code), (Exit::NotFound, "image_unknown"), "{slip}");
            assert!(failure.hint.unwrap().contains(&format!("did you mean `{near}`?")), "{slip}");
        }
        assert_eq!(asked("docker.io/library/tool").unwrap().0, "docker.io/library/tool:latest");
        assert_eq!(asked("Q.io/A").unwrap_err().exit, Exit::Usage);
    }
}

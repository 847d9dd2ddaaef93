//! `images:` of site.yaml.

use std::collections::BTreeMap;

use super::forms::{COMPRESSION, DIGEST, REFERENCE};
use crate::image::{Digest, Reference};
use crate::shape::{Key, Map, Shape, View};
use crate::spec::parse::{Entry, Position, Reader};
use crate::squashfs::Compression;

/// A container image that the cache must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredImage {
    /// What is pulled, pinned where the file has a `digest`; `None`: the image of the engine that it is named after.
    pub reference: Option<Reference>,
    /// Pins the engine's image, where there is no reference.
    pub digest: Option<Digest>,
    /// How its SIF is compressed, where that is said.
    pub compression: Option<Compression>,
}

pub(super) static MAP: Map = Map::of(
    "an image",
    &[
        Key::new("ref", Shape::Format(&REFERENCE), "What is fetched")
            .or("the image of the engine of this name"),
        Key::new("digest", Shape::Format(&DIGEST), "Pins it: nothing else is ever fetched"),
        Key::new(
            "compression",
            Shape::Format(&COMPRESSION),
            "How it is compressed: `zstd`, read about twice as fast, or `gzip`, which all machines read; a level may follow (`zstd:15`)",
        )
        .or("`zstd` where it is known to mount, else `gzip`"),
    ],
);

pub(super) fn read(reader: &Reader, view: View<'_>) -> BTreeMap<String, DeclaredImage> {
    let mut images = BTreeMap::new();
    let mut files: BTreeMap<String, (String, Position)> = BTreeMap::new();
    for entry in view.entries() {
        let (image, at) = image(reader, entry);
        if let Some(reference) = &image.reference {
            let file = reference.sif_name();
            if let Some((other, first)) = files.get(&file) {
                let message = format!(
                    "the images `{other}` (line {}) and `{}` have the same file, {file}",
                    first.line, entry.key
                );
                reader.note(at.error("duplicate_image", message).with_hint("keep one of the two"));
                continue;
            }
            files.insert(file, (entry.key.clone(), at));
        }
        images.insert(entry.key.clone(), image);
    }
    images
}

/// One image, and where its `ref` is.
fn image(reader: &Reader, entry: &Entry) -> (DeclaredImage, Position) {
    let view = View::of(&entry.value);
    let (reference, digest) = (view.parsed::<Reference>("ref"), view.parsed::<Digest>("digest"));
    let own = reference.as_ref().and_then(Reference::digest);
    if let (Some(own), Some(digest)) = (own, &digest)
        && own != digest
    {
        let message = "`digest` and the digest in `ref` are not the same";
        reader.note(view.at("digest").error("two_digests", message).with_hint("keep one of the two"));
    }
    let (reference, digest) = match (reference, digest) {
        (Some(reference), Some(digest)) => (Some(reference.pinned(digest)), None),
        other => other,
    };
    let compression = view.parsed::<Compression>("compression");
    (DeclaredImage { reference, digest, compression }, view.at("ref"))
}

/// Whether a text can be the name of an image: one that a shell, a file and `--update` can hold.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= 200
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::site::Declared;

    fn found(images: &str) -> Result<Declared, Vec<String>> {
        let text = format!("schema: 1\ncache_dir: /c\nimages:\n{images}");
        Declared::parse(&text, Path::new("/s/site.yaml")).map(|(declared, _)| declared).map_err(|findings| {
            findings
                .iter()
                .map(|one| format!("{}:{} {}", one.line.unwrap(), one.column.unwrap(), one.code))
                .collect()
        })
    }

    #[test]
    fn an_image_is_an_engines_or_has_a_reference() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        let declared = found(&format!(
            "  vllm:\n  vllm-gpu: {{digest: '{digest}'}}\n  mine: {{ref: ghcr.io/a/b:1, digest: '{digest}', compression: gzip}}\n"
        ))
        .unwrap();
        assert_eq!(declared.images["vllm"].reference, None);
        assert_eq!(declared.images["vllm-gpu"].digest.as_ref().unwrap().to_string(), digest);
        let mine = declared.images["mine"].reference.as_ref().unwrap();
        assert_eq!(mine.to_string(), format!("ghcr.io/a/b:1@{digest}"));
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (images, expected) in [
            ("  a/b: {ref: c}\n", "4:3 invalid_name"),
            ("  a: {ref: UPPER}\n", "4:12 invalid_image_ref"),
            ("  a: {ref: b, digest: 12}\n", "4:23 wrong_type"),
            ("  a: {ref: b, digest: sha256:12}\n", "4:23 invalid_digest"),
            ("  a: {ref: b, compression: 'zstd:23'}\n", "4:28 unknown_value"),
            ("  a: {ref: b, compression: zip}\n", "4:28 unknown_value"),
            ("  a: {reff: b}\n", "4:7 unknown_key"),
            ("  a: {ref: 'x.io/n:1'}\n  b:\n    ref: y.io/n:1\n", "6:10 duplicate_image"),
            ("  - a\n", "4:3 wrong_type"),
        ] {
            assert_eq!(found(images).unwrap_err(), [expected], "{images}");
        }
        let (one, two) = ("a1".repeat(32), "b2".repeat(32));
        let images = format!("  a: {{ref: 'b@sha256:{one}', digest: 'sha256:{two}'}}\n");
        assert_eq!(found(&images).unwrap_err(), ["4:97 two_digests"]);
    }
}

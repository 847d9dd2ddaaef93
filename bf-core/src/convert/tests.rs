//! What earlier runs and mirrors leave is not believed: an image that can be had is made.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::digest::of_bytes;
use crate::oci::{Platform, Source};
use crate::registry::{BlobStore, Event, Limits, Options, RegistrySource};
use crate::report::Exit;
use crate::settings::Environment;
use crate::web::testing::{Asked, Reply, Server, part, reply};

/// An image of three layers that are not compressed, the top one first.
struct Sample {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
}

/// A tar of one file.
fn tar(name: &str, bytes: usize) -> Vec<u8> {
    let mut header = [0; 512];
    let mut set = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    set(0, name);
    set(100, "0000644\0");
    set(108, "0000000\0");
    set(116, "0000000\0");
    set(124, &format!("{bytes:011o}\0"));
    set(136, "00000000000\0");
    set(148, "        ");
    set(156, "0");
    set(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let content = (0..bytes.next_multiple_of(512))
        .map(|at| if at < bytes { u8::try_from(at % 251).unwrap() } else { 0 });
    header.into_iter().chain(content).chain([0; 1024]).collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", of_bytes(bytes))
}

impl Sample {
    fn new() -> Self {
        let layers = vec![tar("top", 3_000_000), tar("middle", 2_000_000), tar("low", 5000)];
        let from_below = || layers.iter().rev();
        let diff_ids: Vec<_> = from_below().map(|layer| digest(layer)).collect();
        Self::of(layers.clone(), &diff_ids)
    }

    fn of(layers: Vec<Vec<u8>>, diff_ids: &[String]) -> Self {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let config = serde_json::json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let described = |kind: &str, bytes: &[u8]| {
            let media_type = format!("application/vnd.oci.image.{kind}");
            serde_json::json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
        };
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": described("config.v1+json", &config),
            "layers": layers.iter().rev().map(|layer| described("layer.v1.tar", layer)).collect::<Vec<_>>(),
        });
        Self { manifest: manifest.to_string().into_bytes(), config, layers }
    }

    /// Serves it, with other bytes for a layer.
    fn serve(&self, instead: Option<(usize, Vec<u8>)>) -> Server {
        let mut all: Vec<(String, Vec<u8>)> = [&self.config, &self.manifest]
            .into_iter()
            .chain(&self.layers)
            .map(|bytes| (digest(bytes), bytes.clone()))
            .collect();
        if let Some((layer, bytes)) = instead {
            all[layer + 2].1 = bytes;
        }
        let tagged = self.manifest.clone();
        Server::start(move |asked: &Asked| -> Reply {
            let name = asked.path.rsplit('/').next().unwrap();
            match all.iter().find(|(digest, _)| digest == name) {
                _ if asked.path.ends_with("/manifests/tag") => reply(200, &tagged),
                None => reply(404, ""),
                Some((_, bytes)) => asked.from().map_or_else(|| reply(200, bytes), |from| part(bytes, from)),
            }
        })
    }

    fn blob(&self, folder: &Path, layer: usize) -> PathBuf {
        folder.join(digest(&self.layers[layer]).replace(':', "-"))
    }
}

fn order(reference: &Reference) -> Order<'_> {
    let compression = Compression::Gzip(1);
    Order { reference, source: None, compression, threads: NonZeroUsize::MIN, tool: "test" }
}

/// Pulls from a server, and a mirror before it, with what is in the folder of downloads. The SIF's bytes, and what was told.
fn pulled(
    server: &Server,
    mirror: Option<&Server>,
    downloads: &Path,
) -> (Result<Vec<u8>, Failure>, Vec<Event>) {
    let mut options = Options::new(Environment::of(Vec::<(String, String)>::new()));
    options.https = false;
    options.limits = Limits { tries: 3, pause: Duration::from_millis(2), ..Limits::default() };
    options.mirrors = mirror.iter().map(|mirror| format!("http://{}", mirror.host())).collect();
    let reference: Reference = format!("{}/org/name:tag", server.host()).parse().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let tell: Arc<dyn Fn(Told) + Send + Sync> = Arc::new(move |told| {
        if let Told::Registry(event) = told {
            heard.lock().unwrap().push(event);
        }
    });
    let name: Reference = "example.org/org/name:tag".parse().unwrap();
    let order = order(&name);
    let found = find(&reference, &options).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let made = pull(&found, file.as_file(), downloads, &order, options, &|_| Ok(()), &tell);
    let events = std::mem::take(&mut *events.lock().unwrap());
    (made.map(|_| fs_err::read(file.path()).unwrap()), events)
}

/// The SIF that must come of it.
fn expected(sample: &Sample) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    pulled(&sample.serve(None), None, folder.path()).0.unwrap()
}

fn is_made(sample: &Sample, made: (Result<Vec<u8>, Failure>, Vec<Event>)) {
    assert!(made.0.unwrap() == expected(sample), "another SIF");
    assert!(made.1.iter().any(|event| matches!(event, Event::Restarted { .. })), "{:?}", made.1);
}

fn times(server: &Server, bytes: &[u8]) -> usize {
    server.asked().iter().filter(|asked| asked.path.ends_with(&digest(bytes))).count()
}

#[test]
fn a_blob_that_is_said_to_be_complete_and_is_not_is_fetched_again() {
    let sample = Sample::new();
    // As a power cut leaves them: all at once.
    let folder = tempfile::tempdir().unwrap();
    for layer in 0..2 {
        fs_err::write(sample.blob(folder.path(), layer), vec![0; sample.layers[layer].len()]).unwrap();
    }
    fs_err::write(sample.blob(folder.path(), 2), &sample.layers[2]).unwrap();
    let server = sample.serve(None);
    is_made(&sample, pulled(&server, None, folder.path()));
    let asked: Vec<_> = sample.layers.iter().map(|layer| times(&server, layer)).collect();
    assert_eq!(asked, [1, 1, 0], "what was right is not fetched again");
}

#[test]
fn a_wrong_part_of_an_earlier_run_is_replaced() {
    let sample = Sample::new();
    for at in [0, 512 + 5000] {
        let folder = tempfile::tempdir().unwrap();
        let mut part = sample.layers[0][..100_000].to_vec();
        part[at] ^= 1;
        fs_err::write(sample.blob(folder.path(), 0).with_extension("partial"), part).unwrap();
        is_made(&sample, pulled(&sample.serve(None), None, folder.path()));
    }
}

#[test]
fn what_a_mirror_damages_comes_from_the_registry() {
    let sample = Sample::new();
    for layer in 0..2 {
        for at in [0, 1_000_000] {
            let mut wrong = sample.layers[layer].clone();
            wrong[at] ^= 1;
            let (server, mirror) = (sample.serve(None), sample.serve(Some((layer, wrong))));
            let folder = tempfile::tempdir().unwrap();
            is_made(&sample, pulled(&server, Some(&mirror), folder.path()));
            assert!(times(&server, &sample.layers[layer]) >= 1);
        }
    }
}

#[test]
fn a_layer_that_is_right_and_no_tar_is_told_at_once() {
    let no_tar = vec![b'x'; 100_000];
    let diff_ids = [digest(&no_tar)];
    let sample = Sample::of(vec![no_tar], &diff_ids);
    let (server, folder) = (sample.serve(None), tempfile::tempdir().unwrap());
    let (made, events) = pulled(&server, None, folder.path());
    let failure = made.unwrap_err();
    assert_eq!((failure.exit, failure.code), (Exit::Invalid, "layer_damaged"), "{failure}");
    // Its beginning tells. Once more only for the rest, where that had not come.
    assert!(times(&server, &sample.layers[0]) <= 2);
    assert!(!events.iter().any(|event| matches!(event, Event::Restarted { .. })), "{events:?}");
}

#[test]
fn what_a_layer_begins_with_is_told_while_its_rest_does_not_come() {
    // Both a tar with a name that leads out of the image, and what is none. The first bytes are all that ever comes.
    for layer in [tar("../outside", 3_000_000), vec![b'x'; 3_000_000]] {
        let sample = Sample::of(vec![layer.clone()], &[digest(&layer)]);
        let all = [sample.manifest.clone(), sample.config.clone()];
        let server = Server::start(move |asked| {
            let name = asked.path.rsplit('/').next().unwrap();
            match all.iter().find(|bytes| digest(bytes) == name) {
                Some(bytes) => reply(200, bytes),
                None => reply(200, &layer).cut(4096).hang(Duration::from_mins(1)),
            }
        });
        let mut options = Options::new(Environment::of(Vec::<(String, String)>::new()));
        options.https = false;
        let reference = format!("{}/org/name@{}", server.host(), digest(&sample.manifest)).parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::new(folder.path().join("blobs")).unwrap();
        let source = RegistrySource::new(&reference, store, options).unwrap();
        let image = source.image(&Platform::of_host()).unwrap();
        let (file, mut unusable) = (tempfile::tempfile().unwrap(), None);
        let begun = Instant::now();
        let failure = attempt(&image, &file, &order(&reference), &mut |_| {}, &mut unusable).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(20), "the registry's stall was waited for");
        assert_eq!((failure.exit, unusable), (Exit::Invalid, Some(&image.layers()[0])), "{failure}");
        assert!(failure.message.contains(&digest(&sample.layers[0])), "{failure}");
    }
}

#[test]
fn a_registry_that_has_wrong_bytes_is_named() {
    let sample = Sample::new();
    let mut wrong = sample.layers[0].clone();
    wrong[0] ^= 1;
    let (server, folder) = (sample.serve(Some((0, wrong))), tempfile::tempdir().unwrap());
    let failure = pulled(&server, None, folder.path()).0.unwrap_err();
    assert!(failure.message.contains(&server.host()), "{failure}");
    assert_eq!((failure.exit, failure.code), (Exit::Invalid, "content_damaged"));
}

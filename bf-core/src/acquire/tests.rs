//! From a listing to files, against a small Hub.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::digest;
use crate::hub::{Endpoint, Hub, Options};
use crate::model::ModelId;
use crate::model::choose::{Choice, Why};
use crate::progress::News;
use crate::report::{Exit, Failure};
use crate::settings::Environment;
use crate::web::testing::{Asked, Reply, Server, reply};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files, and what else is in the answer about the model.
fn hub(files: &'static [(&'static str, &'static str)], more: &'static str) -> (Server, Hub) {
    let server = Server::start(move |asked: &Asked| -> Reply {
        if asked.path.starts_with("/api/models/") {
            let siblings = files.iter().map(|(path, text)| {
                let (hash, bytes) = (digest::of_bytes(text.as_bytes()), text.len());
                format!(
                    r#"{{"rfilename":"{path}","size":{bytes},"blobId":"{}","lfs":{{"sha256":"{hash}","size":{bytes}}}}}"#,
                    "0a".repeat(20)
                )
            });
            let siblings: Vec<String> = siblings.collect();
            return reply(
                200,
                format!(r#"{{"id":"Org/Name","sha":"{COMMIT}",{more}"siblings":[{}]}}"#, siblings.join(",")),
            );
        }
        let found = files.iter().find(|(path, _)| asked.path.ends_with(&format!("{COMMIT}/{path}")));
        found.map_or_else(|| reply(404, ""), |(_, text)| reply(200, text))
    });
    let mut options = Options::new(Environment::default()).unwrap();
    options.endpoint = Endpoint::parse(&format!("http://{}", server.host())).unwrap();
    (server, Hub::new(options).unwrap())
}

fn asked(hub: &Hub, places: &Places, choice: &Choice) -> Result<Outline, Failure> {
    let id: ModelId = "org/name".parse().unwrap();
    outline(hub, &Ask { id: &id, revision: None, exact: None, choice }, places)
}

const FILES: &[(&str, &str)] = &[
    ("LICENSE", "Apache License"),
    ("config.json", "{}"),
    ("copy.json", "{}"),
    ("model.safetensors", "the weights of it"),
    ("pytorch_model.bin", "the same in pickle"),
];

const BARE: &[(&str, &str)] = &[("model.safetensors", "x")];

fn at(folder: &Path) -> Places {
    Places { blobs: folder.join("blobs"), downloads: vec![folder.join("downloads")] }
}

#[test]
fn what_is_outlined_is_fetched_and_what_is_there_is_not() {
    let (server, hub) = hub(FILES, r#""cardData":{"license":"apache-2.0"},"#);
    let dir = tempfile::tempdir().unwrap();
    let places = at(dir.path());
    let first = asked(&hub, &places, &Choice::default()).unwrap();
    assert_eq!((first.id().to_string().as_str(), first.commit()), ("Org/Name", COMMIT));
    assert_eq!((first.bytes(), first.to_fetch(), first.is_restricted()), (33, 33, false));
    let summary = first.summary();
    assert_eq!((summary.left_out_bytes, summary.left_out[0].why), (18, Why::Pickle));
    assert_eq!(summary.sentence(), "commit 0123456789ab, safetensors, 4 files, 33 B, all to fetch");
    assert_eq!(
        summary.lines(),
        [
            "left out: 1 file, which saves 18 B",
            "  can hold code: 18 B: pytorch_model.bin",
            "the Hub calls org/name Org/Name: that is its name here as well",
        ]
    );
    assert_eq!(summary.license_files, ["LICENSE"]);

    // Bytes of the whole, and of the files that have come.
    let counted = Arc::new(Mutex::new((0, 0)));
    let sums = Arc::clone(&counted);
    let teller: Teller = Arc::new(move |told| match told.news() {
        News::Total(bytes) => sums.lock().unwrap().0 = bytes,
        News::PartEnds { total, .. } => sums.lock().unwrap().1 += total,
        _ => {}
    });
    let (downloads, blobs) = (dir.path().join("downloads"), dir.path().join("blobs"));
    let before = server.asked().len();
    let files = fetch(&hub, &first, &downloads, &blobs, &teller).unwrap();
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["LICENSE", "config.json", "copy.json", "model.safetensors"]);
    assert_eq!(server.asked().len() - before, 3, "each content once");
    assert_eq!(*counted.lock().unwrap(), (33, 33));

    // What an earlier try has left; then what the store has, of which one is damaged.
    let left = asked(&hub, &places, &Choice::default()).unwrap();
    assert_eq!((left.begun, left.to_fetch()), (33, 0));
    fs_err::rename(&downloads, &blobs).unwrap();
    let weights = digest::of_bytes(FILES[3].1.as_bytes());
    fs_err::write(blobs.join(&weights), "THE weights of it").unwrap();
    let there = asked(&hub, &places, &Choice::default()).unwrap();
    assert_eq!((there.to_fetch(), there.missing().len()), (0, 0));
    let before = server.asked().len();
    let files = fetch(&hub, &there, &downloads, &blobs, &teller).unwrap();
    assert_eq!(server.asked().len() - before, 1);
    assert_eq!(files[3].from, downloads.join(&weights));
    assert_eq!(files[0].from, blobs.join(digest::of_bytes(FILES[0].1.as_bytes())));
    assert_eq!(files[0].sha256.as_deref(), files[0].blob.as_deref());
}

#[test]
fn what_cannot_be_chosen_says_so_before_anything_is_fetched() {
    let places = Places::default();
    let refused = |files, choice: &Choice| {
        let (server, hub) = hub(files, "");
        let failure = asked(&hub, &places, choice).unwrap_err();
        assert_eq!((server.asked().len(), failure.exit), (1, Exit::Invalid), "{failure}");
        assert!(failure.message.starts_with("Org/Name: "), "{failure}");
        failure.code
    };
    assert_eq!(refused(&[("pytorch_model.bin", "x")], &Choice::default()), "pickle_refused");
    assert_eq!(refused(&[("README.md", "x")], &Choice::default()), "model_without_weights");
    let gguf = Choice { format: "gguf".parse().ok(), ..Choice::default() };
    assert_eq!(refused(FILES, &gguf), "model_without_weights");
    let only = Choice { exclude: vec!["model.*".parse().unwrap()], ..Choice::default() };
    assert_eq!(refused(FILES, &only), "pickle_refused");
}

#[test]
fn a_commit_must_be_answered_with_itself() {
    let (_server, hub) = hub(FILES, "");
    let id: ModelId = "Org/Name".parse().unwrap();
    let go = |exact: &str| {
        let ask = Ask { id: &id, revision: Some("v1"), exact: Some(exact), choice: &Choice::default() };
        outline(&hub, &ask, &Places::default())
    };
    assert_eq!(go(&"9".repeat(40)).unwrap_err().code, "hub_listing");
    assert_eq!(go(COMMIT).unwrap().revision.as_deref(), Some("v1"));
}

#[test]
fn terms_that_do_not_come_with_it_are_named() {
    let notes = |files, more| {
        let (_server, hub) = hub(files, more);
        let choice = Choice { exclude: vec!["LICEN*".parse().unwrap()], ..Choice::default() };
        let id: ModelId = "Org/Name".parse().unwrap();
        let ask = Ask { id: &id, revision: None, exact: None, choice: &choice };
        outline(&hub, &ask, &Places::default()).unwrap().summary().notes
    };
    assert_eq!(notes(FILES, ""), ["the text of its licence, LICENSE, is left out"]);
    assert_eq!(notes(BARE, ""), ["it has no text of a licence, and its card names none"]);
    let card = r#""private":true,"cardData":{"license":"gemma","license_link":"https://ai.google.dev/gemma/terms"},"#;
    assert_eq!(
        notes(BARE, card),
        [
            "it is private on the Hub: its licence says who may use it",
            "it has no text of its licence; its card says gemma, to be read at https://ai.google.dev/gemma/terms"
        ]
    );
}

#[test]
fn a_revision_is_kept_under_its_name_and_a_commit_under_all_of_it() {
    let (_server, hub) = hub(FILES, "");
    let dir = tempfile::tempdir().unwrap();
    let layout = crate::site::Layout::new(dir.path());
    let id: ModelId = "org/name".parse().unwrap();
    for (revision, kept) in [
        (None, None),
        (Some("main"), None),
        (Some("v1"), Some("v1")),
        (Some(&COMMIT[..9]), Some(COMMIT)),
        (Some("abcdef0"), Some("abcdef0")),
    ] {
        let ask = Ask { id: &id, revision, exact: None, choice: &Choice::default() };
        let outline = outline_for(&hub, &ask, &layout).unwrap();
        assert_eq!(outline.asked_as(), kept, "{revision:?}");
        assert_eq!(outline.summary().renamed_from.as_deref(), Some("org/name"), "and under the Hub's name");
    }
}

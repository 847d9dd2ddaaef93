//! What a Hub, and the servers that it sends us to, can do to us.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::download::Download;
use super::*;
use crate::digest::of_bytes;
use crate::model::{ModelId, Revision};
use crate::report::{Exit, Explain};
use crate::settings::Environment;
use crate::web::testing::{Asked, Reply, Server, reply};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The smallest part in tests.
const PART: usize = 4096;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + at / 251) % 251).unwrap()).collect()
}

fn environment(values: &[(&str, &str)]) -> Environment {
    Environment::of(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn options(server: &Server, values: &[(&str, &str)]) -> (Options, Arc<Mutex<Vec<Event>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let mut options = Options::new(environment(values)).unwrap();
    options.endpoint = Endpoint::parse(&format!("http://{}", server.host())).unwrap();
    options.part = PART as u64;
    options.limits = Limits {
        stall: Duration::from_millis(700),
        tries: 4,
        pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(50),
        ..options.limits
    };
    options.progress = Arc::new(move |event| told.lock().unwrap().push(event));
    (options, events)
}

fn hub(server: &Server) -> Hub {
    Hub::new(options(server, &[]).0).unwrap()
}

fn listed(hub: &Hub) -> Result<Listing, HubError> {
    hub.listing(&"org/name".parse().unwrap(), &"main".parse().unwrap())
}

fn file(path: &str, body: &[u8]) -> RemoteFile {
    RemoteFile { path: path.into(), bytes: body.len() as u64, hash: FileHash::Sha256(of_bytes(body)) }
}

/// A listing that nobody was asked for.
fn listing(files: Vec<RemoteFile>) -> Listing {
    Listing {
        id: "org/name".parse().unwrap(),
        renamed_from: None,
        commit: COMMIT.into(),
        files,
        gated: false,
        private: false,
        license: None,
        license_link: None,
        pipeline_tag: None,
        library_name: None,
        tags: Vec::new(),
        parameters: std::collections::BTreeMap::new(),
    }
}

/// Where a request wants to begin and end.
fn range(asked: &Asked) -> Option<(usize, usize)> {
    let (from, last) = asked.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    Some((from.parse().unwrap(), last.parse::<usize>().unwrap() + 1))
}

/// A server of files that does all right.
fn good(body: &[u8], asked: &Asked) -> Reply {
    match range(asked) {
        None => reply(200, body),
        Some((from, end)) => {
            let range = format!("bytes {from}-{}/{}", end - 1, body.len());
            reply(206, &body[from..end]).with("Content-Range", range)
        }
    }
}

fn fetch(hub: &Hub, files: &[RemoteFile], store: &Path) -> Result<Vec<Fetched>, HubError> {
    hub.fetch(&listing(files.to_vec()), files, store, &|_| false)
}

/// Fetches one file over one connection; how often was asked.
fn fetched(body: &[u8], answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Result<usize, HubError> {
    let server = Server::start(answer);
    let mut options = options(&server, &[]).0;
    options.limits.at_once = 1;
    let folder = tempfile::tempdir().unwrap();
    let file = file("a/model.bin", body);
    let result = fetch(&Hub::new(options).unwrap(), std::slice::from_ref(&file), folder.path());
    let asked = server.asked().len();
    match result {
        Ok(found) => {
            assert_eq!(found.len(), 1);
            assert_eq!(names(folder.path()), [file.hash.hex()]);
            assert_eq!(fs_err::read(folder.path().join(&found[0].blob)).unwrap(), body);
            Ok(asked)
        }
        Err(error) => {
            assert!(!folder.path().join(file.hash.hex()).exists());
            Err(error)
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn info(siblings: &serde_json::Value) -> String {
    serde_json::json!({
        "id": "Org/Name", "sha": COMMIT, "private": false, "gated": "auto", "pipeline_tag": "text-generation",
        "library_name": "transformers", "tags": ["a", "license:mit"], "cardData": { "license": "apache-2.0" },
        "safetensors": { "parameters": { "BF16": 5 }, "total": 5 }, "siblings": siblings,
    })
    .to_string()
}

#[test]
fn a_model_is_listed_under_its_own_name() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/models/org/name/revision/refs%2Fpr%2F1?blobs=true" => {
            reply(307, "").with("Location", "/api/models/Org/Name/revision/refs%2Fpr%2F1?blobs=true")
        }
        "/api/models/Org/Name/revision/refs%2Fpr%2F1?blobs=true" => {
            reply(200, info(&serde_json::json!([{ "rfilename": "a", "size": 3, "blobId": "0a".repeat(20) }])))
        }
        _ => reply(500, ""),
    });
    let (mut with_token, _) = options(&server, &[("HF_TOKEN", "hidden")]);
    with_token.limits.at_once = 1;
    let hub = Hub::new(with_token).unwrap();
    let id: ModelId = "org/name".parse().unwrap();
    let listing = hub.listing(&id, &"refs/pr/1".parse::<Revision>().unwrap()).unwrap();
    assert_eq!((listing.id.to_string().as_str(), &listing.renamed_from), ("Org/Name", &Some(id)));
    assert_eq!((listing.commit.as_str(), listing.gated, listing.private), (COMMIT, true, false));
    assert_eq!(listing.license.as_deref(), Some("apache-2.0"));
    assert_eq!(listing.parameters["BF16"], 5);
    assert_eq!(listing.files[0].hash, FileHash::GitSha1("0a".repeat(20)));
    assert!(server.asked().iter().all(|asked| asked.header("authorization") == Some("Bearer hidden")));
    assert!(!format!("{hub:?}").contains("hidden"));
}

#[test]
fn where_sizes_are_missing_the_tree_is_read_page_by_page() {
    let server = Server::start(|asked| {
        let entry = |path: &str| {
            serde_json::json!([{ "type": "file", "path": path, "size": 3, "oid": "0a".repeat(20) },
            { "type": "directory", "path": "d", "oid": "0b".repeat(20) }])
        };
        let tree = format!("/api/models/Org/Name/tree/{COMMIT}?recursive=true");
        let page = format!("{tree}&cursor=2");
        match asked.path.as_str() {
            path if path == tree => {
                reply(200, entry("a").to_string()).with("Link", format!("<{page}>; rel=\"next\""))
            }
            path if path == page => reply(200, entry("d/b").to_string()),
            _ => reply(200, info(&serde_json::json!([{ "rfilename": "a" }, { "rfilename": "d/b" }]))),
        }
    });
    let listing = listed(&hub(&server)).unwrap();
    assert_eq!(listing.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "d/b"]);
    let server = Server::start(|asked| {
        if asked.path.contains("/tree/") {
            return reply(200, "[]").with("Link", "<http://other.invalid/x>; rel=\"next\"");
        }
        reply(200, info(&serde_json::json!([{ "rfilename": "a" }])))
    });
    let error = listed(&hub(&server)).unwrap_err();
    assert!(
        matches!(&error, HubError::Listing { reason, .. } if reason.contains("another server")),
        "{error}"
    );
}

#[test]
fn a_hostile_listing_is_refused() {
    for (path, hash) in [("../x", "0a"), ("/x", "0a"), ("a\0", "0a"), ("a", "..")] {
        let sibling = serde_json::json!([{ "rfilename": path, "size": 3, "blobId": hash.repeat(20) }]);
        let server = Server::start(move |_| reply(200, info(&sibling)));
        let error = listed(&hub(&server)).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("hub_listing", Exit::Invalid), "{error}");
    }
    let server = Server::start(|_| reply(200, "<html>").with("Content-Type", "text/html; charset=utf-8"));
    assert_eq!(listed(&hub(&server)).unwrap_err().code(), "hub_page");
    let server = Server::start(|_| reply(200, r#"{"id":"#));
    assert_eq!(listed(&hub(&server)).unwrap_err().code(), "hub_listing");
}

#[test]
fn refusals_of_the_hub_are_told_apart() {
    let said = |status: u16, code: &'static str, token: bool| {
        let server = Server::start(move |_| {
            let answer = reply(status, r#"{"error":"why hidden"}"#);
            if code.is_empty() { answer } else { answer.with("X-Error-Code", code) }
        });
        let token: &[(&str, &str)] = if token { &[("HF_TOKEN", "hidden")] } else { &[] };
        let hub = Hub::new(options(&server, token).0).unwrap();
        let error = listed(&hub).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hidden") || token.is_empty(), "{error}");
        let file = file("a", b"it");
        let of_file = hub.text(&listing(vec![file]), "a", 9).unwrap_err();
        (error, of_file)
    };
    let codes = |(error, of_file): (HubError, HubError)| (error.code(), of_file.code());
    assert_eq!(codes(said(404, "RepoNotFound", true)), ("model_not_found", "model_not_found"));
    assert_eq!(codes(said(401, "RepoNotFound", false)), ("model_not_found", "model_not_found"));
    assert_eq!(codes(said(401, "", false)), ("model_not_found", "model_not_found"));
    assert_eq!(codes(said(404, "RevisionNotFound", false)), ("revision_not_found", "revision_not_found"));
    assert_eq!(said(404, "EntryNotFound", false).1.code(), "model_file_not_found");
    assert_eq!(codes(said(401, "", true)), ("hub_token_refused", "hub_token_refused"));
    assert_eq!(codes(said(403, "DisabledRepo", false)), ("model_disabled", "model_disabled"));
    assert_eq!(codes(said(400, "", false)), ("hub_refused", "hub_refused"));
    for (status, token, word) in [(401, false, "accept its terms at"), (403, true, "ask for access at")] {
        let (_, error) = said(status, "GatedRepo", token);
        let hint = error.hint().unwrap();
        assert_eq!((error.code(), error.exit()), ("model_gated", Exit::Permission));
        assert!(hint.contains(word) && hint.contains("/org/name"), "{hint}");
    }
}

#[test]
fn a_gated_model_is_asked_for_one_byte_first() {
    let server = Server::start(|asked| good(b"it", asked));
    let mut gated = listing(vec![file("a", b"it")]);
    let hub = hub(&server);
    hub.check_access(&gated).unwrap();
    assert!(server.asked().is_empty(), "not gated");
    gated.gated = true;
    hub.check_access(&gated).unwrap();
    assert_eq!(server.asked()[0].header("range"), Some("bytes=0-0"));
}

#[test]
fn offline_asks_nobody() {
    let server = Server::start(|_| reply(500, ""));
    let hub = Hub::new(options(&server, &[("HF_HUB_OFFLINE", "YES")]).0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = file("a", b"it");
    for error in [listed(&hub).unwrap_err(), fetch(&hub, &[file], folder.path()).unwrap_err()] {
        assert_eq!((error.code(), error.exit()), ("hub_offline", Exit::Unreachable), "{error}");
    }
    assert!(server.asked().is_empty());
}

#[test]
fn the_token_is_not_for_where_we_are_sent() {
    let body = content(3000);
    let whole = body.clone();
    let elsewhere = Server::start(move |asked| match asked.header("authorization") {
        None => good(&whole, asked),
        Some(_) => reply(400, ""),
    });
    let target = format!("http://{}/signed?secret=yes", elsewhere.host());
    let server = Server::start(move |asked| match asked.header("authorization") {
        Some("Bearer hidden") => reply(302, "").with("Location", &target),
        _ => reply(401, ""),
    });
    let hub = Hub::new(options(&server, &[("HF_TOKEN", "hidden")]).0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fetch(&hub, &[file("a", &body)], folder.path()).unwrap();
    assert_eq!(server.asked()[0].path, format!("/org/name/resolve/{COMMIT}/a"));
    assert!(elsewhere.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn a_signature_that_ended_is_made_anew() {
    let body = content(30_000);
    let whole = body.clone();
    let elsewhere = Server::start(move |asked| {
        if asked.path.ends_with("=1") {
            return if range(asked).is_none() { good(&whole, asked).cut(9000) } else { reply(403, "late") };
        }
        if asked.path.ends_with("=2") { reply(403, "late") } else { good(&whole, asked) }
    });
    let (target, signed) = (format!("http://{}/signed", elsewhere.host()), AtomicUsize::new(0));
    let asked = fetched(&body, move |_| {
        let number = signed.fetch_add(1, Ordering::SeqCst) + 1;
        reply(302, "").with("Location", format!("{target}?n={number}"))
    });
    assert_eq!(asked.unwrap(), 3);
    assert_eq!(range(&elsewhere.asked()[2]), Some((9000, 30_000)), "the byte that was reached");
}

#[test]
fn what_breaks_off_is_resumed_to_the_byte() {
    let body = content(100_000);
    let whole = body.clone();
    let asked = fetched(&body, move |asked| {
        let left = range(asked).map_or(whole.len(), |(from, end)| end - from);
        good(&whole, asked).cut(left.min(9999))
    });
    assert_eq!(asked.unwrap(), 11, "more breaks than tries, each with progress");
}

#[test]
fn a_stall_ends_and_an_error_that_passes_is_waited_for() {
    let body = content(10_000);
    let (whole, tries) = (body.clone(), AtomicUsize::new(0));
    let asked = fetched(&body, move |asked| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => good(&whole, asked).cut(5000).hang(Duration::from_secs(3)),
        1 => reply(503, ""),
        2 => reply(429, "").with("RateLimit", "\"resolvers\";r=0;t=3600"),
        _ => good(&whole, asked),
    });
    assert_eq!(asked.unwrap(), 4);
    let server = Server::start(|_| reply(429, "").with("Retry-After", "3600"));
    let (options, events) = options(&server, &[]);
    let error = listed(&Hub::new(options).unwrap()).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("hub_limited", Exit::Busy));
    let Event::Waiting { wait, .. } = &events.lock().unwrap()[0] else { panic!() };
    assert_eq!(*wait, Duration::from_millis(50), "capped");
    assert_eq!(fetched(b"it", |_| reply(500, "")).unwrap_err().code(), "hub_unreachable");
}

#[test]
fn a_server_that_gives_a_byte_each_time_is_given_up() {
    let body = content(3000);
    let whole = body.clone();
    let server = Server::start(move |asked| good(&whole, asked).cut(1).hang(Duration::from_millis(5)));
    let mut options = options(&server, &[]).0;
    (options.limits.window, options.limits.slowest) = (Duration::from_millis(50), 5000);
    options.limits.at_once = 1;
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&Hub::new(options).unwrap(), &[file("m.bin", &body)], folder.path()).unwrap_err();
    assert_eq!((error.exit(), server.asked().len()), (Exit::Unreachable, 4), "{error}");
}

#[test]
fn tries_are_given_back_to_each_connection_for_what_it_brought() {
    let body = content(32 * PART);
    let whole = body.clone();
    // Each part breaks off more often than there are tries.
    let server = Server::start(move |asked| {
        let (from, end) = range(asked).unwrap_or((0, whole.len()));
        good(&whole, asked).cut((PART / 8).min(end - from))
    });
    let mut options = options(&server, &[]).0;
    options.limits.at_once = 8;
    let folder = tempfile::tempdir().unwrap();
    let files = [file("m.bin", &body)];
    fetch(&Hub::new(options).unwrap(), &files, folder.path()).unwrap();
    assert_eq!(fs_err::read(folder.path().join(files[0].hash.hex())).unwrap(), body);
}

#[test]
fn who_cannot_resume_begins_again() {
    let body = content(10_000);
    for way in 0..3 {
        let (whole, tries) = (body.clone(), AtomicUsize::new(0));
        let asked =
            fetched(&body, move |asked| match (tries.fetch_add(1, Ordering::SeqCst), range(asked), way) {
                (0, ..) => reply(200, &whole).cut(5000),
                (_, Some(_), 1) => reply(416, ""),
                (_, Some(_), 2) => reply(206, &whole[4000..]).with("Content-Range", "bytes 4000-9999/10000"),
                _ => reply(200, &whole),
            });
        assert_eq!(asked.unwrap(), if way == 0 { 2 } else { 3 });
    }
}

#[test]
fn what_is_wrong_is_tried_once_more_and_then_refused() {
    let body = content(10_000);
    let mut wrong = body.clone();
    wrong[9_999] ^= 1;
    let (whole, flipped, tries) = (body.clone(), wrong.clone(), AtomicUsize::new(0));
    let asked = fetched(&body, move |asked| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => good(&flipped, asked),
        _ => good(&whole, asked),
    });
    assert_eq!(asked.unwrap(), 2);
    let error = fetched(&body, move |asked| good(&wrong, asked)).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("content_damaged", Exit::Invalid));
    assert!(error.to_string().contains("a/model.bin of org/name"), "{error}");
    let long = [body.as_slice(), b"more"].concat();
    let unannounced = long.clone();
    for error in [
        fetched(&body, move |_| reply(200, &long)).unwrap_err(),
        fetched(&body, move |_| Reply { headers: Vec::new(), ..reply(200, &unannounced) }).unwrap_err(),
    ] {
        assert_eq!(error.code(), "content_damaged", "{error}");
    }
    let short = body[..5000].to_vec();
    let error = fetched(&body, move |_| reply(200, &short)).unwrap_err();
    assert_eq!(error.code(), "hub_unreachable", "{error}");
}

#[test]
fn a_page_is_no_file_of_a_model_unless_it_is_one() {
    let page = |_: &Asked| reply(200, "<html>login</html>").with("Content-Type", "text/html");
    let error = fetched(b"it", page).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("hub_page", Exit::Unreachable), "{error}");
    let server = Server::start(page);
    let listing = listing(vec![file("index.html", b"<html>login</html>")]);
    assert_eq!(hub(&server).text(&listing, "index.html", 99).unwrap(), b"<html>login</html>");
}

#[test]
fn small_files_are_verified_and_heads_are_cut() {
    let body = content(10_000);
    let whole = body.clone();
    let server = Server::start(move |asked| match asked.path.rsplit('/').next().unwrap() {
        "parts" => good(&whole, asked),
        _ => reply(200, &whole),
    });
    let listing = listing(vec![
        file("none", b""),
        file("parts", &body),
        file("whole", &body),
        RemoteFile { hash: FileHash::Sha256("0".repeat(64)), ..file("wrong", &body) },
    ]);
    let hub = hub(&server);
    assert_eq!(hub.text(&listing, "parts", 10_000).unwrap(), body);
    assert_eq!(hub.text(&listing, "parts", 9_999).unwrap_err().code(), "model_file_too_long");
    assert_eq!(hub.text(&listing, "wrong", 10_000).unwrap_err().code(), "content_damaged");
    assert_eq!(hub.text(&listing, "other", 10_000).unwrap_err().code(), "model_file_not_found");
    for path in ["parts", "whole"] {
        assert_eq!(hub.head(&listing, path, 100).unwrap(), body[..100]);
        assert_eq!(hub.head(&listing, path, 1 << 40).unwrap(), body);
    }
    assert!(hub.head(&listing, "none", 9).unwrap().is_empty());
}

#[test]
fn several_files_come_at_once_each_content_once() {
    let bodies: Vec<Vec<u8>> = (0..6).map(|number| content(number * 30_000)).collect();
    let files: Vec<RemoteFile> =
        bodies.iter().enumerate().map(|(number, body)| file(&format!("f{number}"), body)).collect();
    let contents = bodies.clone();
    let server = Server::start(move |asked| {
        let number: usize = asked.path.rsplit('f').next().unwrap().parse().unwrap();
        good(&contents[number], asked)
    });
    let (options, events) = options(&server, &[]);
    let hub = Hub::new(options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let again = RemoteFile { path: "again".into(), ..files[1].clone() };
    let wanted: Vec<RemoteFile> = files.iter().cloned().chain([again]).collect();
    let found =
        hub.fetch(&listing(wanted.clone()), &wanted, folder.path(), &|file| file.path == "f5").unwrap();
    let paths: Vec<_> = found.iter().map(|fetched| fetched.path.as_str()).collect();
    assert_eq!(paths, ["f0", "f1", "f2", "f3", "f4", "again"]);
    for (fetched, body) in found[..5].iter().zip(&bodies) {
        assert_eq!((fetched.sha256.as_str(), fetched.bytes), (of_bytes(body).as_str(), body.len() as u64));
        assert_eq!(&fs_err::read(folder.path().join(&fetched.blob)).unwrap(), body);
    }
    assert_eq!(names(folder.path()).len(), 5);
    let finished =
        events.lock().unwrap().iter().filter(|event| matches!(event, Event::Finished { .. })).count();
    assert_eq!(finished, 5);
    let before = server.asked().len();
    assert_eq!(fetch(&hub, &wanted[..5], folder.path()).unwrap(), found[..5], "what is there is used");
    assert_eq!(server.asked().len(), before);
}

#[test]
fn one_large_file_comes_in_parts_and_is_known_after_a_kill() {
    let body = content(100 * PART);
    let (whole, tries) = (body.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&tries);
    let server = Server::start(move |asked| match counted.fetch_add(1, Ordering::SeqCst) {
        // Then it is over.
        number if number < 12 => good(&whole, asked),
        number if number < 1000 => reply(404, "").with("X-Error-Code", "EntryNotFound"),
        _ => good(&whole, asked),
    });
    let hub = hub(&server);
    let folder = tempfile::tempdir().unwrap();
    let file = RemoteFile { hash: FileHash::GitSha1(git_sha1(&body)), ..file("model.safetensors", &body) };
    let wanted = std::slice::from_ref(&file);
    assert_eq!(fetch(&hub, wanted, folder.path()).unwrap_err().code(), "model_file_not_found");
    let name = file.hash.hex();
    assert_eq!(names(folder.path()), [format!("{name}.partial"), format!("{name}.ranges")]);
    tries.store(1000, Ordering::SeqCst);
    let asked = server.asked().len();
    let found = fetch(&hub, wanted, folder.path()).unwrap();
    assert_eq!(found[0].sha256, of_bytes(&body));
    assert_eq!(names(folder.path()), [name]);
    assert_eq!(fs_err::read(folder.path().join(name)).unwrap(), body);
    let second: usize = server.asked()[asked..].iter().filter_map(range).map(|(from, end)| end - from).sum();
    assert!(second > 0 && second < body.len() * 9 / 10, "{second}");
}

fn git_sha1(body: &[u8]) -> String {
    use sha1::Digest as _;
    let hash = sha1::Sha1::new_with_prefix(format!("blob {}\0", body.len()));
    crate::digest::hex(&hash.chain_update(body).finalize())
}

#[test]
fn a_server_without_parts_is_no_trouble_for_many_connections() {
    let body = content(100 * PART);
    let whole = body.clone();
    let server = Server::start(move |_| reply(200, &whole));
    let (options, events) = options(&server, &[]);
    let folder = tempfile::tempdir().unwrap();
    let found = fetch(&Hub::new(options).unwrap(), &[file("a", &body)], folder.path()).unwrap();
    assert_eq!(fs_err::read(folder.path().join(&found[0].blob)).unwrap(), body);
    let restarts =
        events.lock().unwrap().iter().filter(|event| matches!(event, Event::Restarted { .. })).count();
    assert_eq!(restarts, 1);
}

#[test]
fn what_an_earlier_run_left_is_used_or_replaced() {
    let body = content(50_000);
    for (left, expected) in [
        (&body[..20_000], Some((20_000, 50_000))),
        (&content(60_000)[..], None),
        (&vec![7; 20_000][..], Some((20_000, 50_000))),
    ] {
        let whole = body.clone();
        let server = Server::start(move |asked| good(&whole, asked));
        let (mut options, _) = options(&server, &[]);
        options.limits.at_once = 1;
        let folder = tempfile::tempdir().unwrap();
        let file = file("a", &body);
        fs_err::write(folder.path().join(format!("{}.partial", file.hash.hex())), left).unwrap();
        let found = fetch(&Hub::new(options).unwrap(), &[file], folder.path()).unwrap();
        assert_eq!(fs_err::read(folder.path().join(&found[0].blob)).unwrap(), body);
        assert_eq!(range(&server.asked()[0]), expected);
    }
}

#[test]
fn a_link_in_the_folder_leads_nowhere() {
    let server = Server::start(|asked| good(b"it", asked));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    fs_err::write(&target, "mine").unwrap();
    let store = folder.path().join("store");
    fs_err::create_dir(&store).unwrap();
    let file = file("a", b"it");
    let link = store.join(format!("{}.partial", file.hash.hex()));
    fs_err::os::unix::fs::symlink(&target, link).unwrap();
    assert_eq!(fetch(&hub(&server), &[file], &store).unwrap_err().exit(), Exit::Invalid);
    assert_eq!(fs_err::read(&target).unwrap(), b"mine");
}

#[test]
fn the_first_error_ends_all_of_it() {
    let (one, other) = (content(10_000), content(20_000));
    let whole = other.clone();
    let server = Server::start(move |asked| {
        if asked.path.ends_with("/b") {
            good(&whole, asked).cut(100).hang(Duration::from_secs(20))
        } else {
            reply(404, "").with("X-Error-Code", "EntryNotFound")
        }
    });
    let (mut options, _) = options(&server, &[]);
    options.limits.stall = Duration::from_mins(1);
    let hub = Hub::new(options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&hub, &[file("a", &one), file("b", &other)], folder.path()).unwrap_err();
    assert_eq!(error.code(), "model_file_not_found");
    assert!(!hub.options.cancel.is_cancelled(), "it can still be used");
}

#[test]
fn who_gives_up_is_not_kept_waiting() {
    let body = content(20_000);
    let whole = body.clone();
    let server = Server::start(move |asked| good(&whole, asked).cut(5000).hang(Duration::from_secs(20)));
    let (mut options, _) = options(&server, &[]);
    options.limits.stall = Duration::from_mins(1);
    options.limits.at_once = 1;
    let (cancel, seen) = (options.cancel.clone(), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&seen);
    options.progress = Arc::new(move |event| {
        if let Event::Started { .. } = event {
            told.fetch_add(1, Ordering::SeqCst);
        }
    });
    let hub = Hub::new(options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let error = std::thread::scope(|scope| {
        let fetching = scope.spawn(|| fetch(&hub, &[file("a", &body)], folder.path()).unwrap_err());
        let partial = folder.path().join(format!("{}.partial", of_bytes(&body)));
        while !fetching.is_finished() && fs_err::metadata(&partial).map_or(0, |there| there.len()) < 5000 {
            std::thread::yield_now();
        }
        cancel.cancel();
        fetching.join().unwrap()
    });
    assert_eq!((error.code(), seen.load(Ordering::SeqCst)), ("cancelled", 1), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(names(folder.path()).len(), 1, "what came stays");
}

#[test]
fn a_full_disk_is_said_with_the_file() {
    let server = Server::start(|asked| good(&content(2000), asked));
    let wanted = [file("a/b.bin", &content(2000))];
    let listing = listing(wanted.to_vec());
    let hub = hub(&server);
    let folder = tempfile::tempdir().unwrap();
    let download = Download::open(&hub, &listing, &wanted[0], folder.path()).unwrap();
    let full = download.named(&std::io::Error::from(std::io::ErrorKind::StorageFull));
    assert_eq!(full.exit(), Exit::CannotCreate);
    assert!(full.to_string().contains("a/b.bin"), "{full}");
}

#[test]
fn the_rate_is_that_of_all_connections_together() {
    let bodies = [content(30_000), content(30_001)];
    let contents = bodies.clone();
    let server = Server::start(move |asked| good(&contents[usize::from(asked.path.ends_with('b'))], asked));
    let (mut options, _) = options(&server, &[]);
    options.bandwidth = Arc::new(Bandwidth::new(60_000));
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let files = [file("a", &bodies[0]), file("b", &bodies[1])];
    fetch(&Hub::new(options).unwrap(), &files, folder.path()).unwrap();
    assert!(begun.elapsed() > Duration::from_millis(600), "{:?}", begun.elapsed());
}

#[test]
fn a_file_that_needs_xet_is_named() {
    let server = Server::start(|_| reply(403, ""));
    let file = RemoteFile { bytes: 60_000_000_000, ..file("a", b"it") };
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&hub(&server), &[file], folder.path()).unwrap_err();
    assert!(error.code() == "hub_needs_xet" && error.to_string().contains("60.0 GB"), "{error}");
}

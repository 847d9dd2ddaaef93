//! What registries can do to us.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::digest::of_bytes;
use crate::image::{Digest, Reference};
use crate::oci::{Descriptor, OciError, Platform, Source, media};
use crate::report::{Exit, Explain};
use crate::settings::Environment;
use crate::web::testing::{Asked, Reply, Server, part, reply};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Options for such a server, and what they are told.
pub(crate) fn options(environment: &[(&str, &str)]) -> (Options, Arc<Mutex<Vec<Event>>>) {
    let values = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let mut options = Options::new(Environment::of(values));
    options.https = false;
    options.limits = Limits {
        stall: Duration::from_millis(700),
        tries: 4,
        pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(50),
        ..Limits::default()
    };
    options.progress = Arc::new(move |event| told.lock().unwrap().push(event));
    (options, events)
}

fn digest(bytes: &[u8]) -> Digest {
    format!("sha256:{}", of_bytes(bytes)).parse().unwrap()
}

fn blob(bytes: &[u8]) -> Descriptor {
    described(bytes, LAYER)
}

fn described(bytes: &[u8], media_type: &str) -> Descriptor {
    let value = serde_json::json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() });
    serde_json::from_value(value).unwrap()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

fn repository(server: &Server, options: Options) -> Repository {
    let reference: Reference = format!("{}/org/name:tag", server.host()).parse().unwrap();
    Repository::new(&reference, options).unwrap()
}

fn store() -> (tempfile::TempDir, BlobStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::new(folder.path().join("blobs")).unwrap();
    (folder, store)
}

/// Fetches a blob from a server that answers so.
fn fetched(
    body: &[u8],
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> Result<usize, RegistryError> {
    let server = Server::start(answer);
    let (_folder, store) = store();
    let result = repository(&server, options(&[]).0).fetch(&blob(body), &store);
    let asked = server.asked().len();
    match result {
        Ok(path) => {
            assert_eq!(fs_err::read(path).unwrap(), body);
            Ok(asked)
        }
        Err(error) => {
            assert!(store.complete(&blob(body), false).unwrap().is_none());
            Err(error)
        }
    }
}

/// An index, a manifest, a configuration and two layers.
struct Sample {
    index: Vec<u8>,
    manifest: Vec<u8>,
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
}

impl Sample {
    fn new() -> Self {
        let layers = vec![content(1000), content(5000)];
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": { "Env": ["A=b"], "Cmd": null },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST, "config": described(&config, media::CONFIG),
            "layers": layers.iter().map(|layer| blob(layer)).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let entry = |os: &str, architecture: &str, bytes: &[u8]| {
            let mut entry = serde_json::to_value(described(bytes, media::MANIFEST)).unwrap();
            entry["platform"] = serde_json::json!({ "os": os, "architecture": architecture });
            entry
        };
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": [
            entry("linux", "arm64", b"other"), entry("unknown", "unknown", b"statement"), entry("linux", "amd64", &manifest),
        ]});
        Self { index: index.to_string().into_bytes(), manifest, config, layers }
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let name = asked.path.rsplit('/').next().unwrap();
        if asked.path == "/v2/org/name/manifests/tag" {
            return reply(200, &self.index).with("Content-Type", media::INDEX);
        }
        let all = [&self.manifest, &self.config].into_iter().chain(&self.layers);
        match all.into_iter().find(|bytes| digest(bytes).to_string() == name) {
            Some(bytes) => reply(200, bytes),
            None => reply(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"none"}]}"#),
        }
    }
}

#[test]
fn an_image_is_chosen_checked_and_read_while_it_loads() {
    let sample = Sample::new();
    let expected = sample.layers.clone();
    let server = Server::start(move |asked| sample.answer(asked));
    let (_folder, store) = store();
    let reference: Reference = format!("{}/org/name:tag", server.host()).parse().unwrap();
    let source = RegistrySource::new(&reference, store, options(&[]).0).unwrap();
    for _ in 0..2 {
        let image = source.image(&Platform::linux("x86_64")).unwrap();
        assert_eq!(image.config.config.env, ["A=b"]);
        for (layer, expected) in image.layers().iter().zip(&expected).rev() {
            let mut bytes = Vec::new();
            image.layer(layer).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(&bytes, expected);
        }
    }
    let blobs = server.asked().iter().filter(|asked| asked.path.contains("/blobs/")).count();
    assert_eq!(blobs, 3, "each once");
    let failure = source.image(&Platform::linux("ppc64le")).unwrap_err();
    assert_eq!(failure.exit, Exit::NotFound);
    assert!(failure.message.contains("only for linux/arm64, linux/amd64"), "{failure}");
}

#[test]
fn freshness_is_a_head_or_else_the_manifest() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "HEAD" => reply(200, "").with("Docker-Content-Digest", digest(b"it")),
        _ => reply(500, ""),
    });
    assert_eq!(repository(&server, options(&[]).0).digest().unwrap(), digest(b"it"));
    let server = Server::start(|asked| match asked.method.as_str() {
        "HEAD" => reply(405, ""),
        _ => reply(200, "it"),
    });
    assert_eq!(repository(&server, options(&[]).0).digest().unwrap(), digest(b"it"));
}

#[test]
fn a_manifest_must_be_what_it_is_pinned_to_and_not_too_large() {
    let server = Server::start(|_| reply(200, "something else"));
    let reference: Reference = format!("{}/org/name@{}", server.host(), digest(b"it")).parse().unwrap();
    let error = Repository::new(&reference, options(&[]).0).unwrap().manifest().unwrap_err();
    assert!(matches!(error, RegistryError::WrongContent { .. }), "{error}");
    let server = Server::start(|_| reply(200, "it").with("Docker-Content-Digest", digest(b"other")));
    let error = repository(&server, options(&[]).0).manifest().unwrap_err();
    assert!(matches!(error, RegistryError::WrongContent { .. }), "{error}");
    for announced in [true, false] {
        let server = Server::start(move |_| {
            let mut huge = reply(200, vec![b' '; 5 << 20]);
            if !announced {
                huge.headers.clear();
            }
            huge
        });
        let error = repository(&server, options(&[]).0).manifest().unwrap_err();
        assert!(matches!(error, RegistryError::Image(OciError::TooLarge { .. })), "{error}");
    }
}

/// A registry with a token service, whose tokens are good once.
fn with_tokens(expected: Option<&'static str>) -> Server {
    let given = AtomicUsize::new(0);
    let used = AtomicUsize::new(0);
    Server::start(move |asked| {
        if asked.path.starts_with("/token") {
            if asked.header("authorization") != expected && !asked.body.contains("refresh_token=an+identity")
            {
                return reply(401, "");
            }
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            return reply(200, format!(r#"{{"token":"t{number}","expires_in":300}}"#));
        }
        let good = format!("Bearer t{}", given.load(Ordering::SeqCst));
        if asked.header("authorization") == Some(&good) && used.swap(1, Ordering::SeqCst) == 0 {
            return reply(200, "it");
        }
        used.store(0, Ordering::SeqCst);
        let realm = format!("http://{}/token", asked.header("host").unwrap());
        reply(401, "").with(
            "WWW-Authenticate",
            format!(r#"Bearer realm="{realm}",service="a b",scope="repository:org/name:pull""#),
        )
    })
}

#[test]
fn a_token_is_fetched_kept_and_fetched_again() {
    let server = with_tokens(None);
    let repository = repository(&server, options(&[]).0);
    for _ in 0..2 {
        assert_eq!(repository.manifest().unwrap().bytes, b"it");
    }
    let asked = server.asked();
    let tokens: Vec<_> = asked.iter().filter(|asked| asked.path.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0].path, "/token?service=a+b&scope=repository%3Aorg%2Fname%3Apull");
    // The second time, the token that is known is tried first.
    assert_eq!(asked[3].header("authorization"), Some("Bearer t1"));
}

#[test]
fn the_token_service_gets_name_and_password_and_nobody_says_them() {
    let server = with_tokens(Some("Basic bWU6cGFzc3dvcmQh"));
    let known = [("APPTAINER_DOCKER_USERNAME", "me"), ("APPTAINER_DOCKER_PASSWORD", "password!")];
    let good = repository(&server, options(&known).0);
    assert_eq!(good.manifest().unwrap().bytes, b"it");
    assert!(!format!("{good:?}").contains("password!"));
    assert!(
        server
            .asked()
            .iter()
            .filter(|asked| asked.path.starts_with("/v2"))
            .all(|asked| { !asked.header("authorization").unwrap_or_default().starts_with("Basic") })
    );
    let error = repository(&server, options(&[]).0).manifest().unwrap_err();
    assert!(matches!(error, RegistryError::Denied { with_credentials: false, .. }), "{error}");
    assert_eq!(error.exit(), Exit::Permission);
}

#[test]
fn an_identity_token_is_posted() {
    let server = with_tokens(Some("nobody"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.json");
    fs_err::write(&file, format!(r#"{{"auths":{{"{}":{{"identitytoken":"an identity"}}}}}}"#, server.host()))
        .unwrap();
    let repository = repository(&server, options(&[("REGISTRY_AUTH_FILE", file.to_str().unwrap())]).0);
    assert_eq!(repository.manifest().unwrap().bytes, b"it");
    let asked = server.asked();
    let post = asked.iter().find(|asked| asked.path.starts_with("/token")).unwrap();
    assert_eq!((post.method.as_str(), post.path.as_str()), ("POST", "/token"));
    assert!(
        post.body.contains("grant_type=refresh_token")
            && post.body.contains("scope=repository%3Aorg%2Fname%3Apull")
    );
}

#[test]
fn basic_is_sent_when_it_is_asked_for_and_once() {
    let answer = |asked: &Asked| match asked.header("authorization") {
        Some("Basic bWU6cGFzc3dvcmQh") => reply(200, "it"),
        Some(_) => reply(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"wrong-password is wrong"}]}"#)
            .with("WWW-Authenticate", "Basic realm=x"),
        None => reply(401, "").with("WWW-Authenticate", "Basic realm=x"),
    };
    let server = Server::start(answer);
    let known = |password| [("SINGULARITY_DOCKER_USERNAME", "me"), ("SINGULARITY_DOCKER_PASSWORD", password)];
    assert_eq!(repository(&server, options(&known("password!")).0).manifest().unwrap().bytes, b"it");
    let error = repository(&server, options(&known("wrong-password")).0).manifest().unwrap_err();
    assert!(matches!(error, RegistryError::Denied { with_credentials: true, .. }), "{error}");
    assert!(!error.to_string().contains("wrong-password"), "{error}");
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_redirect_to_another_origin_gets_no_credentials() {
    let body = content(3000);
    let elsewhere = Server::start({
        let body = body.clone();
        move |_| reply(200, &body)
    });
    let target = format!("http://{}/signed?secret=yes", elsewhere.host());
    let server = Server::start(move |asked| match asked.header("authorization") {
        None => reply(401, "").with("WWW-Authenticate", "Basic realm=x"),
        Some(_) => reply(307, "").with("Location", &target),
    });
    let known = [("APPTAINER_DOCKER_USERNAME", "me"), ("APPTAINER_DOCKER_PASSWORD", "password!")];
    let (_folder, store) = store();
    repository(&server, options(&known).0).fetch(&blob(&body), &store).unwrap();
    assert_eq!(elsewhere.asked()[0].header("authorization"), None);
}

#[test]
fn redirects_end_and_go_to_the_web_only() {
    for target in ["file:///etc/passwd", "http://a:b@127.0.0.1/", "/v2/org/name/blobs/again"] {
        let error = fetched(b"it", move |_| reply(302, "").with("Location", target)).unwrap_err();
        let expected = matches!(error, RegistryError::Insecure { .. } | RegistryError::Protocol { .. });
        assert!(expected, "{target}: {error}");
    }
}

#[test]
fn a_registry_that_limits_us_is_waited_for_and_it_is_said() {
    let tries = AtomicUsize::new(0);
    let server = Server::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => reply(429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#)
            .with("Retry-After", "3600"),
        1 => reply(503, ""),
        _ => reply(200, "it"),
    });
    let (options, events) = options(&[]);
    assert_eq!(repository(&server, options).manifest().unwrap().bytes, b"it");
    let events = events.lock().unwrap();
    let Event::Waiting { wait, reason, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*wait, Duration::from_millis(50), "capped");
    assert!(reason.contains("slow down"), "{reason}");
    assert_eq!(events.len(), 2);
}

#[test]
fn limits_and_faults_that_stay_are_different_errors() {
    let error = fetched(b"it", |_| reply(429, "")).unwrap_err();
    assert_eq!((error.exit(), error.code()), (Exit::Busy, "registry_limited"));
    let error = fetched(b"it", |_| reply(502, "")).unwrap_err();
    assert_eq!((error.exit(), error.code()), (Exit::Unreachable, "registry_unreachable"));
    let error = fetched(b"it", |_| reply(404, "")).unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound);
}

#[test]
fn a_connection_that_breaks_is_resumed() {
    let body = content(100_000);
    let whole = body.clone();
    let asked = fetched(&body, move |asked| match asked.from() {
        None => reply(200, &whole).cut(10_000),
        Some(from) if from < 90_000 => part(&whole, from).cut(10_000),
        Some(from) => part(&whole, from),
    });
    assert_eq!(asked.unwrap(), 10, "more breaks than tries, each with progress");
}

#[test]
fn a_registry_that_stalls_is_asked_again() {
    let body = content(10_000);
    let whole = body.clone();
    let asked = fetched(&body, move |asked| match asked.from() {
        None => reply(200, &whole).cut(5000).hang(Duration::from_secs(3)),
        Some(from) => part(&whole, from),
    });
    assert_eq!(asked.unwrap(), 2);
}

#[test]
fn a_registry_that_cannot_resume_begins_again() {
    let body = content(10_000);
    for way in 0..3 {
        let (whole, tries) = (body.clone(), AtomicUsize::new(0));
        let asked =
            fetched(&body, move |asked| match (tries.fetch_add(1, Ordering::SeqCst), asked.from(), way) {
                (0, ..) => reply(200, &whole).cut(5000),
                (_, Some(_), 1) => reply(416, ""),
                (_, Some(_), 2) => part(&whole, 4000),
                _ => reply(200, &whole),
            });
        assert_eq!(asked.unwrap(), if way == 0 { 2 } else { 3 });
    }
}

#[test]
fn content_that_is_wrong_too_long_or_too_short_is_refused() {
    let body = content(10_000);
    let mut wrong = body.clone();
    wrong[9_999] ^= 1;
    let error = fetched(&body, move |_| reply(200, &wrong)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("org/name") && text.contains(&digest(&body).to_string()) && text.contains("127.0.0.1"),
        "{text}"
    );
    let long = [body.as_slice(), b"more"].concat();
    let unannounced = long.clone();
    for error in [
        fetched(&body, move |_| reply(200, &long)).unwrap_err(),
        fetched(&body, move |_| Reply { headers: Vec::new(), ..reply(200, &unannounced) }).unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::WrongContent { .. }), "{error}");
    }
    let short = body[..5000].to_vec();
    let error = fetched(&body, move |_| reply(200, &short)).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { tries: 4, .. }), "{error}");
}

#[test]
fn what_an_earlier_run_left_is_used_or_replaced() {
    let body = content(50_000);
    for (left, expected_from) in
        [(&body[..20_000], Some(20_000)), (&content(60_000)[..], None), (&body[..], Some(50_000))]
    {
        let whole = body.clone();
        let server =
            Server::start(move |asked| asked.from().map_or(reply(200, &whole), |from| part(&whole, from)));
        let (_folder, store) = store();
        fs_err::write(store.partial(&digest(&body)), left).unwrap();
        let (options, _) = options(&[]);
        let path = repository(&server, options).fetch(&blob(&body), &store).unwrap();
        assert_eq!(fs_err::read(path).unwrap(), body);
        let asked = server.asked();
        match expected_from {
            Some(50_000) => assert!(asked.is_empty()),
            from => assert_eq!(asked[0].from(), from),
        }
    }
}

#[test]
fn a_damaged_rest_of_an_earlier_run_is_not_the_registrys_fault() {
    let body = content(50_000);
    let whole = body.clone();
    let server =
        Server::start(move |asked| asked.from().map_or(reply(200, &whole), |from| part(&whole, from)));
    let (_folder, store) = store();
    fs_err::write(store.partial(&digest(&body)), vec![7; 20_000]).unwrap();
    let (options, events) = options(&[]);
    let path = repository(&server, options).fetch(&blob(&body), &store).unwrap();
    assert_eq!(fs_err::read(path).unwrap(), body);
    assert!(events.lock().unwrap().iter().any(|event| matches!(event, Event::Restarted { .. })));
}

#[test]
fn two_runs_do_not_write_the_same_file() {
    let server = Server::start(|_| reply(404, ""));
    let (_folder, store) = store();
    let _held = store.begin(&digest(b"it")).unwrap();
    let error = repository(&server, options(&[]).0).fetch(&blob(b"it"), &store).unwrap_err();
    assert_eq!(error.exit(), Exit::Busy);
}

#[test]
fn a_mirror_goes_first_and_may_fail_or_lie() {
    let body = content(3000);
    let whole = body.clone();
    let server = Server::start(move |_| reply(200, &whole));
    let right = body.clone();
    let mirrors: [(Server, bool); 3] = [
        (Server::start(move |_| reply(200, &right)), true),
        (Server::start(|_| reply(404, "")), false),
        (Server::start(|_| reply(200, vec![0; 3000])), false),
    ];
    for (mirror, is_good) in mirrors {
        let before = server.asked().len();
        let (mut options, events) =
            options(&[("APPTAINER_DOCKER_USERNAME", "me"), ("APPTAINER_DOCKER_PASSWORD", "x")]);
        options.mirrors = vec![format!("http://{}/proxy", mirror.host())];
        let (_folder, store) = store();
        let path = repository(&server, options).fetch(&blob(&body), &store).unwrap();
        assert_eq!(fs_err::read(path).unwrap(), body);
        assert!(mirror.asked()[0].path.starts_with("/v2/proxy/org/name/blobs/sha256:"));
        assert_eq!(server.asked().len() == before, is_good);
        let fell_back = events.lock().unwrap().iter().any(|event| matches!(event, Event::Fallback { .. }));
        assert_eq!(fell_back, !is_good);
    }
}

#[test]
fn the_environments_password_is_never_for_a_mirror() {
    let mirror = Server::start(|_| reply(401, "").with("WWW-Authenticate", "Basic realm=x"));
    let server = Server::start(|_| reply(200, "it"));
    let (mut options, _) =
        options(&[("APPTAINER_DOCKER_USERNAME", "me"), ("APPTAINER_DOCKER_PASSWORD", "x")]);
    options.mirrors = vec![format!("http://{}", mirror.host())];
    repository(&server, options).manifest().unwrap();
    assert!(mirror.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn a_foreign_layer_comes_from_its_own_place_without_credentials() {
    let body = content(3000);
    let whole = body.clone();
    let elsewhere = Server::start(move |_| reply(200, &whole));
    let server = Server::start(|_| reply(404, ""));
    let mut layer = described(&body, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    layer.urls = vec![format!("http://{}/layer", elsewhere.host())];
    let (_folder, store) = store();
    let known = [("APPTAINER_DOCKER_USERNAME", "me"), ("APPTAINER_DOCKER_PASSWORD", "x")];
    repository(&server, options(&known).0).fetch(&layer, &store).unwrap();
    assert_eq!((elsewhere.asked()[0].header("authorization"), server.asked().len()), (None, 0));
    let plain = layer.urls[0].clone();
    let (mut https, events) = options(&known);
    https.https = true;
    let other = self::store();
    let _ = repository(&server, https).fetch(&layer, &other.1).unwrap_err();
    let events = events.lock().unwrap();
    assert!(
        matches!(&events[1], Event::Fallback { reason, .. } if reason.contains("without encryption")),
        "{plain} {events:?}"
    );
}

#[test]
fn a_fetcher_gives_bytes_early_and_ends_promptly() {
    let body = content(10_000);
    let whole = body.clone();
    let server = Server::start(move |_| reply(200, &whole).cut(4000).hang(Duration::from_secs(20)));
    let (mut options, _) = options(&[]);
    options.limits.stall = Duration::from_mins(1);
    let (_folder, store) = store();
    let repository = repository(&server, options);
    let fetcher = Fetcher::start(&repository, store.clone(), &[blob(&body), blob(&body)]).unwrap();
    let mut reader = fetcher.open(&digest(&body)).unwrap();
    let mut early = vec![0; 4000];
    reader.read_exact(&mut early).unwrap();
    assert_eq!(early, body[..4000]);
    let begun = Instant::now();
    drop(fetcher);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(reader.read(&mut early).is_err());
    assert_eq!(fs_err::metadata(store.partial(&digest(&body))).unwrap().len(), 4000);
    assert_eq!(server.asked().len(), 1, "the same digest once");
    // The repository can still be used.
    assert!(!repository.options.cancel.is_cancelled());
}

#[test]
fn the_first_error_ends_all_and_is_what_everybody_gets() {
    let (good, bad) = (content(10_000), content(20_000));
    let whole = good.clone();
    let name = digest(&good).to_string();
    let server = Server::start(move |asked| {
        if asked.path.ends_with(&name) {
            reply(200, &whole).cut(100).hang(Duration::from_secs(20))
        } else {
            reply(404, "")
        }
    });
    let (mut options, _) = options(&[]);
    options.limits.stall = Duration::from_mins(1);
    let (_folder, store) = store();
    let begun = Instant::now();
    let fetcher = Fetcher::start(&repository(&server, options), store, &[blob(&good), blob(&bad)]).unwrap();
    for body in [&good, &bad] {
        assert_eq!(fetcher.wait(&digest(body)).unwrap_err().exit, Exit::NotFound);
    }
    drop(fetcher);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_reader_is_told_when_what_it_read_was_wrong() {
    let body = content(10_000);
    let mut wrong = body.clone();
    wrong[0] ^= 1;
    let server = Server::start(move |_| reply(200, &wrong));
    let (_folder, store) = store();
    let fetcher = Fetcher::start(&repository(&server, options(&[]).0), store, &[blob(&body)]).unwrap();
    let mut read = Vec::new();
    let error = fetcher.open(&digest(&body)).unwrap().read_to_end(&mut read).unwrap_err();
    assert!(error.to_string().contains("wrong sha256:"), "{error}");
}

#[test]
fn the_bandwidth_is_shared() {
    let bodies = [content(30_000), content(30_001)];
    let whole = bodies.clone();
    let server = Server::start(move |asked| {
        let is_it = |body: &&Vec<u8>| asked.path.ends_with(&digest(body).to_string());
        reply(200, whole.iter().find(is_it).unwrap())
    });
    let (mut options, _) = options(&[]);
    options.bandwidth = Arc::new(Bandwidth::new(60_000));
    let (_folder, store) = store();
    let begun = Instant::now();
    let blobs: Vec<_> = bodies.iter().map(|body| blob(body)).collect();
    let fetcher = Fetcher::start(&repository(&server, options), store, &blobs).unwrap();
    for body in &bodies {
        fetcher.wait(&digest(body)).unwrap();
    }
    assert!(begun.elapsed() > Duration::from_millis(600), "{:?}", begun.elapsed());
}

fn environment(values: &[(&str, &str)]) -> Environment {
    Environment::of(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn credentials_are_found_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    let run = folder.path().join("run");
    fs_err::create_dir_all(folder.path().join(".docker")).unwrap();
    fs_err::create_dir_all(run.join("containers")).unwrap();
    let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6cGFzc3dvcmQh"},"empty.example":{},"bad.example":{"auth":"*"}}}"#;
    fs_err::write(folder.path().join(".docker/config.json"), config).unwrap();
    let podman = r#"{"auths":{"quay.io":{"username":"all","password":"1"},"quay.io/org":{"username":"org","password":"2"}}}"#;
    fs_err::write(run.join("containers/auth.json"), podman).unwrap();
    let environment = environment(&[("HOME", home), ("XDG_RUNTIME_DIR", run.to_str().unwrap())]);
    let user = |host: &str, repository: &str| match credentials::from_files(host, repository, &environment)
        .unwrap()
    {
        Some(Credentials::Basic { user, .. }) => user,
        other => format!("{other:?}"),
    };
    assert_eq!(user("docker.io", "library/ubuntu"), "me");
    assert_eq!((user("quay.io", "org/name"), user("quay.io", "organ/name")), ("org".into(), "all".into()));
    assert_eq!((user("empty.example", "a"), user("io", "a")), ("None".into(), "None".into()));
    let error = credentials::from_files("bad.example", "a", &environment).unwrap_err();
    assert_eq!(error.exit(), Exit::Invalid);
    let missing = self::environment(&[("REGISTRY_AUTH_FILE", "/nonexistent/auth.json")]);
    assert!(credentials::from_files("quay.io", "a", &missing).is_err());
}

#[test]
fn helpers_are_asked_by_standard_input_and_within_time() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("docker-credential-test");
    let script = r#"#!/bin/sh
read -r server || [ -n "$server" ] || exit 3
case "$1 $# $server" in
  "get 1 one.example") echo '{"ServerURL":"x","Username":"me","Secret":"hidden"}' ;;
  "get 1 https://index.docker.io/v1/") echo '{"Username":"<token>","Secret":"hidden"}' ;;
  "get 1 broken.example") echo 'hidden'; exit 0 ;;
  "get 1 failing.example") echo 'hidden'; exit 7 ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;
    fs_err::write(&program, script).unwrap();
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config =
        r#"{"credsStore":"test","credHelpers":{"other.example":"../evil"},"auths":{"one.example":{}}}"#;
    fs_err::write(folder.path().join("config.json"), config).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let environment = environment(&[("DOCKER_CONFIG", folder.path().to_str().unwrap()), ("PATH", &path)]);
    let find = |host: &str| credentials::from_files(host, "a", &environment);
    assert!(matches!(find("one.example").unwrap(), Some(Credentials::Basic { user, .. }) if user == "me"));
    assert!(matches!(find("docker.io").unwrap(), Some(Credentials::Identity { .. })));
    assert_eq!(find("unknown.example").unwrap(), None);
    for host in ["broken.example", "failing.example", "other.example"] {
        let error = find(host).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
    }
}

#[test]
fn an_https_registry_may_not_send_us_to_plain_http() {
    let server = Server::start(|_| reply(200, "it"));
    let (mut options, _) = options(&[]);
    options.mirrors = vec![format!("ftp://{}", server.host())];
    let reference: Reference = "example.org/a/b".parse().unwrap();
    assert_eq!(Repository::new(&reference, options.clone()).unwrap_err().exit(), Exit::Usage);
    options.mirrors = vec!["https://me:hidden@example.org".into()];
    let error = Repository::new(&reference, options).unwrap_err();
    assert!(!error.to_string().contains("hidden"), "{error}");
}

#[test]
fn who_does_not_speak_tls_is_not_asked_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As servers answer who greets them with TLS.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 4096]);
    });
    let (mut options, events) = options(&[]);
    options.https = true;
    let reference: Reference = format!("{address}/org/name:tag").parse().unwrap();
    let error = Repository::new(&reference, options).unwrap().manifest().unwrap_err();
    assert!(matches!(error, RegistryError::NoTls { .. }), "{error}");
    assert!(events.lock().unwrap().is_empty());
    server.join().unwrap();
}

#[test]
fn proxies_are_those_of_the_environment() {
    let proxy = Server::start(|_| reply(200, "by proxy"));
    let server = Server::start(|_| reply(200, "direct"));
    let address = format!("http://{}", proxy.host());
    let manifest = |name: &str, environment: &[(&str, &str)]| {
        let reference: Reference = name.parse().unwrap();
        Repository::new(&reference, options(environment).0).unwrap().manifest().unwrap().bytes
    };
    assert_eq!(manifest("registry.invalid:5000/a/b", &[("HTTP_PROXY", &address)]), b"by proxy");
    assert_eq!(proxy.asked()[0].path, "http://registry.invalid:5000/v2/a/b/manifests/latest");
    let direct = format!("{}/a/b", server.host());
    assert_eq!(manifest(&direct, &[("http_proxy", &address), ("NO_PROXY", "127.0.0.1")]), b"direct");
}

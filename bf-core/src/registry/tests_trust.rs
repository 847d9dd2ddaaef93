//! Who is told who we are, and how long a registry may take.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::digest::of_bytes;
use crate::image::Reference;
use crate::oci::Descriptor;
use crate::report::{Exit, Explain};
use crate::settings::Environment;
use crate::web::Bandwidth;
use crate::web::testing::{Server, part, reply};

/// Options for a server of plain HTTP on this machine, which do not wait long.
fn options(environment: &[(&str, &str)]) -> Options {
    let values = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut options = Options::new(Environment::of(values));
    options.https = false;
    options.limits = Limits { tries: 4, pause: Duration::from_millis(2), ..Limits::default() };
    options
}

/// As long as they are, and no longer.
fn impatient() -> Options {
    let mut options = options(&[]);
    options.limits.window = Duration::from_millis(50);
    options.limits.slowest = 5000;
    options
}

fn blob(bytes: &[u8]) -> Descriptor {
    let value = serde_json::json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": format!("sha256:{}", of_bytes(bytes)),
        "size": bytes.len(),
    });
    serde_json::from_value(value).unwrap()
}

fn fetch(server: &Server, options: Options, blob: &Descriptor) -> Result<(), RegistryError> {
    let reference: Reference = format!("{}/org/name:tag", server.host()).parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::new(folder.path().join("blobs")).unwrap();
    Repository::new(&reference, options).unwrap().fetch(blob, &store).map(drop)
}

const PASSWORD: [(&str, &str); 2] =
    [("APPTAINER_DOCKER_USERNAME", "me"), ("APPTAINER_DOCKER_PASSWORD", "password!")];

/// Where a registry sends us to, which wants a token of a service of its own; that service; and the registry, for who is logged in.
fn sends_us_to_a_thief(basic: bool) -> (Server, Server, Server) {
    let thief = Server::start(|_| reply(200, r#"{"token":"t"}"#));
    let realm = format!("http://{}/steal", thief.host());
    let storage = Server::start(move |_| {
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"a token, please"}]}"#;
        reply(401, body).with("WWW-Authenticate", format!(r#"Bearer realm="{realm}",service="x""#))
    });
    let target = format!("http://{}/signed?secret=yes", storage.host());
    let registry = Server::start(move |asked| match asked.header("authorization") {
        None if basic => reply(401, "").with("WWW-Authenticate", "Basic realm=x"),
        _ => reply(307, "").with("Location", &target),
    });
    (registry, storage, thief)
}

fn is_told_nothing(environment: &[(&str, &str)], servers: &(Server, Server, Server)) {
    let (registry, storage, thief) = servers;
    let error = fetch(registry, options(environment), &blob(b"it")).unwrap_err();
    assert!(thief.asked().is_empty(), "{:?}", thief.asked());
    assert!(storage.asked().iter().all(|asked| asked.header("authorization").is_none()));
    assert_eq!((error.exit(), error.code()), (Exit::Permission, "registry_denied_elsewhere"));
    let text = error.to_string();
    assert!(text.contains(&storage.host()) && text.contains(&registry.host()), "{text}");
    assert!(text.contains("401") && text.contains("a token, please") && !text.contains("secret"), "{text}");
}

#[test]
fn who_a_registry_sends_us_to_is_not_told_who_we_are_by_way_of_a_token_service() {
    for basic in [true, false] {
        is_told_nothing(&PASSWORD, &sends_us_to_a_thief(basic));
    }
}

#[test]
fn an_identity_token_goes_to_nobody_whom_the_registry_does_not_name_itself() {
    let servers = sends_us_to_a_thief(false);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.json");
    let text = format!(r#"{{"auths":{{"{}":{{"identitytoken":"an identity"}}}}}}"#, servers.0.host());
    fs_err::write(&file, text).unwrap();
    is_told_nothing(&[("REGISTRY_AUTH_FILE", file.to_str().unwrap())], &servers);
}

#[test]
fn a_challenge_after_a_redirect_of_the_registrys_own_is_answered() {
    let server = Server::start(|asked| match asked.header("authorization") {
        _ if asked.path != "/moved" => reply(307, "").with("Location", "/moved"),
        Some("Basic bWU6cGFzc3dvcmQh") => reply(200, "it"),
        _ => reply(401, "").with("WWW-Authenticate", "Basic realm=x"),
    });
    fetch(&server, options(&PASSWORD), &blob(b"it")).unwrap();
}

#[test]
fn who_is_sent_away_and_back_stays_a_stranger() {
    let elsewhere = Server::start(|asked| {
        let back = format!("http://{}/back", &asked.path[1..]);
        reply(307, "").with("Location", back)
    });
    let target = elsewhere.host();
    let server = Server::start(move |asked| {
        if asked.path == "/back" {
            return reply(401, "").with("WWW-Authenticate", "Basic realm=x");
        }
        reply(307, "").with("Location", format!("http://{target}/{}", asked.header("host").unwrap()))
    });
    let error = fetch(&server, options(&PASSWORD), &blob(b"it")).unwrap_err();
    assert!(matches!(error, RegistryError::DeniedElsewhere { .. }), "{error}");
    assert!(server.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn a_registry_that_drips_is_given_up() {
    let body = vec![b'x'; 10_000];
    let whole = body.clone();
    let server = Server::start(move |_| reply(200, &whole).drip(Duration::from_millis(5)));
    let error = fetch(&server, impatient(), &blob(&body)).unwrap_err();
    assert!(error.to_string().contains("bytes came in 0 seconds"), "{error}");
    assert_eq!((error.exit(), server.asked().len()), (Exit::Unreachable, 4));
}

#[test]
fn a_registry_that_breaks_off_after_each_byte_is_given_up() {
    let body = vec![b'x'; 10_000];
    let whole = body.clone();
    let server = Server::start(move |asked| match asked.from() {
        Some(from) => part(&whole, from).cut(1).hang(Duration::from_millis(5)),
        None => reply(200, &whole).cut(1).hang(Duration::from_millis(5)),
    });
    let error = fetch(&server, impatient(), &blob(&body)).unwrap_err();
    assert_eq!((error.exit(), server.asked().len()), (Exit::Unreachable, 4), "{error}");
}

#[test]
fn who_is_held_up_by_our_own_limit_is_not_slow() {
    let body = vec![b'x'; 5000];
    let whole = body.clone();
    // Less than the slowest that we take, and it breaks off more often than there are tries.
    let server = Server::start(move |asked| match asked.from() {
        Some(from) => part(&whole, from).cut(500.min(whole.len() - from)),
        None => reply(200, &whole).cut(500),
    });
    let mut options = impatient();
    options.limits.slowest = 500;
    options.bandwidth = Arc::new(Bandwidth::new(5000));
    fetch(&server, options, &blob(&body)).unwrap();
    assert_eq!(server.asked().len(), 10);
}

#[test]
fn of_many_addresses_of_a_layer_only_the_first_are_tried() {
    let elsewhere = Server::start(|_| reply(404, ""));
    let urls: Vec<String> = (0..100).map(|number| format!("http://{}/{number}", elsewhere.host())).collect();
    let mut layer = blob(b"it");
    layer.media_type = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
    layer.urls = urls;
    let server = Server::start(|_| reply(200, "it"));
    fetch(&server, options(&[]), &layer).unwrap();
    assert_eq!(elsewhere.asked().len(), 5);
}

//! Somebody else listens where the service listened: key and prompt must not reach them.

use std::time::Duration;

use bf_test_kit::{Request, Site, Stranger, eventually, or_skip};
use nix::sys::signal::Signal;

const PROMPT: &str = "a prompt that is nobody else's business";

#[test]
fn nothing_is_sent_to_who_takes_the_port_of_a_dead_service() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let (address, key) = (service.address(), service.key());
    let supervisor = service.supervisor().unwrap();
    supervisor.signal(Signal::SIGKILL);
    let stranger =
        eventually("the port is free", Duration::from_secs(20), || Stranger::at(address, None).ok());
    // At once, and again when everything is known about the death of the service.
    for pause in [0, 6] {
        std::thread::sleep(Duration::from_secs(pause));
        let outcome = site.user(["chat", &service.id, "-m", PROMPT]).run();
        assert_ne!(outcome.exit, 0, "{outcome}");
        outcome.one_sentence();
    }
    let heard = stranger.heard();
    assert!(!heard.contains(&key) && !heard.contains(PROMPT), "the stranger heard: {heard}");
}

#[test]
fn a_listener_that_does_not_know_the_key_is_found_out() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let (real, key) = (service.address(), service.key());
    // The service lives and beats. Its address leads to somebody else, who answers anything, or who asks the real
    // service for its proof.
    for relay in [None, Some(real)] {
        let stranger = Stranger::at("127.0.0.1:0".parse().unwrap(), relay).unwrap();
        let mut endpoint = service.file("endpoint.json").unwrap();
        endpoint["addresses"] = serde_json::json!(["127.0.0.1"]);
        endpoint["port"] = stranger.address.port().into();
        fs_err::write(service.folder.join("endpoint.json"), endpoint.to_string()).unwrap();
        site.user(["chat", &service.id, "-m", PROMPT]).code(69).one_sentence();
        let heard = stranger.heard();
        assert!(heard.contains("challenge"), "the stranger was asked for a proof: {heard}");
        assert!(!heard.contains(&key) && !heard.contains(PROMPT), "the stranger heard: {heard}");
        let services = site.user(["ls", "--json"]).code(0).json();
        assert_eq!(services["services"][0]["status"], "unhealthy", "{services}");
    }
}

#[test]
fn who_has_no_key_gets_nothing() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let chat = Request::post("/v1/chat/completions", &serde_json::json!({"messages": []}));
    for request in [chat.clone(), chat.clone().key("wrong"), chat.header("X-Api-Key", &service.key())] {
        let answer = request.send(service.address()).unwrap();
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    // Not even what there is: an unknown path needs the key as well.
    assert_eq!(Request::get("/nonsense").send(service.address()).unwrap().status, 401);
    assert_eq!(Request::get("/health").send(service.address()).unwrap().status, 200);
}

//! What the service's port answers.

use std::time::Duration;

use bf_test_kit::{Request, Site, eventually, or_skip};
use serde_json::json;

#[test]
fn a_streamed_answer_comes_in_pieces() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let body = json!({
        "messages": [{"role": "user", "content": "Count from one to twenty."}],
        "max_tokens": 60, "temperature": 0, "stream": true,
    });
    let answer = service.send(Request::post("/v1/chat/completions", &body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"), "{:?}", answer.headers);
    let text = answer.text();
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert!(events.len() > 10, "{events:?}");
    assert_eq!(events.last(), Some(&"[DONE]"));
    let spread = answer.arrivals.last().unwrap().saturating_sub(answer.arrivals[0]);
    assert!(answer.arrivals.len() > 5 && spread > Duration::from_millis(50), "{:?}", answer.arrivals);
}

#[test]
fn only_routes_of_the_engines_definition_are_let_through() {
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    for path in ["/nonsense", "/slots", "/props", "/v1/../slots", "/v1/models/", "//v1/models"] {
        let answer = service.send(Request::get(path));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "unknown_path", "{path}");
    }
    let answer = service.send(Request::get("/v1/chat/completions"));
    assert_eq!(answer.status, 405, "{}", answer.text());
    let models = service.send(Request::get("/v1/models")).json();
    assert_eq!(models["data"][0]["id"], bf_test_kit::REPO, "{models}");
    let bad = service.send(Request::post("/v1/chat/completions", &json!("no object")));
    assert!((400..=500).contains(&bad.status), "{} {}", bad.status, bad.text());
    assert_eq!(service.send(Request::get("/v1/models")).status, 200, "the engine has survived");
}

#[test]
fn while_the_model_loads_clients_are_asked_to_come_back() {
    let site = or_skip!(Site::provisioned());
    let service = site.started(&[]);
    let (address, key) = (service.address(), service.key());
    let mut refused = 0;
    eventually("the model answers", Duration::from_mins(1), || {
        let answer =
            Request::get("/v1/models").key(&key).send(address).expect("the port is open from the start");
        if answer.status == 503 {
            refused += 1;
            assert!(answer.header("retry-after").unwrap().parse::<u32>().is_ok(), "{:?}", answer.headers);
            assert_eq!(answer.json()["error"]["code"], "not_ready", "{}", answer.text());
            return None;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        Some(())
    });
    eprintln!("{refused} requests came too early");
}

#[test]
fn a_client_that_goes_away_does_not_hurt_the_next() {
    use std::io::{Read, Write};
    let site = or_skip!(Site::provisioned());
    let service = site.healthy(&[]);
    let body = json!({"prompt": "Tell me a story.", "max_tokens": 400, "stream": true}).to_string();
    let mut stream = std::net::TcpStream::connect(service.address()).unwrap();
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        service.key(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 64]).unwrap();
    drop(stream);
    let small = json!({"prompt": "Hello", "max_tokens": 1});
    let answer = service.send(Request::post("/v1/completions", &small));
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("nothing is in flight", Duration::from_secs(15), || {
        (service.file("state.json")?["requests"]["in_flight"] == 0).then_some(())
    });
}

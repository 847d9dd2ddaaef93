//! What a plain client, which follows nothing and tries nothing again, gets from the hub.

mod contract;
mod faults;
mod rights;

use std::net::SocketAddr;

use super::{Content, Hub, Repo};
use crate::http::{Answer, Request};

const ID: &str = "Org/Model";
const BIG: &str = "model.safetensors";
const SMALL: &str = "sub/config.json";
const TEXT: &str = "{\"a\": 1}";
/// Of the big file.
const LENGTH: usize = 100_000;

/// The hub with one model, and its commit.
fn hub() -> (Hub, String) {
    let hub = Hub::start();
    let commit = hub.publish(repo());
    (hub, commit)
}

fn repo() -> Repo {
    Repo::new(ID).file(SMALL, TEXT).file(BIG, content())
}

fn content() -> Content {
    Content::noise(1, LENGTH as u64)
}

/// The address to connect to, and the rest of a URL.
fn parted(url: &str) -> (SocketAddr, &str) {
    let rest = url.strip_prefix("http://").unwrap();
    let slash = rest.find('/').unwrap();
    (rest[..slash].parse().unwrap(), &rest[slash..])
}

fn send(request: fn(&str) -> Request, url: &str, headers: &[(&str, &str)]) -> Answer {
    let (address, target) = parted(url);
    let request = headers.iter().fold(request(target), |request, (name, value)| request.header(name, value));
    request.send(address).unwrap()
}

fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    send(Request::get, url, headers)
}

fn head(url: &str) -> Answer {
    send(Request::head, url, &[])
}

/// Where a file of the model itself is, as the hub says at this moment.
fn place(hub: &Hub, path: &str) -> String {
    let answer = get(&hub.url(ID, "main", path), &[]);
    let location = answer.header("location").unwrap();
    if location.starts_with('/') { format!("{}{location}", hub.endpoint()) } else { location.to_owned() }
}

/// Status and code of a refusal.
fn refusal(url: &str, token: Option<&str>) -> (u16, String) {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    let answer = get(url, &headers);
    let code = answer.header("x-error-code").unwrap_or_default().to_owned();
    assert!(answer.status < 400 || answer.header("x-error-message").is_some(), "{}", answer.text());
    (answer.status, code)
}

//! The other origin: big files, at addresses that are signed and expire.

use std::time::{SystemTime, UNIX_EPOCH};

use super::content::Content;
use super::sha1::sha1;
use super::wire::{Ask, Bend, Reply, encoded};

/// Path and query of a file until that second.
pub(super) fn address(path: &str, hash: &str, expires: u64) -> String {
    let place = format!("/repos/{hash}");
    let signature = signature(&place, expires);
    let name = encoded(path).replace('/', "%2F");
    format!("{place}?for={name}&Expires={expires}&Signature={signature}&Key-Pair-Id=K1")
}

fn signature(place: &str, expires: u64) -> String {
    sha1(format!("only the hub knows this {place} {expires}").as_bytes())
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A refusal as the store behind it words it.
pub(super) fn denied(message: &str) -> Reply {
    let xml = format!(
        "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
    );
    Reply::text(403, &xml).header("Content-Type", "application/xml")
}

/// Its answer; `find` knows the contents by their hashes.
pub(super) fn answer(ask: &Ask, bend: Bend, find: impl Fn(&str) -> Option<Content>) -> Reply {
    if ask.header("authorization").is_some() {
        return Reply::text(
            400,
            "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>",
        )
        .header("Content-Type", "application/xml");
    }
    let expires = ask.query("Expires").and_then(|text| text.parse().ok()).unwrap_or(0);
    if ask.query("Signature") != Some(signature(ask.path(), expires)) {
        return denied("The signature does not match");
    }
    if expires <= now() {
        return denied("Request has expired");
    }
    let Some((hash, content)) = ask.path().strip_prefix("/repos/").and_then(|hash| Some((hash, find(hash)?)))
    else {
        return Reply::text(404, "<Error><Code>NoSuchKey</Code></Error>")
            .header("Content-Type", "application/xml");
    };
    Reply::content(ask, &content, bend)
        .header("Content-Type", "application/octet-stream")
        .header("ETag", &format!("\"{hash}\""))
}

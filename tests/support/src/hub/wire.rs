//! HTTP/1.1 as the hub speaks it: what is asked, and what is answered.

use std::io::{self, BufRead, Read};

use serde_json::Value;

use super::content::Content;

/// Heads and bodies of requests that are longer are nobody's.
const LIMIT: u64 = 16 << 20;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: String,
    /// As it was sent: path and query.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The file of a repository that it is about.
    pub(super) file: Option<String>,
}

impl Ask {
    /// The next one of a connection; nothing when that has ended.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        let mut from = from.take(LIMIT);
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::Error::other("no request"));
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut ask = Self { method, target, headers, body: Vec::new(), file: None };
        let length = ask.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        from.take(length).read_to_end(&mut ask.body)?;
        Ok(Some(ask))
    }

    /// The first header of that name (lower case).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The path without the query, as it was sent.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The parts of the path, decoded each by itself: an encoded slash parts nothing.
    pub(super) fn segments(&self) -> Vec<String> {
        self.path().trim_start_matches('/').split('/').map(decoded).collect()
    }

    /// A value of the query, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| decoded(value))
    }

    /// Whether a value of the query says yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(|value| ["1", "true", "True"].contains(&value.as_str()))
    }

    /// The token that came along.
    pub(super) fn token(&self) -> Option<&str> {
        self.header("authorization").map(|value| value.trim_start_matches("Bearer "))
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
}

/// What follows the head of an answer.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Bytes(Vec<u8>),
    /// So many bytes of a content, from a place on.
    Part {
        content: Content,
        at: u64,
        length: u64,
    },
}

impl Body {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part { length, .. } => *length,
        }
    }
}

impl Reply {
    /// An answer with a text.
    pub fn text(status: u16, text: &str) -> Self {
        let body = Body::Bytes(text.into());
        Self { status, headers: Vec::new(), body }.header("Content-Type", "text/plain; charset=utf-8")
    }

    /// An answer with a JSON document.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::text(status, &value.to_string()).header("Content-Type", "application/json; charset=utf-8")
    }

    /// Sets a header, in place of another of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.remove(name);
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Takes away a header.
    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
    }

    /// All or a range of a content, as asked: 200, 206 or 416.
    pub(super) fn content(ask: &Ask, content: &Content, bend: Bend) -> Self {
        let total = content.length();
        let range = ask.header("range").and_then(|text| Range::parse(text, total));
        let part = |at, length| Self {
            status: 200,
            headers: vec![("Accept-Ranges".into(), "bytes".into())],
            body: Body::Part { content: content.clone(), at, length },
        };
        match (range, bend) {
            (None, _) | (_, Bend::Ignored) => part(0, total),
            (Some(Range::Outside), _) => {
                Self::text(416, "").header("Content-Range", &format!("bytes */{total}"))
            }
            (Some(Range::Within(first, last)), bend) => {
                let length = last - first + 1;
                let first = if bend == Bend::Wrong { 0 } else { first };
                let mut reply = part(first, length);
                reply.status = 206;
                reply.header("Content-Range", &format!("bytes {first}-{}/{total}", first + length - 1))
            }
        }
    }
}

/// How a range is misunderstood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bend {
    Not,
    Ignored,
    Wrong,
}

enum Range {
    /// First and last byte.
    Within(u64, u64),
    Outside,
}

impl Range {
    fn parse(text: &str, total: u64) -> Option<Self> {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let end = total.checked_sub(1);
        let (first, last) = if first.is_empty() {
            (total.saturating_sub(last.parse().ok()?), end)
        } else {
            let wanted = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
            (first.parse().ok()?, end.map(|end| end.min(wanted)))
        };
        Some(last.filter(|last| first <= *last).map_or(Self::Outside, |last| Self::Within(first, last)))
    }
}

/// A text without its percent signs.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let hex = || u8::from_str_radix(std::str::from_utf8(others.get(..2)?).ok()?, 16).ok();
        if let (b'%', Some(byte)) = (first, hex()) {
            bytes.push(byte);
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path as it stands in an address; slashes stay.
pub(super) fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.extend(["%", &format!("{byte:02X}")]);
        }
    }
    text
}

//! Plain HTTP/1.1 on a connection of its own, so that tests see bytes as they come.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Its answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without chunked encoding.
    pub body: Vec<u8>,
    /// When each read of the connection returned, after the request was sent.
    pub arrivals: Vec<Duration>,
}

impl Request {
    /// A request without a body.
    pub fn get(path: &str) -> Self {
        Self { method: "GET".into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// One whose answer has no body.
    pub fn head(path: &str) -> Self {
        Self { method: "HEAD".into(), ..Self::get(path) }
    }

    /// A request with a JSON body.
    pub fn post(path: &str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { method: "POST".into(), path: path.into(), headers: Vec::new(), body }
            .header("Content-Type", "application/json")
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Gives it a body, of whatever kind.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    /// Adds the key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("Authorization", &format!("Bearer {key}"))
    }

    /// Sends it and reads the answer to its end.
    pub fn send(&self, address: SocketAddr) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
        head.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n\r\n"]);
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes)?;
        let sent = Instant::now();
        let (mut all, mut arrivals) = (Vec::new(), Vec::new());
        let mut buffer = [0; 8192];
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                count => {
                    all.extend_from_slice(&buffer[..count]);
                    arrivals.push(sent.elapsed());
                }
            }
        }
        parse(&all, arrivals).ok_or_else(|| std::io::Error::other("this is no HTTP answer"))
    }
}

fn parse(all: &[u8], arrivals: Vec<Duration>) -> Option<Answer> {
    let end = all.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: all[end + 4..].to_vec(), arrivals };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunk(&answer.body)?;
    }
    Some(answer)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..length)?);
        rest = rest.get(length + 2..)?;
    }
}

impl Answer {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_answer_is_put_together() {
        let raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let answer = parse(raw, Vec::new()).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "abcde"));
    }
}

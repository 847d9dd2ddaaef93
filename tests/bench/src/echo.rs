//! An engine that does nothing, as fast as it can: whatever is asked, the same short JSON, on a unix socket.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

const BODY: &str =
    r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"echo"},"finish_reason":"stop"}]}"#;

/// Serves until it is ended.
pub(crate) fn serve(socket: &Path) -> ! {
    let listener = UnixListener::bind(socket).unwrap();
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        std::thread::spawn(move || talk(stream));
    }
    unreachable!("a listener listens for ever")
}

fn talk(mut stream: UnixStream) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut pending = Vec::new();
    while next_message(&mut stream, &mut pending).is_some() {
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads one message with a `Content-Length` (none is 0) to its end; how long it was. `pending` keeps what comes after it.
pub(crate) fn next_message(stream: &mut impl Read, pending: &mut Vec<u8>) -> Option<usize> {
    let mut buffer = [0; 8192];
    loop {
        if let Some(end) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
            let length = end + 4 + content_length(&pending[..end]);
            if pending.len() >= length {
                pending.drain(..length);
                return Some(length);
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => pending.extend_from_slice(&buffer[..count]),
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

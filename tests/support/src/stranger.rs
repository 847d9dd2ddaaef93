//! Somebody else who listens on a port, writes down all that is sent to him, and answers as if he were the service.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The listener. It ends with the test.
#[derive(Debug)]
pub struct Stranger {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Stranger {
    /// Listens at `address`. With `relay`, requests are passed on to the real service there, and its answers back.
    pub fn at(address: SocketAddr, relay: Option<SocketAddr>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ears = Arc::clone(&ears);
                std::thread::spawn(move || talk(stream, relay, &ears));
            }
        });
        Ok(Self { address, heard })
    }

    /// All bytes that anybody sent so far, as text.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().expect("what was heard")).into_owned()
    }
}

fn talk(mut stream: TcpStream, relay: Option<SocketAddr>, heard: &Mutex<Vec<u8>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let request = &buffer[..count];
        heard.lock().expect("what was heard").extend_from_slice(request);
        let answer = relay.and_then(|real| ask(real, request)).unwrap_or_else(|| {
            let body = r#"{"proof":"00","choices":[{"message":{"role":"assistant","content":"hello"}}]}"#;
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        });
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// What the real service answers to these bytes.
fn ask(real: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(real).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(request).ok()?;
    let mut buffer = [0; 8192];
    let count = stream.read(&mut buffer).ok()?;
    Some(buffer[..count].to_vec())
}

//! A bad way to a registry: it counts, cuts connections, is slow, or says that there are too many requests.

use std::io::{Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::pace::Pace;

/// What goes wrong on the way. By default nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Each connection ends after so many bytes of answers.
    pub cut_after: Option<u64>,
    /// So many connections are cut; later ones are not. Nothing: all.
    pub cuts: Option<u64>,
    /// Bytes of answers in a second, of all connections together.
    pub rate: Option<u64>,
    /// Each n-th connection gets the answer 429, with `Retry-After: 1`.
    pub busy_every: Option<u64>,
}

/// The way. It ends with the test.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    faults: Mutex<Faults>,
    received: AtomicU64,
    connections: AtomicU64,
    cuts: AtomicU64,
    busy: AtomicU64,
    pace: Pace,
}

impl Proxy {
    /// Listens on a port of its own.
    pub fn to(to: SocketAddr, faults: Faults) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let zero = AtomicU64::default;
        let shared = Arc::new(Shared {
            to,
            faults: Mutex::new(faults),
            received: zero(),
            connections: zero(),
            cuts: zero(),
            busy: zero(),
            pace: Pace::new(faults.rate),
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&own);
                std::thread::spawn(move || shared.pass(client));
            }
        });
        Self { address, shared }
    }

    /// From now on these, for new connections (the rate: for all); what was counted begins anew.
    pub fn set(&self, faults: Faults) {
        self.shared.pace.set(faults.rate);
        *self.shared.faults.lock().expect("the faults") = faults;
        for count in [&self.shared.received, &self.shared.connections, &self.shared.cuts, &self.shared.busy] {
            count.store(0, SeqCst);
        }
    }

    /// Bytes of answers so far, their headers included.
    pub fn received(&self) -> u64 {
        self.shared.received.load(SeqCst)
    }

    /// Connections that were cut so far.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(SeqCst)
    }

    /// Answers of 429 so far.
    pub fn busy(&self) -> u64 {
        self.shared.busy.load(SeqCst)
    }

    /// `127.0.0.1:PORT/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Shared {
    fn pass(self: Arc<Self>, mut client: TcpStream) {
        let faults = *self.faults.lock().expect("the faults");
        let number = self.connections.fetch_add(1, SeqCst) + 1;
        if faults.busy_every.is_some_and(|every| number.is_multiple_of(every)) {
            self.busy.fetch_add(1, SeqCst);
            let _ = refuse(&mut client);
            return;
        }
        let Ok(server) = TcpStream::connect(self.to) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        std::thread::spawn(move || {
            let (mut from, mut to) = (from_client, to_server);
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let _ = self.answers(&server, &client, faults);
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    }

    fn answers(&self, mut from: &TcpStream, mut to: &TcpStream, faults: Faults) -> Result<()> {
        let (mut buffer, mut passed) = (vec![0; 1 << 16], 0_u64);
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            let left = faults.cut_after.map_or(u64::MAX, |limit| limit.saturating_sub(passed));
            let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(count);
            self.pace.wait(allowed);
            to.write_all(&buffer[..allowed])?;
            passed += allowed as u64;
            self.received.fetch_add(allowed as u64, SeqCst);
            if allowed < count {
                let told = self.cuts.fetch_add(1, SeqCst) + 1;
                if faults.cuts == Some(told) {
                    let mut all = self.faults.lock().expect("the faults");
                    all.cut_after = None;
                }
                return Ok(());
            }
        }
    }
}

fn refuse(client: &mut TcpStream) -> Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let body = "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"too many requests\"}]}";
    let head = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: application/json";
    client.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    client.shutdown(Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use super::super::{Layout, Packing, Served, small};
    use super::*;

    /// The answer to a request, as far as it comes.
    fn ask(address: SocketAddr, path: &str, range: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{range}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn it_cuts_counts_and_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Layout::new(folder.path()).add("x", &small(), Packing::Gzip);
        let served = Served::start(folder.path(), BTreeMap::new());
        let proxy = Proxy::to(served.address, Faults::default());
        let path = "/v2/any/name/manifests/x";
        let whole = ask(proxy.address, path, "");
        assert!(whole.contains(&manifest.digest) && whole.contains("schemaVersion"), "{whole}");
        assert_eq!(proxy.received(), whole.len() as u64);
        let rest = ask(proxy.address, &format!("/v2/n/blobs/{}", manifest.digest), "Range: bytes=5-\r\n");
        assert!(
            rest.starts_with("HTTP/1.1 206")
                && rest.contains(&format!("Content-Length: {}", manifest.bytes - 5))
        );
        proxy.set(Faults { cut_after: Some(50), cuts: Some(1), ..Faults::default() });
        assert_eq!(ask(proxy.address, path, "").len(), 50);
        assert_eq!((ask(proxy.address, path, "").len(), proxy.cuts()), (whole.len(), 1));
        proxy.set(Faults { busy_every: Some(2), ..Faults::default() });
        assert_eq!(ask(proxy.address, path, ""), whole);
        assert!(ask(proxy.address, path, "").starts_with("HTTP/1.1 429"));
        let begun = Instant::now();
        proxy.set(Faults { rate: Some(whole.len() as u64 * 4), ..Faults::default() });
        for _ in 0..2 {
            ask(proxy.address, path, "");
        }
        assert!(begun.elapsed() > Duration::from_millis(300), "{:?}", begun.elapsed());
    }
}

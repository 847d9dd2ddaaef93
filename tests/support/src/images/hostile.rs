//! A registry that serves a layout as it is told to, also where a real one would refuse: blobs that are not what their digest says, that
//! are too short, that never were.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Result, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::layout::digest_of;

/// The registry. It ends with the test.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
}

#[derive(Debug)]
struct Store {
    layout: PathBuf,
    instead: BTreeMap<String, Vec<u8>>,
}

impl Served {
    /// Serves a layout, under any name. What `instead` has for a digest (`sha256:...`) is served in its place.
    pub fn start(layout: &Path, instead: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let store = Arc::new(Store { layout: layout.to_owned(), instead });
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let store = Arc::clone(&store);
                std::thread::spawn(move || {
                    let _ = client.set_read_timeout(Some(Duration::from_secs(20)));
                    let _ = store.talk(&client);
                });
            }
        });
        Self { address }
    }

    /// `127.0.0.1:PORT/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Store {
    fn talk(&self, client: &TcpStream) -> Result<()> {
        let mut lines = BufReader::new(client);
        loop {
            let (mut first, mut from) = (String::new(), None);
            if lines.read_line(&mut first)? == 0 {
                return Ok(());
            }
            loop {
                let mut line = String::new();
                lines.read_line(&mut line)?;
                let line = line.trim().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(range) = line.strip_prefix("range: bytes=") {
                    from = range.split('-').next().and_then(|from| from.parse().ok());
                }
            }
            let mut words = first.split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            self.answer(client, method, path, from)?;
        }
    }

    fn answer(&self, mut client: &TcpStream, method: &str, path: &str, from: Option<u64>) -> Result<()> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let found = match parts.as_slice() {
            ["v2"] => Some((Source::Bytes(b"{}".to_vec()), "application/json".to_owned())),
            ["v2", .., "manifests", name] => self.manifest(name),
            ["v2", .., "blobs", digest] => {
                self.blob(digest).map(|source| (source, "application/octet-stream".into()))
            }
            _ => None,
        };
        let Some((source, media_type)) = found else {
            let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#;
            let head = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n", body.len());
            return client.write_all((head + if method == "HEAD" { "" } else { body }).as_bytes());
        };
        let all = source.len()?;
        let begin = from.filter(|from| *from < all).unwrap_or(0);
        let status = if begin > 0 {
            format!("206 Partial Content\r\nContent-Range: bytes {begin}-{}/{all}", all - 1)
        } else {
            "200 OK".into()
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n\r\n",
            all - begin
        );
        client.write_all(head.as_bytes())?;
        if method == "HEAD" { Ok(()) } else { source.write(begin, &mut client) }
    }

    fn blob(&self, digest: &str) -> Option<Source> {
        if let Some(bytes) = self.instead.get(digest) {
            return Some(Source::Bytes(bytes.clone()));
        }
        let path = self.layout.join("blobs").join(digest.replace(':', "/"));
        path.is_file().then_some(Source::File(path))
    }

    fn manifest(&self, name: &str) -> Option<(Source, String)> {
        let index: Value =
            serde_json::from_slice(&fs_err::read(self.layout.join("index.json")).ok()?).ok()?;
        let tag = |one: &&Value| one["annotations"]["org.opencontainers.image.ref.name"] == name;
        let tagged = index["manifests"].as_array()?.iter().find(tag).and_then(|one| one["digest"].as_str());
        let source = self.blob(tagged.unwrap_or(name))?;
        let mut bytes = Vec::new();
        source.write(0, &mut bytes).ok()?;
        let said = serde_json::from_slice::<Value>(&bytes)
            .ok()
            .and_then(|it| it["mediaType"].as_str().map(str::to_owned));
        let kind = said.unwrap_or_else(|| "application/vnd.oci.image.manifest.v1+json".into());
        let kind = format!(
            "{kind}\r\nDocker-Content-Digest: {}",
            tagged.map_or_else(|| digest_of(&bytes), str::to_owned)
        );
        Some((Source::Bytes(bytes), kind))
    }
}

enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Source {
    fn len(&self) -> Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(path) => Ok(fs_err::metadata(path)?.len()),
        }
    }

    fn write(&self, from: u64, to: &mut dyn Write) -> Result<()> {
        match self {
            Self::Bytes(bytes) => {
                to.write_all(bytes.get(usize::try_from(from).unwrap_or(0)..).unwrap_or_default())
            }
            Self::File(path) => {
                let mut file = fs_err::File::open(path)?;
                file.seek(SeekFrom::Start(from))?;
                std::io::copy(&mut file.take(u64::MAX), to).map(drop)
            }
        }
    }
}

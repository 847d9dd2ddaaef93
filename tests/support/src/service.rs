//! A service as its job directory shows it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::eventually;
use crate::http::{Answer, Request};
use crate::process::Process;

/// A service that was started.
#[derive(Debug, Clone)]
pub struct Service {
    /// 32 hex digits.
    pub id: String,
    /// Its job directory.
    pub folder: PathBuf,
}

/// Its three processes.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    /// Owns port, key and files.
    pub supervisor: Process,
    /// Owns the engine.
    pub guardian: Process,
    /// Serves the model.
    pub engine: Process,
}

impl Service {
    /// Service `id` of the user whose folder is `home`.
    pub(crate) fn new(id: String, home: &Path) -> Self {
        let folder = home.join("jobs").join(&id);
        Self { id, folder }
    }

    /// The service of a job directory.
    pub(crate) fn at(folder: &Path) -> Self {
        let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { id, folder: folder.to_owned() }
    }

    /// One of its JSON files, if it is there.
    pub fn file(&self, name: &str) -> Option<Value> {
        serde_json::from_slice(&fs_err::read(self.folder.join(name)).ok()?).ok()
    }

    /// Its API key.
    pub fn key(&self) -> String {
        fs_err::read_to_string(self.folder.join("key")).expect("the key").trim().to_owned()
    }

    /// Its supervisor, if it runs.
    pub fn supervisor(&self) -> Option<Process> {
        Process::now(i32::try_from(self.file("local.json")?["pid"].as_i64()?).ok()?)
    }

    /// Its processes, once all are there.
    pub fn processes(&self) -> Processes {
        eventually("the engine's process", Duration::from_secs(20), || {
            let supervisor = self.supervisor()?;
            let guardian = *supervisor.children().first()?;
            let engine = *guardian.children().first()?;
            // Before it is the engine it is the tether; in between the system shows no arguments.
            let arguments = engine.arguments();
            let is_engine = arguments.iter().any(|word| word == "--model") && arguments[1] != "tether";
            is_engine.then_some(Processes { supervisor, guardian, engine })
        })
    }

    /// Where it listens, once that is known.
    pub fn address(&self) -> SocketAddr {
        eventually("the service's address", Duration::from_secs(20), || {
            let endpoint = self.file("endpoint.json")?;
            let (ip, port) = (endpoint["addresses"][0].as_str()?.to_owned(), endpoint["port"].as_u64()?);
            format!("{ip}:{port}").parse().ok()
        })
    }

    /// Sends a request with the key.
    pub fn send(&self, request: Request) -> Answer {
        request.key(&self.key()).send(self.address()).expect("an answer")
    }

    /// Its report, once it has ended.
    pub fn end(&self, patience: Duration) -> Value {
        eventually("end.json", patience, || self.file("end.json"))
    }
}

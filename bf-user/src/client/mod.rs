//! Talks to a service over one connection that has first proved to know the service's key.
//!
//! A stranger may have taken the port after a crash. So nothing secret (neither key nor prompt) is sent before the listener
//! has answered the challenge, and it is sent over the very connection that did.

mod stream;

pub(crate) use stream::Events;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bf_core::digest::hex;
use bf_core::report::{Exit, Failure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::job::{Endpoint, JobDir, Key, proof, proofs_match};
use crate::supervise::CHALLENGE;

/// Connecting and the challenge may take so long, each.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer that is read whole may be so large, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A connection to a service whose listener knows the key.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    key: Key,
}

impl Connection {
    /// Connects to the service of a job directory and challenges the listener.
    pub(crate) async fn open(dir: &JobDir) -> Result<Self, Failure> {
        let endpoint = dir.endpoint()?.ok_or_else(|| {
            Failure::new(Exit::Busy, "not_listening", "the service has not published its address yet")
                .with_hint("`bf-user wait` waits until it is ready")
        })?;
        let key = Key::read(&dir.key())?;
        let mut last = None;
        for address in &endpoint.addresses {
            match Self::at(&endpoint, address, key.clone()).await {
                Ok(connection) => return Ok(connection),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| {
            Failure::new(Exit::Invalid, "endpoint_invalid", "the endpoint has no address")
        }))
    }

    async fn at(endpoint: &Endpoint, address: &str, key: Key) -> Result<Self, Failure> {
        let ip: IpAddr = address.parse().map_err(|_| {
            Failure::new(Exit::Invalid, "endpoint_invalid", format!("{address} is not an IP address"))
        })?;
        let authority = SocketAddr::new(ip, endpoint.port).to_string();
        let unreachable = |why: String| {
            let message = format!("the service does not answer at {authority}: {why}");
            Failure::new(Exit::Unreachable, "service_unreachable", message)
        };
        let stream = match tokio::time::timeout(PATIENCE, TcpStream::connect((ip, endpoint.port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable(format!("no connection within {} s", PATIENCE.as_secs()))),
        };
        stream.set_nodelay(true)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(error.to_string()))?;
        tokio::spawn(connection);
        let mut connection = Self { sender, authority: authority.clone(), key };
        match tokio::time::timeout(PATIENCE, connection.challenge(endpoint)).await {
            Ok(result) => result?,
            Err(_) => return Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
        Ok(connection)
    }

    /// The listener must prove that it knows the key, or nothing is sent to it.
    async fn challenge(&mut self, endpoint: &Endpoint) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Answer {
            proof: String,
        }
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(std::io::Error::other)?;
        let nonce = hex(&nonce);
        let request = Request::get(format!("{CHALLENGE}?nonce={nonce}"))
            .header(HOST, &self.authority)
            .body(Full::default())
            .map_err(std::io::Error::other)?;
        let response = self.exchange(request).await?;
        let body = collect(response, 4096).await?;
        let expected = proof(&self.key, &endpoint.service, endpoint.port, &nonce);
        match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) if proofs_match(&expected, &answer.proof) => Ok(()),
            _ => {
                let message =
                    format!("who listens at {} is not the service: it does not know the key", self.authority);
                Err(Failure::new(Exit::Unreachable, "stranger", message)
                    .with_hint("nothing was sent to it; stop the service and start it again"))
            }
        }
    }

    /// Sends a request with the key; `body` is JSON or nothing.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Response<Incoming>, Failure> {
        let bytes = match body {
            Some(body) => serde_json::to_vec(body).map_err(std::io::Error::other)?,
            None => Vec::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, format!("Bearer {}", self.key.text()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(bytes)))
            .map_err(std::io::Error::other)?;
        self.exchange(request).await
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let broke = |error: hyper::Error| {
            let message = format!("the service at {} broke off: {error}", self.authority);
            Failure::new(Exit::Unreachable, "service_unreachable", message)
        };
        // The connection may still be finishing the answer before.
        self.sender.ready().await.map_err(broke)?;
        self.sender.send_request(request).await.map_err(broke)
    }
}

/// The failure that an answer with an error status tells of.
pub(crate) async fn failure_of(response: Response<Incoming>) -> Failure {
    let status = response.status();
    let body = collect(response, 1 << 20).await.unwrap_or_default();
    let said = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|value| Some(value.get("error")?.get("message")?.as_str()?.to_owned()))
        .unwrap_or_else(|| String::from_utf8_lossy(&body).trim().chars().take(200).collect());
    let exit = if status.as_u16() == 503 { Exit::Busy } else { Exit::Failed };
    Failure::new(exit, "service_refused", format!("the service answered {}: {said}", status.as_u16()))
}

/// Reads an answer whole.
pub(crate) async fn read(response: Response<Incoming>) -> Result<Bytes, Failure> {
    collect(response, MAX_ANSWER).await
}

async fn collect(response: Response<Incoming>, limit: usize) -> Result<Bytes, Failure> {
    let body = http_body_util::Limited::new(response.into_body(), limit);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => {
            let message = format!("the service's answer broke off: {error}");
            Err(Failure::new(Exit::Unreachable, "answer_broken", message))
        }
    }
}

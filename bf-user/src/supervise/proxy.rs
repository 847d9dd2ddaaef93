//! The authenticating reverse proxy in front of the engine: the only way to it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;

use super::life::Life;
use super::reply::{self, Reply};
use super::routes::{Routes, Verdict};
use crate::job::{Job, Key, Phase, proof};

/// Path of the challenge; the nonce is its query.
pub(crate) const CHALLENGE: &str = "/.well-known/blackfish/challenge";
/// A connection whose request's head takes longer is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections to the engine are closed before the engine does it (llama.cpp and uvicorn after 5 s), since a request
/// on a connection that is just being closed would be lost.
const ENGINE_IDLE: Duration = Duration::from_secs(2);
/// Connections at once: below half of what the usual hard limit of file descriptors allows, each with one to the engine.
const MAX_CONNECTIONS: usize = 1500;
/// Seconds that a client is asked to wait while the model loads.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// What the proxy needs to judge and pass on a request.
pub(super) struct Proxy {
    key: Key,
    service: String,
    port: u16,
    routes: Routes,
    life: Arc<Life>,
    engine: Client<EngineSocket, Incoming>,
}

impl Proxy {
    pub(super) fn new(job: &Job, key: Key, port: u16, socket: PathBuf, life: Arc<Life>) -> Self {
        Self {
            key,
            service: job.service.clone(),
            port,
            routes: Routes::new(&job.engine.routes),
            life,
            engine: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(ENGINE_IDLE)
                .build(EngineSocket(socket.into())),
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Reply> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/health") => return self.health(),
            (&Method::GET, CHALLENGE) => return self.challenge(request.uri().query().unwrap_or_default()),
            _ => {}
        }
        if !self.authorized(request.headers()) {
            let message = "this service needs its API key: send `Authorization: Bearer KEY`";
            let mut response =
                reply::error(StatusCode::UNAUTHORIZED, "authentication_error", "invalid_api_key", message);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            // Who has no key shall not hold a connection.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        if let Some(refusal) = self.not_ready() {
            return refusal;
        }
        let path = request.uri().path();
        match self.routes.judge(request.method(), path) {
            Verdict::Allowed => self.pass_on(request).await,
            Verdict::OtherMethod => {
                let message = format!("{path} does not take {}", request.method());
                reply::error(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "invalid_request_error",
                    "method_not_allowed",
                    &message,
                )
            }
            Verdict::Unknown => {
                let message = format!("this service does not offer {path}");
                reply::error(StatusCode::NOT_FOUND, "invalid_request_error", "unknown_path", &message)
            }
        }
    }

    fn authorized(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        match presented.split_first_chunk::<7>() {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                self.key.matches(key.trim_ascii_start())
            }
            _ => false,
        }
    }

    /// 503 with the phase until the model answers.
    fn not_ready(&self) -> Option<Response<Reply>> {
        let phase = self.life.phase();
        if phase == Phase::Ready {
            return None;
        }
        let message = format!("the service is not ready yet: {}", phase.name());
        let body = json!({"error": {"message": message, "type": "server_error", "param": null, "code": "not_ready",
            "phase": phase.name()}});
        let mut response = reply::json(StatusCode::SERVICE_UNAVAILABLE, &body);
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        Some(response)
    }

    /// For everybody: whether it is ready, and nothing else.
    fn health(&self) -> Response<Reply> {
        let mut response =
            self.not_ready().unwrap_or_else(|| reply::json(StatusCode::OK, &json!({"status": "ok"})));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// For everybody: shows that this listener knows the key, without saying it.
    fn challenge(&self, query: &str) -> Response<Reply> {
        let nonce = query.strip_prefix("nonce=").unwrap_or_default();
        if !(32..=128).contains(&nonce.len()) || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = "nonce must be 32 to 128 hex digits";
            return reply::error(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_nonce", message);
        }
        let proof = proof(&self.key, &self.service, self.port, nonce);
        reply::json(StatusCode::OK, &json!({"service": self.service, "proof": proof}))
    }

    /// Passes the request to the engine and its answer back, both as they come.
    async fn pass_on(&self, mut request: Request<Incoming>) -> Response<Reply> {
        if [Method::GET, Method::HEAD].contains(request.method()) && !request.body().is_end_stream() {
            // An engine that does not read such a body would take it for the next request of somebody else.
            let message = format!("a {} must not have a body", request.method());
            return reply::error(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "unexpected_body",
                &message,
            );
        }
        let count = self.life.request();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let Ok(uri) = format!("http://engine{target}").parse::<Uri>() else {
            let message = "the request's path is not valid";
            return reply::error(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_path", message);
        };
        *request.uri_mut() = uri;
        *request.version_mut() = hyper::Version::HTTP_11;
        let headers = request.headers_mut();
        remove_hop_by_hop(headers);
        headers.remove(header::EXPECT); // answered here, when the body is read
        headers.remove(header::AUTHORIZATION); // the key is ours, the engine need not see it
        headers.insert(header::HOST, HeaderValue::from_static("engine"));
        match self.engine.request(request).await {
            Ok(response) => {
                let mut response = response.map(|body| Reply::Engine { body, _request: count });
                remove_hop_by_hop(response.headers_mut());
                response
            }
            Err(error) => {
                let message = format!("the engine did not answer: {error}");
                reply::error(StatusCode::BAD_GATEWAY, "server_error", "engine_unreachable", &message)
            }
        }
    }
}

/// Headers that concern one connection only (RFC 9110 section 7.6.1), and those that `Connection` names.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const HOP_BY_HOP: [&str; 7] =
        ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Serves until it is aborted.
pub(super) async fn serve(listener: TcpListener, proxy: Arc<Proxy>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some connections end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            serve_connection(stream, proxy).await;
            drop(place);
        });
    }
}

async fn serve_connection(stream: TcpStream, proxy: Arc<Proxy>) {
    // Without this a small answer on a kept-alive connection waits 40 ms for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<_, std::convert::Infallible>(proxy.answer(request).await) }
    });
    // An error here is the client's: it went away, or does not speak HTTP.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Connects to the engine's unix socket, whatever the URI says.
#[derive(Debug, Clone)]
struct EngineSocket(Arc<std::path::Path>);

impl tower_service::Service<Uri> for EngineSocket {
    type Response = EngineStream;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<EngineStream>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let path = Arc::clone(&self.0);
        Box::pin(async move { Ok(EngineStream(TokioIo::new(UnixStream::connect(&path).await?))) })
    }
}

/// A connection to the engine. Its one job is to say [`Connected`], which the pool of connections asks for.
struct EngineStream(TokioIo<UnixStream>);

impl Connection for EngineStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for EngineStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for EngineStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }
}

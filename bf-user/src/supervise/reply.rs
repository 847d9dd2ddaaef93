//! The bodies of the proxy's answers: its own short ones, and the engine's, passed on as they come.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Response, StatusCode, header};

use super::life::InFlight;

/// A body: ours, or the engine's with the count of its request.
pub(super) enum Reply {
    Own(Full<Bytes>),
    Engine { body: Incoming, _request: InFlight },
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Engine { body, .. } => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Engine { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Engine { body, .. } => body.size_hint(),
        }
    }
}

/// A JSON answer of ours.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Reply> {
    let mut response = Response::new(Reply::Own(Full::new(Bytes::from(value.to_string()))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// An error in the form that OpenAI's clients understand.
pub(super) fn error(status: StatusCode, kind: &str, code: &str, message: &str) -> Response<Reply> {
    let body = serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    json(status, &body)
}

//! Server-sent events of a streamed answer, as they come.

use bf_core::report::{Exit, Failure};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// An event longer than this is not one.
const MAX_EVENT: usize = 1 << 20;

/// The `data:` fields of a stream of server-sent events (WHATWG HTML, section 9.2).
pub(crate) struct Events {
    body: Incoming,
    pending: Vec<u8>,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, pending: Vec::new() }
    }

    /// The next event's data; `None` at the end, which OpenAI's streams announce with `[DONE]`.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Failure> {
        let broken = |why: String| {
            Failure::new(Exit::Unreachable, "answer_broken", format!("the answer broke off: {why}"))
        };
        loop {
            while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                match line.trim_end().strip_prefix("data:").map(str::trim_start) {
                    Some("[DONE]") => return Ok(None),
                    Some(data) => return Ok(Some(data.to_owned())),
                    None => {}
                }
            }
            if self.pending.len() > MAX_EVENT {
                return Err(broken("an event is too long".into()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.pending.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(broken(error.to_string())),
                None => return Err(broken("it ended before it was complete".into())),
            }
        }
    }
}

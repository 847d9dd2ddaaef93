//! Which requests the proxy lets through to the engine: those that the engine's definition lists, and no others.

use hyper::Method;

/// The allowed pairs of method and path.
#[derive(Debug, Default)]
pub(super) struct Routes {
    allowed: Vec<(Method, String)>,
}

/// What may be done with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The engine has it.
    Allowed,
    /// The engine has the path, with another method.
    OtherMethod,
    /// The engine's definition does not list it.
    Unknown,
}

impl Routes {
    /// From lines `METHOD /path`; a line that is none allows nothing.
    pub(super) fn new(lines: &[String]) -> Self {
        let parse = |line: &String| {
            let (method, path) = line.split_once(' ')?;
            Some((method.parse().ok()?, path.trim().to_owned()))
        };
        Self { allowed: lines.iter().filter_map(parse).collect() }
    }

    /// Judges one request by its path without the query.
    pub(super) fn judge(&self, method: &Method, path: &str) -> Verdict {
        let mut verdict = Verdict::Unknown;
        for (allowed, own) in &self.allowed {
            if own == path {
                if allowed == method {
                    return Verdict::Allowed;
                }
                verdict = Verdict::OtherMethod;
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_passes() {
        let routes = Routes::new(&["POST /v1/chat/completions".into(), "nonsense".into()]);
        assert_eq!(routes.judge(&Method::POST, "/v1/chat/completions"), Verdict::Allowed);
        assert_eq!(routes.judge(&Method::GET, "/v1/chat/completions"), Verdict::OtherMethod);
        assert_eq!(routes.judge(&Method::POST, "/v1/chat/completions/"), Verdict::Unknown);
        assert_eq!(routes.judge(&Method::GET, "/tools"), Verdict::Unknown);
    }
}

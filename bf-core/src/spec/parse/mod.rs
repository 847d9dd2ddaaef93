//! Reads the project's YAML files into a tree that knows where everything was written.
//!
//! A file goes through three steps. [`read_text`] reads it, within limits. [`Reader::document`] makes
//! a [`Node`] tree with a position on every key and value. The same [`Reader`] then takes the tree apart: it hands out
//! typed values and notes everything that is wrong, so that one run reports all findings and not only the first.
//!
//! This is the only place that names the YAML library.
//!
//! ```
//! use bf_core::spec::parse::Reader;
//!
//! let reader = Reader::new();
//! let root = reader.document("repo: org/name\nrevison: main\n").unwrap();
//! let mut map = reader.map(&root, "the file").unwrap();
//! let repo = map.required_string("repo");
//! let revision = map.optional_string("revision");
//! map.finish();
//! let findings = reader.into_findings();
//! assert_eq!(repo.as_deref(), Some("org/name"));
//! assert_eq!(revision, None);
//! assert_eq!(findings[0].code, "unknown_key");
//! assert_eq!(findings[0].hint.as_deref(), Some("did you mean `revision`?"));
//! ```

mod compose;
mod config;
mod file;
mod map;
mod node;
mod reader;
mod scalar;
mod suggest;
mod syntax;

pub use config::{ConfigError, draft, load, parse, summary};
pub use file::{MAX_BYTES, ReadError, lines, read_stream, read_text};
pub use map::MapReader;
pub use node::{Entry, Node, Position, Value};
pub use reader::Reader;
pub use suggest::closest;

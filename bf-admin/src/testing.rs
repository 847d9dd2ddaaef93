//! What the tests of several modules need.

use std::path::Path;

use bf_core::report::Format;
use bf_core::settings::Environment;

use crate::cli::Context;
use crate::printer::Printer;

/// The call of a command with these options, nothing in the environment and no talk.
pub(crate) fn context(site: Option<&Path>, cache_dir: Option<&Path>) -> Context {
    Context {
        printer: Printer::new(Format::Quiet),
        site: site.map(Path::to_owned),
        cache_dir: cache_dir.map(Path::to_owned),
        environment: Environment::default(),
        command: vec!["bf-admin".into()],
    }
}

/// The smallest file that is a whole GGUF model: a header without tensors, `salt` makes another one of it.
pub(crate) fn gguf(salt: u32) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    let key = "test.salt";
    bytes.extend((key.len() as u64).to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.extend(4_u32.to_le_bytes());
    bytes.extend(salt.to_le_bytes());
    bytes
}

//! What the tests of several modules need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use bf_core::lock::Patience;
use bf_core::report::Format;
use bf_core::settings::Environment;

use crate::cli::Context;
use crate::image::{Engine, How};
use crate::present::{Ask, Depth};
use crate::printer::Printer;

/// The call of a command with these options, nothing in the environment and no talk.
pub(crate) fn context(site: Option<&Path>, cache_dir: Option<&Path>) -> Context {
    Context {
        printer: Printer::new(Format::Quiet),
        site: site.map(Path::to_owned),
        cache_dir: cache_dir.map(Path::to_owned),
        patience: Patience::None,
        program: PathBuf::new(),
        environment: Environment::default(),
        command: vec!["bf-admin".into()],
    }
}

pub(crate) use bf_test_kit::sif;

static HOW: How = How { engine: Engine::Apptainer, threads: None, bwlimit: None, no_https: false };

/// What is looked at for this call, and nothing again.
pub(crate) fn ask(context: &Context, depth: Depth) -> Ask<'_> {
    Ask {
        models: BTreeSet::new(),
        images: BTreeSet::new(),
        depth,
        environment: &context.environment,
        program: &context.program,
        how: &HOW,
        only: &[],
        locked: false,
    }
}

/// Puts a program into `folder` that says it is a bf-user of this version, and gives the path of a bf-admin beside it.
pub(crate) fn beside(folder: &Path, salt: u32) -> PathBuf {
    fs_err::create_dir_all(folder).unwrap();
    let text = format!(
        "#!/bin/sh\n# {salt}\necho '{{\"name\": \"bf-user\", \"version\": \"{}\"}}'\n",
        env!("CARGO_PKG_VERSION")
    );
    // Written by another process: what we have open for writing, a child of another test would keep from being run.
    let script = "rm -f \"$1/bf-user\"; printf '%s' \"$2\" >\"$1/bf-user\"; chmod 755 \"$1/bf-user\"";
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(folder).arg(text).status().unwrap();
    assert!(status.success());
    folder.join("bf-admin")
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

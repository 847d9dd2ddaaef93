//! A tiny image that is compressed with zstd, and the command line that reads a text out of it.
//!
//! It holds nothing that could be run: the container gets the programs of the host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bf_core::apptainer::Apptainer;
use bf_core::convert;
use bf_core::digest;
use bf_core::host::{self, Limits};
use bf_core::oci::Platform;
use bf_core::report::{Exit, Failure};
use bf_core::sif::{Architecture, Facts, RunConfig, SifWriter};
use bf_core::squashfs::{Compression, Inode, Kind, Meta, Options, Tree, Writer};

/// Where the text is in it.
const TEXT: &str = "/blackfish-probe";
/// What the image is called.
const NAME: &str = "localhost/blackfish-probe:1";
/// How often the text stands there.
const LINES: usize = 256;
/// Folders of the host without which no program runs, and those that a runtime mounts something at.
const BOUND: [&str; 4] = ["/usr", "/bin", "/lib", "/lib64"];
const MOUNTED: [&str; 8] = ["dev", "etc", "home", "proc", "root", "sys", "tmp", "var"];

/// The image, and what it must say.
#[derive(Debug)]
pub(super) struct Trial {
    path: PathBuf,
    text: String,
}

impl Trial {
    /// Writes the image to `path`, which must not exist.
    pub(super) fn write(path: &Path) -> Result<Self, Failure> {
        // Not a secret: nobody else's output must look like it.
        let seed = format!("{} {} {}", host::name(), std::process::id(), host::now());
        let text = digest::of_bytes(seed.as_bytes());
        let compression = Compression::ZSTD;
        let file = convert::create(path)?;
        let facts = facts(compression)?;
        let sif = SifWriter::new(&file, facts)?;
        let options = Options { compression, threads: NonZeroUsize::MIN, mtime: 0 };
        let mut writer = Writer::new(file.try_clone()?, sif.partition_offset(), &options)?;
        let mut content = writer.begin();
        // Long enough that it is stored compressed.
        for _ in 0..LINES {
            content.write(text.as_bytes())?;
            content.write(b"\n")?;
        }
        let content = content.finish()?;
        let mut tree = Tree::new(meta(0o755));
        let full = |_| Failure::new(Exit::Failed, "tree_full", "the image has too many files");
        let root = tree.root();
        for name in BOUND.iter().map(|bound| bound.trim_start_matches('/')).chain(MOUNTED) {
            let kind = Kind::Directory(BTreeMap::new());
            let folder = tree.add(Inode { meta: meta(0o755), kind }).map_err(full)?;
            tree.link(root, name, folder);
        }
        let inode = tree.add(Inode { meta: meta(0o644), kind: Kind::File(content) }).map_err(full)?;
        tree.link(root, TEXT.trim_start_matches('/'), inode);
        let written = writer.finish(&tree)?;
        sif.finish(written.bytes, None)?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// The words that read its text with the runtime `program`.
    pub(super) fn words(&self, program: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![program.into()];
        words.extend(["--silent", "exec", "--containall"].map(OsString::from));
        for folder in BOUND.iter().filter(|folder| Path::new(folder).is_dir()) {
            words.extend(["--bind".into(), format!("{folder}:{folder}:ro").into()]);
        }
        words.push(self.path.clone().into());
        words.extend(["/bin/cat", TEXT].map(OsString::from));
        words
    }

    /// Whether that is what was read from it.
    pub(super) fn is_text(&self, output: &str) -> bool {
        output.lines().filter(|line| *line == self.text).count() == LINES
    }
}

fn meta(mode: u16) -> Meta {
    Meta { mode, ..Meta::default() }
}

fn facts(compression: Compression) -> Result<Facts, Failure> {
    let config = "{}";
    let own = Platform::of_host().architecture;
    let architecture = Architecture::from_oci(&own).ok_or_else(|| {
        let message = format!("this machine is {own}, which SIF files have no word for");
        Failure::new(Exit::Invalid, "architecture_unknown", message)
    })?;
    Ok(Facts {
        architecture,
        reference: NAME.parse().map_err(Failure::from)?,
        source: None,
        manifest: None,
        config: format!("sha256:{}", digest::of_bytes(config.as_bytes())).parse().map_err(Failure::from)?,
        layers: Vec::new(),
        diff_ids: Vec::new(),
        compression: compression.to_string(),
        tool: env!("CARGO_PKG_VERSION").into(),
        created: 0,
        oci: serde_json::json!({}),
        run: RunConfig::default(),
    })
}

/// The version of a container runtime, in its own words.
pub(super) fn version(runtime: &Apptainer) -> Result<String, Failure> {
    let limits = Limits { time: Duration::from_secs(20), output: 64 * 1024 };
    let ended = host::run_within(Command::new(runtime.program()).arg("--version"), limits)?;
    let said = ended.stdout.lines().next().unwrap_or_default().trim();
    let plain: String = said.chars().filter(|c| !c.is_control()).take(80).collect();
    if ended.status.success() && !plain.is_empty() {
        return Ok(plain);
    }
    let message = format!("{} --version says nothing", runtime.program().display());
    Err(Failure::new(Exit::Failed, "runtime_unusable", message))
}

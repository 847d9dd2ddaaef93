//! What is imported: the files of a folder, or one file, checked before anything is copied.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use bf_core::bounded::{self, Links};
use bf_core::digest;
use bf_core::model::choose::{Choice, Wanted, choose};
use bf_core::model::commit::pseudo_commit;
use bf_core::model::format::MAX_INDEX;
use bf_core::model::snapshot::{Snapshot, SnapshotFile};
use bf_core::model::{HeaderError, ModelError, ModelId, WeightFormat, format, inspect};
use bf_core::report::{Exit, Failure};
use walkdir::{DirEntry, WalkDir};

/// A file that is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Its path in the model, with `/`.
    pub(crate) path: String,
    /// Where it is read from.
    pub(crate) file: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
}

/// What is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The folder or file, as it was named.
    pub(crate) named: PathBuf,
    /// Its files, by path.
    pub(crate) files: Vec<SourceFile>,
    /// What is left out, by path.
    pub(crate) skipped: Vec<String>,
    /// What is left out since it can hold code, by path.
    pub(crate) pickle: Vec<String>,
}

impl Source {
    /// Lists what is imported of `named` and checks that it is a model that can be loaded: whole headers, no shard missing.
    ///
    /// # Errors
    /// Whatever cannot be a part of a model, named; damaged weights; no weights; none but pickle, which runs code when it is loaded, unless
    /// `allow_pickle`.
    pub(crate) fn read(
        named: &Path,
        id: &ModelId,
        format: Option<WeightFormat>,
        allow_pickle: bool,
    ) -> Result<Self, Failure> {
        let metadata = fs_err::metadata(named).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::new(
                Exit::NotFound,
                "file_not_found",
                format!("there is no {} to import", named.display()),
            ),
            _ => error.into(),
        })?;
        let mut source =
            Self { named: named.to_owned(), files: Vec::new(), skipped: Vec::new(), pickle: Vec::new() };
        if metadata.is_file() {
            let name = named.file_name().and_then(|name| name.to_str()).filter(|name| plain(name));
            let path = name.ok_or_else(|| refused(named, "its name is not plain text"))?.to_owned();
            source.files.push(SourceFile { path, file: named.to_owned(), bytes: metadata.len() });
        } else if metadata.is_dir() {
            source.list(&snapshot_of(named)?)?;
        } else {
            return Err(refused(named, "it is neither a file nor a folder"));
        }
        if !allow_pickle {
            source.leave_pickle(id)?;
        }
        if let Some(format) = format {
            source.keep(id, format)?;
        }
        inspect::facts(id, named, &source.snapshot(), format).map_err(unsound)?;
        Ok(source)
    }

    /// The sum of all lengths.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The commit that the files will have. Reads all of them.
    pub(crate) fn commit(&self) -> Result<String, Failure> {
        let mut hashed = Vec::new();
        for file in &self.files {
            hashed.push((&file.path, digest::of_file(&file.file)?.0));
        }
        Ok(pseudo_commit(hashed)?)
    }

    /// `3 files from /scratch/model (skipped: .gitattributes)`.
    pub(crate) fn detail(&self) -> String {
        let files =
            if self.files.len() == 1 { "1 file".into() } else { format!("{} files", self.files.len()) };
        let mut text = format!("{files} from {}", self.named.display());
        if let Some(first) = self.skipped.first() {
            let _ = match self.skipped.len() - 1 {
                0 => write!(text, " (skipped: {first})"),
                more => write!(text, " (skipped: {first} and {more} more)"),
            };
        }
        if let Some(first) = self.pickle.first() {
            let more = match self.pickle.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let _ = write!(text, "; left out, since pickle can hold code: {first}{more}");
        }
        text
    }

    /// Leaves out what can hold code. A model that has no other weights is refused.
    fn leave_pickle(&mut self, id: &ModelId) -> Result<(), Failure> {
        let (pickle, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.files).into_iter().partition(|file| format::holds_code(&file.path));
        self.files = kept;
        self.pickle = pickle.into_iter().map(|file| file.path).collect();
        let Some(first) = self.pickle.first().cloned() else { return Ok(()) };
        // What is wrong with other weights is told when they are looked at.
        if !matches!(format::choose(&self.snapshot(), None), Ok(None)) {
            return Ok(());
        }
        let message = format!(
            "{} is not imported: {id} has only weights in pickle ({first}), which runs code when it is loaded",
            self.named.display()
        );
        Err(Failure::new(Exit::Invalid, "pickle_refused", message).with_hint(
            "take safetensors or GGUF instead; if you trust who made it: `--allow-pickle`, or `allow_pickle: true` in site.yaml",
        ))
    }

    fn list(&mut self, folder: &Path) -> Result<(), Failure> {
        let bounds = bounds(folder)?;
        let mut entries = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(io::Error::from)?;
            let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            let path = below
                .to_str()
                .filter(|path| plain(path))
                .ok_or_else(|| refused(entry.path(), "its name is not plain text"))?
                .to_owned();
            // `.git`, `.cache`, `.gitattributes`: bookkeeping of those who fetched it.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
                self.skipped.push(path);
            } else if entry.file_type().is_dir() {
            } else if let Some(file) = take(&entry, path, &bounds)? {
                self.files.push(file);
            } else {
                self.skipped.push(below.display().to_string());
            }
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Keeps the weights of one format, the set that an engine would load, and what is no weights.
    fn keep(&mut self, id: &ModelId, wanted: WeightFormat) -> Result<(), Failure> {
        let files: Vec<_> = self.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        // What can hold code and is still there was allowed.
        let choice = Choice { format: Some(Wanted::Format(wanted)), allow_pickle: true, ..Choice::default() };
        let mut read = |path: &str| {
            let index = self.files.iter().find(|file| file.path == path);
            index.map(|file| bounded::read(&file.file, MAX_INDEX, Links::Follow)).transpose()
        };
        let Ok(chosen) = choose(&files, &mut read, &choice) else {
            // `facts` says what there is instead, or what is wrong with it.
            inspect::facts(id, &self.named, &self.snapshot(), Some(wanted)).map_err(unsound)?;
            return Ok(());
        };
        self.skipped.extend(chosen.left_out.into_iter().map(|left| left.path));
        let all = std::mem::take(&mut self.files).into_iter().enumerate();
        self.files = all.filter(|(at, _)| chosen.files.contains(at)).map(|(_, file)| file).collect();
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        let file = |file: &SourceFile| SnapshotFile {
            path: file.path.clone(),
            bytes: Some(file.bytes),
            file: file.file.clone(),
        };
        Snapshot { files: self.files.iter().map(file).collect(), ..Snapshot::default() }
    }
}

/// A model's folder in the hub's layout stands for the snapshot that its `main` names.
fn snapshot_of(folder: &Path) -> Result<PathBuf, Failure> {
    let snapshots = folder.join("snapshots");
    if !snapshots.is_dir() || !folder.join("blobs").is_dir() {
        return Ok(folder.to_owned());
    }
    let main = bounded::text(&folder.join("refs/main"), 4096, Links::Follow).unwrap_or_default();
    let snapshot = snapshots.join(main.trim());
    if main.trim().is_empty() || main.contains('/') || !snapshot.is_dir() {
        return Err(refused(folder, "it has several revisions and none of them is `main`")
            .with_hint("name one of the folders below `snapshots`"));
    }
    Ok(snapshot)
}

/// The folders that links may lead into: the source, and for a snapshot in the hub's layout its blobs.
fn bounds(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let real = fs_err::canonicalize(folder)?;
    let snapshots = real.parent().filter(|parent| parent.ends_with("snapshots"));
    let blobs = snapshots.and_then(Path::parent).map(|model| model.join("blobs")).filter(|it| it.is_dir());
    Ok([real].into_iter().chain(blobs).collect())
}

/// An entry that is a file, or a link to one; nothing for a link to a folder, whose files are found at their own place.
fn take(entry: &DirEntry, path: String, bounds: &[PathBuf]) -> Result<Option<SourceFile>, Failure> {
    if !entry.path_is_symlink() && !entry.file_type().is_file() {
        return Err(refused(entry.path(), "it is neither a file nor a folder"));
    }
    let file = fs_err::canonicalize(entry.path()).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => refused(entry.path(), "it is a link to something that is not there"),
        _ => error.into(),
    })?;
    if entry.path_is_symlink() && !bounds.iter().any(|bound| file.starts_with(bound)) {
        return Err(refused(entry.path(), &format!("it leads out of the folder, to {}", file.display()))
            .with_hint("put a copy of the file in its place"));
    }
    let metadata = fs_err::metadata(&file)?;
    if metadata.is_dir() {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(refused(entry.path(), "it is neither a file nor a folder"));
    }
    Ok(Some(SourceFile { path, file, bytes: metadata.len() }))
}

/// What is wrong with a source is mended at the source.
fn unsound(error: ModelError) -> Failure {
    let what = match &error {
        ModelError::Damaged { source: HeaderError::Truncated { .. }, .. } => "cut short",
        ModelError::Damaged { .. } => "cut short or damaged",
        _ => return error.into(),
    };
    Failure::from(error).with_hint(format!(
        "the source file is {what}: copy or fetch it again there, then run the command again"
    ))
}

fn plain(name: &str) -> bool {
    !name.chars().any(char::is_control)
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(
        Exit::Invalid,
        "source_refused",
        format!("{} cannot be imported: {why}", path.display().to_string().escape_debug()),
    )
}

#[cfg(test)]
mod tests {
    use fs_err::os::unix::fs::symlink;

    use super::*;
    use crate::testing::gguf;

    fn id() -> ModelId {
        ModelId::parse("org/name").unwrap()
    }

    fn paths(source: &Source) -> Vec<&str> {
        source.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn hidden_files_are_left_out_and_folders_kept() {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("a.gguf", gguf(1)),
            ("sub/config.json", b"{}".to_vec()),
            (".git/x", vec![]),
            (".hidden", vec![]),
        ] {
            let file = dir.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, content).unwrap();
        }
        let source = Source::read(dir.path(), &id(), None, false).unwrap();
        assert_eq!(paths(&source), ["a.gguf", "sub/config.json"]);
        assert_eq!(source.skipped, [".git", ".hidden"]);
        assert!(source.detail().ends_with("(skipped: .git and 1 more)"), "{}", source.detail());
        let one = Source::read(&dir.path().join("a.gguf"), &id(), None, false).unwrap();
        assert_eq!(paths(&one), ["a.gguf"]);
    }

    #[test]
    fn links_stay_inside_or_lead_to_the_blobs_of_the_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("models--org--name");
        let snapshot = model.join("snapshots/0123");
        for folder in ["blobs", "refs", "snapshots/0123"] {
            fs_err::create_dir_all(model.join(folder)).unwrap();
        }
        fs_err::write(model.join("blobs/abc"), gguf(1)).unwrap();
        fs_err::write(model.join("refs/main"), "0123").unwrap();
        symlink("../../blobs/abc", snapshot.join("a.gguf")).unwrap();
        symlink("a.gguf", snapshot.join("b.gguf")).unwrap();
        for named in [&snapshot, &model] {
            assert_eq!(paths(&Source::read(named, &id(), None, false).unwrap()), ["a.gguf", "b.gguf"]);
        }
        for (target, word) in [("/etc/passwd", "out of the folder"), ("nothing", "not there")] {
            let link = snapshot.join("link");
            symlink(target, &link).unwrap();
            let failure = Source::read(&snapshot, &id(), None, false).unwrap_err();
            assert!(failure.message.contains("link") && failure.message.contains(word), "{failure}");
            assert_eq!(failure.exit, Exit::Invalid);
            fs_err::remove_file(link).unwrap();
        }
    }

    #[test]
    fn what_is_no_model_is_refused_with_the_file_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Source::read(dir.path(), &id(), None, false).unwrap_err().code, "model_without_weights");
        fs_err::write(dir.path().join("a.gguf"), &gguf(1)[..20]).unwrap();
        let failure = Source::read(dir.path(), &id(), None, false).unwrap_err();
        assert!(failure.message.contains("a.gguf"), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains("the source file is cut short"), "{failure:?}");
        assert_eq!(failure.exit, Exit::Invalid);
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(Source::read(dir.path(), &id(), None, false).unwrap_err().message.contains("pipe"));
        let none = Source::read(&dir.path().join("none"), &id(), None, false).unwrap_err();
        assert_eq!(none.exit, Exit::NotFound);
    }

    #[test]
    fn what_can_hold_code_is_left_out_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("pytorch_model.bin"), "x").unwrap();
        fs_err::write(dir.path().join("config.json"), "{}").unwrap();
        let read = |allowed| Source::read(dir.path(), &id(), None, allowed);
        let failure = read(false).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("pickle_refused", Exit::Invalid));
        assert!(failure.hint.unwrap().contains("--allow-pickle"));
        assert_eq!(paths(&read(true).unwrap()), ["config.json", "pytorch_model.bin"]);
        fs_err::write(dir.path().join("training_args.bin"), "x").unwrap();
        fs_err::write(dir.path().join("model.gguf"), gguf(1)).unwrap();
        let source = read(false).unwrap();
        assert_eq!(paths(&source), ["config.json", "model.gguf"]);
        let detail = source.detail();
        assert!(detail.ends_with("pickle can hold code: pytorch_model.bin and 1 more"), "{detail}");
    }

    #[test]
    fn a_format_leaves_the_other_weights_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["m-Q4_K_M.gguf", "m-Q8_0.gguf"] {
            fs_err::write(dir.path().join(name), gguf(1)).unwrap();
        }
        for name in ["model.safetensors", "pytorch_model.bin", "config.json", "README.md"] {
            fs_err::write(dir.path().join(name), "{}").unwrap();
        }
        let source = Source::read(dir.path(), &id(), Some(WeightFormat::Gguf), false).unwrap();
        assert_eq!(paths(&source), ["README.md", "config.json", "m-Q4_K_M.gguf"]);
        assert_eq!(source.skipped, ["m-Q8_0.gguf", "model.safetensors"]);
        assert_eq!(source.pickle, ["pytorch_model.bin"]);
        let failure = Source::read(dir.path(), &id(), Some(WeightFormat::Ggml), false).unwrap_err();
        assert_eq!(failure.code, "model_without_weights");
        // Its shards are left out, and a model that has it would seem to lack them.
        let index = r#"{"weight_map":{"x":"model-00001-of-00001.safetensors"}}"#;
        fs_err::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
        let source = Source::read(dir.path(), &id(), Some(WeightFormat::Gguf), false).unwrap();
        assert_eq!(paths(&source), ["README.md", "config.json", "m-Q4_K_M.gguf"]);
    }
}

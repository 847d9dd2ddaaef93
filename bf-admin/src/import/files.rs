//! What is imported of this machine: the files of a folder, or one file, checked before anything is copied.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use bf_core::bounded::{self, Links};
use bf_core::model::choose::{Choice, ChooseError, Wanted, Why, choose};
use bf_core::model::format::MAX_INDEX;
use bf_core::model::snapshot::{Snapshot, SnapshotFile};
use bf_core::model::store::{self, NewFile, Take};
use bf_core::model::{HeaderError, ModelError, ModelId, Pattern, Revision, WeightFormat, format, inspect};
use bf_core::report::{Exit, Failure};
use bf_core::site::LockedRevision;
use walkdir::{DirEntry, WalkDir};

use super::history::{self, History};

/// What is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// The folder or file, as it was named.
    pub(crate) named: PathBuf,
    /// The folder that the files are in, or the one file.
    pub(crate) root: PathBuf,
    /// Its files, by path.
    pub(crate) files: Vec<NewFile>,
    /// What is left out, by path.
    pub(crate) skipped: Vec<String>,
    /// What is left out since it can hold code, by path.
    pub(crate) pickle: Vec<String>,
    /// The commit and the refs of a model of a cache.
    pub(crate) history: Option<History>,
    /// How the files get into the cache.
    pub(crate) take: Take,
}

/// Which files are taken, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Which of its files.
    pub(crate) choice: Choice,
    /// Of a model with several revisions this one.
    pub(crate) revision: Option<Revision>,
    /// How they get into the cache.
    pub(crate) take: Take,
}

impl Kept {
    /// What somebody says of files that he has: all of them, unless he says which.
    pub(crate) fn choice(
        format: Option<WeightFormat>,
        include: &[Pattern],
        exclude: &[Pattern],
        allow_pickle: bool,
    ) -> Choice {
        Choice {
            format: format.map(Wanted::Format),
            include: include.to_vec(),
            exclude: exclude.to_vec(),
            all: format.is_none() && include.is_empty(),
            allow_pickle,
        }
    }
}

impl Files {
    /// Lists what is imported of `named` and checks that it is a model that can be loaded: whole headers, no shard missing.
    ///
    /// # Errors
    /// Whatever cannot be a part of a model, named; damaged weights; no weights; none but pickle, which runs code when it is loaded, unless
    /// that is allowed; what cannot be linked, where it is to be.
    pub(crate) fn read(named: &Path, id: &ModelId, kept: &Kept) -> Result<Self, Failure> {
        let metadata = fs_err::metadata(named).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::new(
                Exit::NotFound,
                "file_not_found",
                format!("there is no {} to import", named.display()),
            ),
            _ => error.into(),
        })?;
        let mut source = Self {
            named: named.to_owned(),
            root: named.to_owned(),
            files: Vec::new(),
            skipped: Vec::new(),
            pickle: Vec::new(),
            history: None,
            take: kept.take,
        };
        if metadata.is_file() {
            let name = named.file_name().and_then(|name| name.to_str()).filter(|name| plain(name));
            let path = name.ok_or_else(|| refused(named, "its name is not plain text"))?.to_owned();
            let from = fs_err::canonicalize(named)?;
            source.files.push(NewFile { path, from, bytes: metadata.len(), blob: None, sha256: None });
        } else if metadata.is_dir() {
            let (root, folder) = history::snapshot(named, id, kept.revision.as_ref())?;
            source.root = root;
            source.list(folder.as_deref())?;
            source.history = history::of(&source.root, folder.as_deref(), id, &source.files)?;
            if source.history.is_none() {
                // Then it is not known what their names mean.
                source.files.iter_mut().for_each(|file| file.blob = None);
            }
        } else {
            return Err(refused(named, "it is neither a file nor a folder"));
        }
        source.is_revision(kept.revision.as_ref())?;
        source.keep(id, &kept.choice)?;
        source.sound(id, kept.choice.format)?;
        if kept.take == Take::Link {
            source.files.iter().try_for_each(|file| store::linkable(&file.from))?;
        }
        Ok(source)
    }

    /// Refuses to call what has no history by a commit: that follows from its content.
    fn is_revision(&self, asked: Option<&Revision>) -> Result<(), Failure> {
        let is_it = |asked: &Revision| {
            self.history.as_ref().is_some_and(|history| history.commit.starts_with(asked.as_str()))
        };
        let Some(asked) = asked.filter(|asked| asked.is_commit() && !is_it(asked)) else { return Ok(()) };
        let message = format!("{} is not the commit {asked}, or does not say so", self.named.display());
        Err(Failure::new(Exit::Invalid, "other_revision", message).with_hint(
            "only a folder `models--ORG--NAME` of a cache of the Hub's clients knows commits; give others a name, as `v1`",
        ))
    }

    /// The sum of all lengths.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// What site.lock will say of it. Reads all of the files, and checks those that are called by their hashes.
    pub(crate) fn hashed(&self) -> Result<LockedRevision, Failure> {
        store::hashed(self.history.as_ref().map(|history| history.commit.as_str()), &self.files)
    }

    /// `3 files from /scratch/model (skipped: .gitattributes)`.
    pub(crate) fn detail(&self) -> String {
        let files =
            if self.files.len() == 1 { "1 file".into() } else { format!("{} files", self.files.len()) };
        let how = match self.take {
            Take::Move => "moved ",
            Take::Link => "linked ",
            Take::Copy | Take::Fetched => "",
        };
        let mut text = format!("{files} {how}from {}", self.named.display());
        if let Some(history) = &self.history {
            let commit: String = history.commit.chars().take(12).collect();
            let _ = write!(text, ", commit {commit}");
        }
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

    /// Lists the files of the root. `model`: the model's folder that it is in.
    fn list(&mut self, model: Option<&Path>) -> Result<(), Failure> {
        let folder = &self.root.clone();
        let bounds = bounds(folder, model)?;
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
                let blob = history::blob(model, &file.from).filter(|_| entry.path_is_symlink());
                self.files.push(NewFile { blob, ..file });
            } else {
                self.skipped.push(below.display().to_string());
            }
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Keeps what is chosen, by the rules for files of the Hub.
    fn keep(&mut self, id: &ModelId, choice: &Choice) -> Result<(), Failure> {
        let files: Vec<_> = self.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        let mut read = |path: &str| {
            let index = self.files.iter().find(|file| file.path == path);
            index.map(|file| bounded::read(&file.from, MAX_INDEX, Links::Follow)).transpose()
        };
        let chosen = match choose(&files, &mut read, choice) {
            Ok(chosen) => chosen,
            Err(ChooseError::Pickle { first }) => return Err(self.only_pickle(id, &first)),
            Err(error) => {
                // What is wrong with the files themselves is said in the words for all models.
                self.files.retain(|file| {
                    !choice.exclude.iter().any(|pattern| pattern.matches(&file.path))
                        && (choice.allow_pickle || !format::holds_code(&file.path))
                });
                self.sound(id, choice.format)?;
                let message = format!("{} is not imported: {error}", self.named.display());
                return Err(Failure::new(Exit::Invalid, "model_without_weights", message).with_hint(
                    "choose other files with `--format`, `--include` and `--exclude`, or all of them without",
                ));
            }
        };
        for left in chosen.left_out {
            if left.why == Why::Pickle { &mut self.pickle } else { &mut self.skipped }.push(left.path);
        }
        let all = std::mem::take(&mut self.files).into_iter().enumerate();
        self.files =
            all.filter(|(at, _)| chosen.files.binary_search(at).is_ok()).map(|(_, file)| file).collect();
        Ok(())
    }

    /// Checks that what is kept is a model that can be loaded.
    fn sound(&self, id: &ModelId, asked: Option<Wanted>) -> Result<(), Failure> {
        let asked = asked.map(Wanted::format);
        inspect::facts(id, &self.named, &self.snapshot(), asked).map(drop).map_err(unsound)
    }

    fn only_pickle(&self, id: &ModelId, first: &str) -> Failure {
        let message = format!(
            "{} is not imported: {id} has only weights in pickle ({first}), which runs code when it is loaded",
            self.named.display()
        );
        Failure::new(Exit::Invalid, "pickle_refused", message).with_hint(
            "take safetensors or GGUF instead; if you trust who made it: `--allow-pickle`, or `allow_pickle: true` in site.yaml",
        )
    }

    fn snapshot(&self) -> Snapshot {
        let file = |file: &NewFile| SnapshotFile {
            path: file.path.clone(),
            bytes: Some(file.bytes),
            file: file.from.clone(),
        };
        Snapshot { files: self.files.iter().map(file).collect(), ..Snapshot::default() }
    }
}

/// The folders that links may lead into: the source, and for a snapshot in the hub's layout its blobs.
fn bounds(folder: &Path, model: Option<&Path>) -> io::Result<Vec<PathBuf>> {
    let real = fs_err::canonicalize(folder)?;
    let blobs = model.map(|model| model.join("blobs")).filter(|blobs| blobs.is_dir());
    Ok([real].into_iter().chain(blobs).collect())
}

/// An entry that is a file, or a link to one; nothing for a link to a folder, whose files are found at their own place.
fn take(entry: &DirEntry, path: String, bounds: &[PathBuf]) -> Result<Option<NewFile>, Failure> {
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
    Ok(Some(NewFile { path, from: file, bytes: metadata.len(), blob: None, sha256: None }))
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

    fn read(named: &Path) -> Result<Files, Failure> {
        Files::read(named, &id(), &kept(None, &[], false))
    }

    fn paths(source: &Files) -> Vec<&str> {
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
        let source = read(dir.path()).unwrap();
        assert_eq!(paths(&source), ["a.gguf", "sub/config.json"]);
        assert_eq!(source.skipped, [".git", ".hidden"]);
        assert!(source.detail().ends_with("(skipped: .git and 1 more)"), "{}", source.detail());
        let one = read(&dir.path().join("a.gguf")).unwrap();
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
            assert_eq!(paths(&read(named).unwrap()), ["a.gguf", "b.gguf"]);
        }
        for (target, word) in [("/etc/passwd", "out of the folder"), ("nothing", "not there")] {
            let link = snapshot.join("link");
            symlink(target, &link).unwrap();
            let failure = read(&snapshot).unwrap_err();
            assert!(failure.message.contains("link") && failure.message.contains(word), "{failure}");
            assert_eq!(failure.exit, Exit::Invalid);
            fs_err::remove_file(link).unwrap();
        }
    }

    #[test]
    fn what_is_no_model_is_refused_with_the_file_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap_err().code, "model_without_weights");
        fs_err::write(dir.path().join("a.gguf"), &gguf(1)[..20]).unwrap();
        let failure = read(dir.path()).unwrap_err();
        assert!(failure.message.contains("a.gguf"), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains("the source file is cut short"), "{failure:?}");
        assert_eq!(failure.exit, Exit::Invalid);
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(read(dir.path()).unwrap_err().message.contains("pipe"));
        let none = read(&dir.path().join("none")).unwrap_err();
        assert_eq!(none.exit, Exit::NotFound);
    }

    #[test]
    fn what_can_hold_code_is_left_out_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("pytorch_model.bin"), "x").unwrap();
        fs_err::write(dir.path().join("config.json"), "{}").unwrap();
        let read = |pickle| Files::read(dir.path(), &id(), &kept(None, &[], pickle));
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

    fn kept(format: Option<WeightFormat>, include: &[Pattern], pickle: bool) -> Kept {
        Kept { choice: Kept::choice(format, include, &[], pickle), ..Kept::default() }
    }

    #[test]
    fn patterns_choose_weights_as_of_the_hub_and_leave_small_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["m-Q4_K_M.gguf", "m-Q8_0.gguf"] {
            fs_err::write(dir.path().join(name), gguf(1)).unwrap();
        }
        fs_err::write(dir.path().join("config.json"), "{}").unwrap();
        let of = |include: &str| kept(None, &[include.parse().unwrap()], false);
        let source = Files::read(dir.path(), &id(), &of("*Q8_0*")).unwrap();
        assert_eq!(paths(&source), ["config.json", "m-Q8_0.gguf"]);
        let failure = Files::read(dir.path(), &id(), &of("*F16*")).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("model_without_weights", Exit::Invalid));
        assert_eq!(paths(&Files::read(dir.path(), &id(), &kept(None, &[], false)).unwrap()).len(), 3);
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
        let of = |format| kept(Some(format), &[], false);
        let source = Files::read(dir.path(), &id(), &of(WeightFormat::Gguf)).unwrap();
        assert_eq!(paths(&source), ["README.md", "config.json", "m-Q4_K_M.gguf"]);
        assert_eq!(source.skipped, ["m-Q8_0.gguf", "model.safetensors"]);
        assert_eq!(source.pickle, ["pytorch_model.bin"]);
        let failure = Files::read(dir.path(), &id(), &of(WeightFormat::Ggml)).unwrap_err();
        assert_eq!(failure.code, "model_without_weights");
        // Its shards are left out, and a model that has it would seem to lack them.
        let index = r#"{"weight_map":{"x":"model-00001-of-00001.safetensors"}}"#;
        fs_err::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
        let source = Files::read(dir.path(), &id(), &of(WeightFormat::Gguf)).unwrap();
        assert_eq!(paths(&source), ["README.md", "config.json", "m-Q4_K_M.gguf"]);
    }
}

//! The files of a model at one commit, and what else the Hub says of it. Nothing of it is believed before it was checked.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

use crate::model::ModelId;
use crate::report::is_unshown;

/// The most files that a model may have.
const MAX_FILES: usize = 100_000;
/// The most bytes that all of them may have: sums stay far from where they would overflow.
const MAX_BYTES: u64 = 1 << 50;
/// The longest path, in bytes.
const MAX_PATH: usize = 1024;
/// The longest part of a path, in bytes: a file name's limit.
const MAX_PART: usize = 255;

/// A model at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// What the Hub calls it. Models are renamed, and names differ in case: this is the one to store it under.
    pub id: ModelId,
    /// What was asked for, where that is another name.
    pub renamed_from: Option<ModelId>,
    /// The commit: 40 lower-case hex digits.
    pub commit: String,
    /// Its files, sorted by path.
    pub files: Vec<RemoteFile>,
    /// Whether its terms must be accepted before its files can be fetched.
    pub gated: bool,
    /// Whether only some may know of it.
    pub private: bool,
    /// What it may be used for, as its card says: `apache-2.0`; of another one its name.
    pub license: Option<String>,
    /// Where its card says that the licence is to be read: an address, or a file of the model.
    pub license_link: Option<String>,
    /// What it does: `text-generation`.
    pub pipeline_tag: Option<String>,
    /// What it is made for: `transformers`.
    pub library_name: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Parameters by their type, as the Hub counted them in its safetensors.
    pub parameters: BTreeMap<String, u64>,
}

impl Listing {
    /// A file by its path.
    pub fn file(&self, path: &str) -> Option<&RemoteFile> {
        let found = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(found)
    }
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its path in the model, with `/` between its parts: none of them is empty, `.` or `..`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// What it hashes to.
    pub hash: FileHash,
}

/// What the Hub calls a content: in its caches it is the name of the file with that content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileHash {
    /// The SHA-256 of the content: 64 lower-case hex digits. For large files.
    Sha256(String),
    /// The SHA-1 by which git calls it, of `blob LENGTH`, a zero byte, and the content: 40 lower-case hex digits.
    GitSha1(String),
}

impl FileHash {
    /// The hex digits.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitSha1(hex) => hex,
        }
    }
}

/// What `/api/models/...` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    pub(super) id: String,
    pub(super) sha: Option<String>,
    #[serde(default)]
    private: bool,
    /// `false`, or how access is granted.
    #[serde(default)]
    gated: Value,
    #[serde(default)]
    pub(super) disabled: bool,
    #[serde(default, rename = "pipeline_tag")]
    pipeline_tag: Option<String>,
    #[serde(default, rename = "library_name")]
    library_name: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    card_data: Value,
    #[serde(default)]
    safetensors: Value,
    #[serde(default)]
    pub(super) siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// An entry of `/tree`.
#[derive(Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    oid: Option<String>,
    #[serde(default)]
    lfs: Option<EntryLfs>,
}

#[derive(Deserialize)]
struct EntryLfs {
    oid: Option<String>,
    size: Option<u64>,
}

/// A file as somebody described it.
pub(super) struct Described {
    path: String,
    bytes: Option<u64>,
    sha256: Option<String>,
    git_sha1: Option<String>,
}

impl From<Sibling> for Described {
    fn from(sibling: Sibling) -> Self {
        let (sha256, size) = sibling.lfs.map_or((None, None), |lfs| (lfs.sha256, lfs.size));
        Self { path: sibling.rfilename, bytes: size.or(sibling.size), sha256, git_sha1: sibling.blob_id }
    }
}

impl Entry {
    /// The file, if it is one.
    pub(super) fn described(self) -> Option<Described> {
        if self.kind != "file" {
            return None;
        }
        let (sha256, size) = self.lfs.map_or((None, None), |lfs| (lfs.oid, lfs.size));
        Some(Described { path: self.path, bytes: size.or(self.size), sha256, git_sha1: self.oid })
    }
}

impl Described {
    /// Whether it says how long the file is and what it hashes to.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes.is_some() && (self.sha256.is_some() || self.git_sha1.is_some())
    }
}

impl Info {
    /// The listing with these files; what is wrong with it, if something is.
    pub(super) fn listing(self, asked: &ModelId, files: Vec<Described>) -> Result<Listing, String> {
        let id = ModelId::parse(&self.id).map_err(|error| error.to_string())?;
        let commit = hex(self.sha.as_deref().unwrap_or_default(), 40).ok_or("it names no commit")?;
        let said = |key: &str| self.card_data.get(key).and_then(Value::as_str).and_then(plain);
        let license = match self.card_data.get("license") {
            Some(Value::String(license)) if license == "other" => said("license_name").or(plain(license)),
            Some(Value::String(license)) => plain(license),
            Some(Value::Array(several)) => {
                let several: Vec<&str> = several.iter().filter_map(Value::as_str).collect();
                plain(&several.join(", "))
            }
            _ => self.tags.iter().find_map(|tag| plain(tag.strip_prefix("license:")?)),
        };
        let license_link = said("license_link");
        let counted = self.safetensors.get("parameters").and_then(Value::as_object);
        let parameters = counted.into_iter().flatten();
        Ok(Listing {
            renamed_from: (id != *asked).then(|| asked.clone()),
            id,
            commit,
            files: checked(files)?,
            gated: !matches!(self.gated, Value::Null | Value::Bool(false)),
            private: self.private,
            license,
            license_link,
            pipeline_tag: self.pipeline_tag.as_deref().and_then(plain),
            library_name: self.library_name.as_deref().and_then(plain),
            tags: self.tags.iter().filter_map(|tag| plain(tag)).collect(),
            parameters: parameters
                .filter_map(|(kind, count)| Some((plain(kind)?, count.as_u64()?)))
                .collect(),
        })
    }
}

/// The files, if all of them can be stored beside each other, and sorted.
fn checked(described: Vec<Described>) -> Result<Vec<RemoteFile>, String> {
    if described.len() > MAX_FILES {
        return Err(format!("it has more than {MAX_FILES} files"));
    }
    let mut files = Vec::with_capacity(described.len());
    let mut total: u64 = 0;
    for file in described {
        let Described { path, bytes, sha256, git_sha1 } = file;
        if let Some(reason) = broken_rule(&path) {
            return Err(format!("the path {} {reason}", shown(&path)));
        }
        let hash = match (sha256, git_sha1) {
            (Some(hash), _) => hex(&hash, 64).map(FileHash::Sha256),
            (None, Some(hash)) => hex(&hash, 40).map(FileHash::GitSha1),
            (None, None) => None,
        };
        let hash = hash.ok_or_else(|| format!("{path} has no hash that is one"))?;
        let bytes = bytes.ok_or_else(|| format!("{path} has no size"))?;
        total = total.saturating_add(bytes);
        files.push(RemoteFile { path, bytes, hash });
    }
    if total > MAX_BYTES {
        return Err(format!("its files would have {total} bytes"));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let mut kinds: HashMap<&str, bool> = HashMap::new();
    let mut sizes: HashMap<&FileHash, u64> = HashMap::new();
    for file in &files {
        if kinds.insert(&file.path, true).is_some() {
            return Err(format!("{} is there twice, as a file or folder", file.path));
        }
        for (at, _) in file.path.match_indices('/') {
            let folder = file.path.get(..at).unwrap_or_default();
            if kinds.insert(folder, false) == Some(true) {
                return Err(format!("{folder} is a file and a folder"));
            }
        }
        if sizes.insert(&file.hash, file.bytes).is_some_and(|bytes| bytes != file.bytes) {
            return Err(format!("{} has the hash of a file of another size", file.path));
        }
    }
    Ok(files)
}

fn broken_rule(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > MAX_PATH {
        return Some("is too long");
    }
    if path.chars().any(|character| character.is_control() || character == '\\') {
        return Some("holds a control character or a backslash");
    }
    if path.starts_with('/') {
        return Some("begins with a slash");
    }
    for part in path.split('/') {
        if matches!(part, "" | "." | "..") {
            return Some("has a part that is empty, `.` or `..`");
        }
        if part.len() > MAX_PART {
            return Some("has a part that is too long");
        }
    }
    None
}

/// Hex digits in lower case, if it is so many of them.
fn hex(text: &str, digits: usize) -> Option<String> {
    let is_one = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| text.to_ascii_lowercase())
}

/// A word of somebody's card, if it is one that can be shown and kept: not long, on one line, without what upsets a terminal.
fn plain(text: &str) -> Option<String> {
    const MAX: usize = 256;
    let text = text.trim();
    let is_plain = !text.is_empty() && text.len() <= MAX && !text.chars().any(is_unshown);
    is_plain.then(|| text.to_owned())
}

/// A path of which nothing is known yet, on one line and not too long.
fn shown(path: &str) -> String {
    format!("{:?}", path.chars().take(100).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &str) -> Result<Listing, String> {
        let text = format!(r#"{{"id":"Org/Name","sha":"{}","siblings":[{files}]}}"#, "AB".repeat(20));
        let mut info: Info = serde_json::from_str(&text).unwrap();
        let files = std::mem::take(&mut info.siblings).into_iter().map(Described::from).collect();
        info.listing(&"org/name".parse().unwrap(), files)
    }

    fn file(path: &str) -> String {
        let path = serde_json::to_string(path).unwrap();
        format!(r#"{{"rfilename":{path},"size":3,"blobId":"{}"}}"#, "0a".repeat(20))
    }

    #[test]
    fn a_listing_has_the_canonical_name_and_sorted_files() {
        let large = format!(
            r#"{{"rfilename":"model.safetensors","size":9,"blobId":"{}","lfs":{{"sha256":"{}","size":9,"pointerSize":134}}}}"#,
            "0b".repeat(20),
            "0C".repeat(32)
        );
        let listing = read(&format!("{large},{},{}", file("a/b.json"), file("a.json"))).unwrap();
        assert_eq!(listing.id.to_string(), "Org/Name");
        assert_eq!(listing.renamed_from.as_ref().unwrap().to_string(), "org/name");
        assert_eq!(listing.commit, "ab".repeat(20));
        let paths: Vec<_> = listing.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.json", "a/b.json", "model.safetensors"]);
        let weights = listing.file("model.safetensors").unwrap();
        assert_eq!((weights.bytes, &weights.hash), (9, &FileHash::Sha256("0c".repeat(32))));
        assert!(listing.file("b").is_none());
    }

    #[test]
    fn what_could_leave_the_folder_or_hide_a_file_is_refused() {
        let long = "a".repeat(256);
        for path in [
            "",
            "../x",
            "a/../../x",
            "/etc/passwd",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "..",
            "a\0b",
            "a\nb",
            "a\\b",
            "a\u{1b}[2J",
            &long,
        ] {
            let error = read(&file(path)).unwrap_err();
            assert!(error.starts_with("the path "), "{path:?}: {error}");
            assert!(!error.chars().any(char::is_control), "{error:?}");
        }
        for (one, other) in [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b"), ("a", "a/b/c")] {
            assert!(read(&format!("{},{}", file(one), file(other))).is_err(), "{one} {other}");
            assert!(read(&format!("{},{}", file(other), file(one))).is_err(), "{one} {other}");
        }
        assert!(read(&format!("{},{}", file("a.b"), file("a/b"))).is_ok());
    }

    #[test]
    fn what_a_card_says_is_words_and_of_another_licence_its_name() {
        let said = |card: &str| {
            let text = format!(
                r#"{{"id":"Org/Name","sha":"{}","cardData":{card},"tags":["a\u001b[2J","b"]}}"#,
                "ab".repeat(20)
            );
            let info: Info = serde_json::from_str(&text).unwrap();
            let listing = info.listing(&"Org/Name".parse().unwrap(), vec![]).unwrap();
            assert_eq!(listing.tags, ["b"]);
            (listing.license, listing.license_link)
        };
        let some = |text: &str| Some(text.to_owned());
        let card = r#"{"license":"other","license_name":"llama3","license_link":"LICENSE"}"#;
        assert_eq!(said(card), (some("llama3"), some("LICENSE")));
        assert_eq!(said(r#"{"license":"other"}"#), (some("other"), None));
        assert_eq!(said(r#"{"license":["mit","bsd"]}"#).0, some("mit, bsd"));
        assert_eq!(said(r#"{"license":"\u0007"}"#), (None, None));
    }

    #[test]
    fn hashes_and_sizes_must_be_there_and_be_ones() {
        for wrong in [
            r#"{"rfilename":"a","size":3}"#.to_owned(),
            r#"{"rfilename":"a","size":3,"blobId":"../../x"}"#.to_owned(),
            format!(r#"{{"rfilename":"a","size":3,"lfs":{{"sha256":"{}"}}}}"#, "0a".repeat(20)),
            format!(r#"{{"rfilename":"a","blobId":"{}"}}"#, "0a".repeat(20)),
            format!(r#"{{"rfilename":"a","size":{},"blobId":"{}"}}"#, u64::MAX, "0a".repeat(20)),
            format!(r#"{},{{"rfilename":"b","size":4,"blobId":"{}"}}"#, file("a"), "0a".repeat(20)),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}

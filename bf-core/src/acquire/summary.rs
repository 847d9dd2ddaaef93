//! What is told of a model before it is fetched.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Outline;
use crate::hub::RemoteFile;
use crate::model::choose::{LeftOut, Why};
use crate::report::human_bytes;

/// Above this the Hub's own clients fetch no file by plain HTTP, in bytes.
const LARGE: u64 = 50_000_000_000;

/// The most names that a line has.
const NAMED: usize = 4;

/// What is chosen, what is left out, and what is to be known of it: the JSON of a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What the Hub calls it.
    pub repo: String,
    /// What was asked for, where that is another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// Its commit.
    pub commit: String,
    /// How its weights are stored.
    pub format: &'static str,
    /// The quantisation that the name of a GGUF file speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<&'static str>,
    /// Its licence, as its card says.
    pub license: Option<String>,
    /// The texts of its licence among the files.
    pub license_files: Vec<String>,
    /// Whether access to it must be asked for.
    pub gated: bool,
    /// Whether only some may know of it.
    pub private: bool,
    /// Bytes of all that is chosen.
    pub bytes: u64,
    /// Bytes that are to come over the network.
    pub fetch_bytes: u64,
    /// Bytes that an earlier try has left.
    pub begun_bytes: u64,
    /// What is chosen.
    pub files: Vec<File>,
    /// What is left out, by why.
    pub left_out: Vec<Left>,
    /// Bytes of what is left out.
    pub left_out_bytes: u64,
    /// What else is to be known, as sentences.
    pub notes: Vec<String>,
}

/// A chosen file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
}

/// Files that are left out for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Why.
    pub why: Why,
    /// How many.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The largest of them, a few.
    pub largest: Vec<String>,
}

impl Outline {
    /// What is told of it.
    pub fn summary(&self) -> Summary {
        let listing = &self.listing;
        let file = |file: &RemoteFile| File { path: file.path.clone(), bytes: file.bytes };
        Summary {
            repo: listing.id.to_string(),
            renamed_from: listing.renamed_from.as_ref().map(ToString::to_string),
            commit: listing.commit.clone(),
            format: self.format.name(),
            quantisation: self.quantisation,
            license: listing.license.clone(),
            license_files: self.licences().0.into_iter().map(str::to_owned).collect(),
            gated: listing.gated,
            private: listing.private,
            bytes: self.bytes(),
            fetch_bytes: self.to_fetch(),
            begun_bytes: self.begun,
            files: self.files.iter().map(file).collect(),
            left_out: left(&self.left_out),
            left_out_bytes: self.left_out.iter().map(|left| left.bytes).sum(),
            notes: self.notes(),
        }
    }

    /// What is to be known besides numbers, each as one sentence.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let listing = &self.listing;
        if let Some(asked) = &listing.renamed_from {
            notes.push(format!("the Hub calls {asked} {}: that is its name here as well", listing.id));
        }
        if listing.gated || listing.private {
            let how = if listing.gated { "gated" } else { "private" };
            notes.push(format!("it is {how} on the Hub: its licence says who may use it"));
        }
        notes.extend(self.licence_note());
        for file in self.missing().into_iter().filter(|file| file.bytes > LARGE) {
            notes.push(format!(
                "{} has {}: above 50 GB the Hub may refuse plain HTTP, which is tried",
                file.path,
                human_bytes(file.bytes)
            ));
        }
        if let Some(first) = self.alternatives.first() {
            let more = match self.alternatives.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            notes.push(format!("`--include` chooses other weights: {}{more}", first.file));
        }
        notes
    }

    /// Where its terms are to be read, if their text does not come with it.
    fn licence_note(&self) -> Option<String> {
        let (own, left) = self.licences();
        if !own.is_empty() {
            return None;
        }
        if let Some(left) = left.first() {
            return Some(format!("the text of its licence, {left}, is left out"));
        }
        let listing = &self.listing;
        Some(match (&listing.license, &listing.license_link) {
            (None, _) => "it has no text of a licence, and its card names none".into(),
            (Some(license), None) => {
                format!("it has no text of its licence; its card says {license}")
            }
            (Some(license), Some(link)) => {
                format!("it has no text of its licence; its card says {license}, to be read at {link}")
            }
        })
    }
}

fn left(files: &[LeftOut]) -> Vec<Left> {
    let mut groups: BTreeMap<Why, Vec<&LeftOut>> = BTreeMap::new();
    for file in files {
        groups.entry(file.why).or_default().push(file);
    }
    let group = |(why, mut files): (Why, Vec<&LeftOut>)| {
        files.sort_by(|one, other| (other.bytes, &one.path).cmp(&(one.bytes, &other.path)));
        Left {
            why,
            files: files.len(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            largest: files.iter().take(NAMED).map(|file| file.path.clone()).collect(),
        }
    };
    groups.into_iter().map(group).collect()
}

impl Summary {
    /// `commit 0123456789ab, safetensors, 12 files, 16.1 GB, all to fetch`.
    pub fn sentence(&self) -> String {
        let commit: String = self.commit.chars().take(12).collect();
        let quantisation = self.quantisation.map(|name| format!(" {name}")).unwrap_or_default();
        let fetch = match (self.fetch_bytes, self.begun_bytes) {
            (0, _) => "nothing to fetch".to_owned(),
            (bytes, _) if bytes == self.bytes => "all to fetch".to_owned(),
            (bytes, 0) => format!("{} to fetch", human_bytes(bytes)),
            (bytes, begun) => {
                format!(
                    "{} to fetch, {} are there from an earlier try",
                    human_bytes(bytes),
                    human_bytes(begun)
                )
            }
        };
        format!(
            "commit {commit}, {}{quantisation}, {}, {}, {fetch}",
            self.format,
            counted(self.files.len()),
            human_bytes(self.bytes)
        )
    }

    /// What people are told: what is left out and what that saves, and what is to be known, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.left_out.is_empty() {
            let files: usize = self.left_out.iter().map(|left| left.files).sum();
            lines.push(format!(
                "left out: {}, which saves {}",
                counted(files),
                human_bytes(self.left_out_bytes)
            ));
        }
        for left in &self.left_out {
            let more = match left.files - left.largest.len().min(left.files) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let (bytes, largest) = (human_bytes(left.bytes), left.largest.join(", "));
            lines.push(format!("  {}: {bytes}: {largest}{more}", left.why));
        }
        lines.extend(self.notes.iter().cloned());
        lines
    }
}

fn counted(files: usize) -> String {
    if files == 1 { "1 file".into() } else { format!("{files} files") }
}

//! What a container image is called, by Docker's rules, and what its file in the cache is called, by upstream's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, ImageError};

/// The registry of names without one.
const DOCKER: &str = "docker.io";
/// The tag of names without tag and digest.
const LATEST: &str = "latest";
/// How long registries let a name and a tag be.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;
/// How long filesystems let a file's name be.
const MAX_FILE_NAME: usize = 255;

/// A container image: registry, repository, and a tag or digest or both.
///
/// The first part of a name is a registry only if it has a `.` or `:` or is `localhost`; without one it is on
/// docker.io, there below `library/` if it has one part only. Two texts that mean the same give equal values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry's host, with its port if it has one: `ghcr.io`, `login:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name on that registry: `org/name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; nothing when only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that pins it.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same image, pinned to this digest. The tag stays, and with it the file's name.
    #[must_use]
    pub fn pinned(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The same image by its tag alone; one that has no tag stays as it is.
    #[must_use]
    pub fn unpinned(mut self) -> Self {
        if self.tag.is_some() {
            self.digest = None;
        }
        self
    }

    /// Whether what was fetched under this name is what `asked` means: the same digest where one is asked for, else the
    /// same tag.
    pub fn serves(&self, asked: &Self) -> bool {
        let same = match &asked.digest {
            Some(digest) => self.digest.as_ref() == Some(digest),
            None => self.tag == asked.tag,
        };
        same && (&self.registry, &self.repository) == (&asked.registry, &asked.repository)
    }

    /// The file in the cache: `<last part of the name>_<tag>.sif`, as upstream names it. Of an image that has a digest and no tag
    /// the tag is `sha256-<12 hex>`: `latest` would be a claim that nobody made, and the same for two digests.
    pub fn sif_name(&self) -> String {
        let last = self.repository.rsplit('/').next().unwrap_or(&self.repository);
        match (&self.tag, &self.digest) {
            (Some(tag), _) => format!("{last}_{tag}.sif"),
            (None, Some(digest)) => format!("{last}_sha256-{}.sif", digest.short()),
            (None, None) => format!("{last}_{LATEST}.sif"),
        }
    }

    /// What a registry's client is asked for: the digest if there is one, else the tag. Clients refuse names with both.
    pub fn pull_name(&self) -> String {
        let Self { registry, repository, tag, digest } = self;
        match (digest, tag) {
            (Some(digest), _) => format!("{registry}/{repository}@{digest}"),
            (None, tag) => format!("{registry}/{repository}:{}", tag.as_deref().unwrap_or(LATEST)),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_prefix("docker://").unwrap_or(text);
        if text.contains("://") {
            return Err("only images of registries are known, with `docker://` in front or nothing");
        }
        let (text, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|_| {
                    "what follows `@` must be `sha256:` and 64 hex digits (and a name and password belong into \
                     the environment)"
                })?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let (registry, rest) = match text.split_once('/') {
            Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => (host(first)?, rest),
            _ => (DOCKER.to_owned(), text),
        };
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        for part in name.split('/') {
            name_rules(part)?;
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("its tag may hold letters, digits, `_`, `.` and `-` only, at most 128");
        }
        let repository = if registry == DOCKER && !name.contains('/') {
            format!("library/{name}")
        } else {
            name.to_owned()
        };
        if registry.len() + 1 + repository.len() > MAX_NAME {
            return Err("its name is longer than 255 characters");
        }
        let tag = tag.or(if digest.is_none() { Some(LATEST) } else { None }).map(str::to_owned);
        let reference = Self { registry, repository, tag, digest };
        if reference.sif_name().len() > MAX_FILE_NAME {
            return Err("its name and tag are longer than a file's name can be");
        }
        Ok(reference)
    }
}

/// A host name or address, with or without a port.
fn host(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "the part before the first `/` is not the name of a host";
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (format!("[{address}]"), None),
        Some((address, port)) => (format!("[{address}]"), Some(port.strip_prefix(':').ok_or(WRONG)?)),
        None => match text.split_once(':') {
            Some((name, port)) => (name.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    let is_address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|address| {
        address.contains(':') && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
    });
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    if !is_address && !name.split('.').all(is_label) {
        return Err(WRONG);
    }
    let name = name.to_ascii_lowercase();
    match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok() => {
            Ok(format!("{name}:{port}"))
        }
        Some(_) => Err("the port behind the host is no number from 0 to 65535"),
        // Its old name, which clients still write.
        None if name == "index.docker.io" => Ok(DOCKER.to_owned()),
        None => Ok(name),
    }
}

/// Letters and digits, with one `.`, one or two `_` or any number of `-` between them.
fn name_rules(part: &str) -> Result<(), &'static str> {
    if part.is_empty() {
        return Err("a part of its name is empty");
    }
    if part.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("its name must be in lower case");
    }
    if !part.bytes().all(|byte| is_word(byte) || b"._-".contains(&byte)) {
        return Err("its name may hold letters, digits, `.`, `_`, `-` and `/` only");
    }
    let between = part.split(|c: char| c.is_ascii_alphanumeric()).collect::<Vec<_>>();
    let good = |gap: &&str| matches!(*gap, "" | "." | "_" | "__") || gap.bytes().all(|byte| byte == b'-');
    // The first and the last gap are in front of and behind all letters.
    let edges = [between.first(), between.last()].into_iter().flatten().all(|gap| gap.is_empty());
    if edges && between.iter().all(good) {
        Ok(())
    } else {
        Err("in its name `.`, `_` and `-` may only stand between letters and digits")
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_tag(tag: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !tag.is_empty() && tag.len() <= MAX_TAG && !tag.starts_with(['.', '-']) && tag.bytes().all(plain)
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        Self::parse(text).map_err(|reason| ImageError::InvalidReference { text: text.to_owned(), reason })
    }
}

/// The whole name: `docker.io/library/ubuntu:24.04`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;

//! The forms of texts in site.yaml.

use std::path::Path;

use super::is_image_name;
use crate::image::{Digest, ImageError, Reference};
use crate::model::{ModelId, Pattern, Revision};
use crate::report::Explain;
use crate::shape::{Fault, Format};
use crate::squashfs::Compression;

/// A path of its own, written out.
pub(super) static ABSOLUTE: Format = Format {
    is: "an absolute path",
    examples: &["/usr/bin/apptainer"],
    is_number: false,
    check: |what, text| absolute(what, text),
};

/// A path that may be relative to the file.
pub(super) static PATH: Format =
    Format { is: "a path", examples: &["/data/name", "../name"], is_number: false, check: path };

/// A program of this machine.
pub(super) static PYTHON: Format =
    Format { is: "a path", examples: &["/usr/bin/python3.12"], is_number: false, check: path };

fn path(what: &str, text: &str) -> Result<(), Fault> {
    let why = if text.starts_with('~') {
        "begins with `~`, which only a shell replaces"
    } else if text.contains('$') {
        "holds a `$`, and variables are not replaced here"
    } else if text.contains(['*', '?']) {
        "is a pattern, and names no file or folder"
    } else if is_quoted(text) {
        "begins or ends with a quotation mark that belongs to the name"
    } else {
        return Ok(());
    };
    Err(Fault::new("invalid_path", format!("{what} {why}"))
        .with_hint("write the whole path out, as in /data/name"))
}

/// Whether a text begins or ends with a quotation mark, as those do that were copied from a document.
pub(super) fn is_quoted(text: &str) -> bool {
    let mark = |c: char| "\"'`\u{ab}\u{bb}\u{2018}\u{2019}\u{201a}\u{201c}\u{201d}\u{201e}".contains(c);
    text.starts_with(mark) || text.ends_with(mark)
}

/// A group of this machine.
pub(super) static GROUP: Format = Format {
    is: "the name of a group",
    examples: &["hpcadm"],
    is_number: false,
    check: |what, text| {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!("{what} must be the name of a group, not its number");
            return Err(Fault::new("invalid_name", message)
                .with_hint(format!("`getent group {text}` shows the name")));
        }
        Ok(())
    },
};

/// `/source[:/target[:ro]]`.
pub(super) static BIND: Format = Format {
    is: "a folder that containers see, `SOURCE[:TARGET[:ro]]`",
    examples: &["/scratch", "/opt/site:/opt/site:ro"],
    is_number: false,
    check: bind,
};

/// A span of time with its unit.
pub(super) static SPAN: Format =
    Format { is: "a span of time", examples: &["30m", "2h", "1:00:00"], is_number: false, check: span };

/// The name of a variable.
pub(super) static VARIABLE: Format = Format {
    is: "the name of a variable",
    examples: &["NCCL_SOCKET_IFNAME"],
    is_number: false,
    check: variable,
};

/// An environment module.
pub(super) static MODULE: Format = Format {
    is: "an environment module",
    examples: &["apptainer/1.4"],
    is_number: false,
    check: |what, text| plain(what, text, "._-+/@"),
};

/// A name that a command line, a file and a URL can hold.
pub(super) const fn name(is: &'static str, examples: &'static [&'static str]) -> Format {
    Format { is, examples, is_number: false, check: |what, text| plain(what, text, "._-") }
}

/// A cluster.
pub(super) static CLUSTER: Format = name("the name of a cluster", &["della"]);

/// How a SIF is compressed.
pub(super) static COMPRESSION: Format = Format {
    is: "a compression",
    examples: &["zstd", "gzip", "zstd:15"],
    is_number: false,
    check: |what, text| match text.parse::<Compression>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::new("unknown_value", format!("{what}: {error}"))
            .with_hint("write `zstd` (the faster one) or `gzip`, with a level behind a colon if need be")),
    },
};

/// The name of an image.
pub(super) static IMAGE_NAME: Format =
    Format { is: "the name of an image", examples: &["llama_cpp"], is_number: false, check: image_name };

/// An address without secrets.
pub(super) static PROXY: Format = Format {
    is: "the URL of a proxy",
    examples: &["http://proxy.example.edu:3128"],
    is_number: false,
    check: proxy,
};

/// The host of a registry, as references of images name it.
pub(super) static REGISTRY: Format = Format {
    is: "the host of a registry",
    examples: &["ghcr.io", "login:5000"],
    is_number: false,
    check: |_, text| {
        // By the rules for references: one that no reference can name would do nothing.
        let named = format!("{text}/name").parse::<Reference>();
        if named.is_ok_and(|named| named.registry() == text) {
            return Ok(());
        }
        Err(Fault::new("invalid_registry", format!("`{text}` is not the host of a registry"))
            .with_hint("write it in small letters, with its port if it has one: `ghcr.io`, `login:5000`"))
    },
};

/// Where a registry's images are as well.
pub(super) static MIRROR: Format = Format {
    is: "the URL of a mirror",
    examples: &["https://harbor.example.edu/docker-proxy"],
    is_number: false,
    check: mirror,
};

/// What an image is called in a registry.
pub(super) static REFERENCE: Format = Format {
    is: "the reference of an image",
    examples: &["ghcr.io/org/name:tag"],
    is_number: false,
    check: |_, text| image(text.parse::<Reference>()),
};

/// What a manifest is called by its content.
pub(super) static DIGEST: Format = Format {
    is: "a digest",
    examples: &["sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],
    is_number: false,
    check: |_, text| image(text.parse::<Digest>()),
};

/// `ORG/NAME` of the Hub.
pub(super) static MODEL: Format = Format {
    is: "the id of a model",
    examples: &["HuggingFaceTB/SmolLM2-135M-Instruct"],
    is_number: false,
    check: |_, text| {
        text.parse::<ModelId>().map(drop).map_err(|error| Fault::new("invalid_model_id", error.to_string()))
    },
};

/// A state of a model.
pub(super) static REVISION: Format = Format {
    is: "a commit, a branch or a tag",
    examples: &["main", "v1.0", "0123456789abcdef0123456789abcdef01234567"],
    is_number: false,
    check: |_, text| {
        let parsed = text.parse::<Revision>();
        parsed.map(drop).map_err(|error| Fault::new("invalid_revision", error.to_string()))
    },
};

/// Files of a model.
pub(super) static PATTERN: Format = Format {
    is: "a pattern of file names",
    examples: &["*.json", "onnx/"],
    is_number: false,
    check: |what, text| {
        let message = |why| format!("{what} is no pattern of file names: {why}");
        text.parse::<Pattern>().map(drop).map_err(|why| Fault::new("invalid_pattern", message(why)))
    },
};

/// How other machines name a node.
pub(super) static HOST: Format = Format {
    is: "a host name, with `{node}` for the node's own",
    examples: &["{node}.hpc.example.edu"],
    is_number: false,
    check: |what, text| plain(what, &text.replacen("{node}", "node", 1), ".-"),
};

pub(super) fn absolute(what: &str, text: &str) -> Result<(), Fault> {
    if !text.starts_with('/') {
        let message = format!("{what} must be an absolute path, not `{text}`");
        return Err(
            Fault::new("not_absolute", message).with_hint("it begins with `/`: `~` and `$` are not replaced")
        );
    }
    if text.contains(['$', ',']) || Path::new(text).components().any(|part| part.as_os_str() == "..") {
        let message = format!("{what} holds `..`, a `$` or a comma");
        return Err(Fault::new("invalid_path", message).with_hint("write the whole path out"));
    }
    Ok(())
}

fn bind(what: &str, text: &str) -> Result<(), Fault> {
    let mut parts = text.splitn(3, ':');
    for part in parts.by_ref().take(2) {
        absolute(what, part)?;
    }
    match parts.next() {
        None | Some("ro" | "rw") => Ok(()),
        Some(other) => Err(Fault::new("invalid_bind", format!("{what} ends with `{other}`"))
            .with_hint("write SOURCE, SOURCE:TARGET or SOURCE:TARGET:ro")),
    }
}

fn span(what: &str, text: &str) -> Result<(), Fault> {
    // Alone, a number could mean anything.
    if text.bytes().all(|byte| byte.is_ascii_digit()) || crate::duration::some_seconds(text).is_err() {
        let message = format!("{what} must be a span of time, not `{text}`");
        return Err(Fault::new("invalid_span", message).with_hint("write it as 30m, 2h or 1:00:00"));
    }
    Ok(())
}

fn variable(what: &str, text: &str) -> Result<(), Fault> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    if !text.bytes().next().is_some_and(first)
        || !text.bytes().all(|byte| first(byte) || byte.is_ascii_digit())
    {
        return Err(Fault::new("invalid_name", format!("{what} cannot be that of a variable"))
            .with_hint("letters, digits and `_`, and no digit at first"));
    }
    if matches!(text, "HOME" | "PATH" | "TMPDIR") {
        return Err(Fault::new("reserved_name", format!("`{text}` is set for each service"))
            .with_hint("each has a folder of its own on the node"));
    }
    Ok(())
}

/// Letters, digits and some more; not a dash at first, which would make it an option.
fn plain(what: &str, text: &str, more: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte);
    if text.bytes().all(allowed) && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    let more = more.chars().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(" ");
    Err(Fault::new("invalid_name", format!("{what} holds what has no place in such a name"))
        .with_hint(format!("letters, digits and {more}, and one of the first two to begin with")))
}

fn proxy(what: &str, text: &str) -> Result<(), Fault> {
    const WRITE: &str = "write it as http://proxy.example.edu:3128";
    host_of_url(what, without_scheme(what, text)?.trim_end_matches('/'), WRITE)
}

fn mirror(what: &str, text: &str) -> Result<(), Fault> {
    const WRITE: &str = "write it as https://mirror.example.edu, with a path behind it if it has one";
    let (host, path) = match without_scheme(what, text)?.split_once('/') {
        Some((host, path)) => (host, path),
        None => (without_scheme(what, text)?, ""),
    };
    host_of_url(what, host, WRITE)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-~/".contains(&byte);
    if !path.bytes().all(allowed) || path.split('/').any(|part| part == "..") {
        let message = format!("{what} has a path that a mirror cannot have");
        return Err(Fault::new("invalid_url", message).with_hint(WRITE));
    }
    Ok(())
}

/// What follows the scheme of an address without a password.
fn without_scheme<'t>(what: &str, text: &'t str) -> Result<&'t str, Fault> {
    let invalid = |why: &str| Fault::new("invalid_url", format!("{what} {why}"));
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest else {
        return Err(invalid("must begin with http:// or https://"));
    };
    if rest.contains('@') {
        return Err(invalid(
            "holds a name or password, and everybody can read the cache's copy of this file",
        )
        .with_hint("leave out what is before the `@`"));
    }
    Ok(rest)
}

fn host_of_url(what: &str, host: &str, hint: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err(Fault::new("invalid_url", format!("{what} names no host")).with_hint(hint));
    }
    Ok(())
}

fn image_name(_: &str, text: &str) -> Result<(), Fault> {
    if is_image_name(text) {
        return Ok(());
    }
    let message = "the name of an image may hold letters, digits, `.`, `_` and `-` only, and begins with a letter or digit";
    Err(Fault::new("invalid_name", message))
}

fn image<T>(read: Result<T, ImageError>) -> Result<(), Fault> {
    read.map(drop).map_err(|error| {
        let fault = Fault::new(error.code(), error.to_string());
        Fault { hint: error.hint(), ..fault }
    })
}

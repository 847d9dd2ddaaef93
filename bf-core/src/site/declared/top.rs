//! The keys at the top of site.yaml.

use std::path::{Component, Path};

use super::forms::{GROUP, IMAGE_NAME, REGISTRY, is_quoted, name};
use super::{
    engines, images, models, network, ondemand, policy, registries, retention, runtime, slurm, tigerflow,
};
use crate::shape::{By, Fault, Format, Key, Map, Shape};

static ENGINE: Format = name("the id of an engine", &["llama_cpp"]);

/// The whole file.
pub(super) static MAP: Map = Map::of(
    "the file",
    &[
        Key::new("schema", Shape::Whole(1, 1), "The version of this format").required(),
        Key::new("cache_dir", Shape::Format(&CACHE_DIR), "The shared cache, a folder of its own").required(),
        Key::new("group", Shape::Format(&GROUP), "The group that everything in the cache gets")
            .or("that of who runs bf-admin"),
        Key::new("file_mode", Shape::Format(&FILE_MODE), "Mode of the files of models, 0755 or 0644")
            .or("0755"),
        Key::new(
            "images",
            Shape::Named(&IMAGE_NAME, &Shape::OrNull(&Shape::Map(&images::MAP))),
            "Container images; without `ref` that of the engine of this name, with `-gpu` behind it that for GPUs",
        ),
        Key::new(
            "registries",
            Shape::Named(&REGISTRY, &Shape::OrNull(&Shape::Map(&registries::MAP))),
            "How the registries of images are reached, by their hosts",
        ),
        Key::new("models", Shape::List(&Shape::Map(&models::MAP)), "Models"),
        Key::new(
            "engines",
            Shape::Named(&ENGINE, &Shape::OrNull(&Shape::Map(&engines::MAP))),
            "Engines that run without a container",
        ),
        Key::new("tigerflow", Shape::Map(&tigerflow::MAP), "What batch jobs run with").by(By::Later),
        Key::new("ondemand", Shape::Map(&ondemand::MAP), "The app of Open OnDemand").by(By::Later),
        Key::new("slurm", Shape::Map(&slurm::MAP), "How jobs ask for what they need").by(By::User),
        Key::new("runtime", Shape::Map(&runtime::MAP), "How containers are run").by(By::User),
        Key::new("network", Shape::Map(&network::MAP), "Where services listen").by(By::User),
        Key::new("policy", Shape::Map(&policy::MAP), "What users may do").by(By::User),
        // Its keys have the warnings.
        Key::new("retention", Shape::Map(&retention::MAP), "What `prune` leaves"),
    ],
);

/// What bf-user reads of it. All else is the administrator's, and may be newer than the program that a user runs.
pub(super) static RULES: Map = Map {
    called: "the file",
    keys: &[
        Key::new("schema", Shape::Whole(1, 1), "The version of this format").required(),
        Key::new("slurm", Shape::Map(&slurm::MAP), "How jobs ask for what they need").by(By::User),
        Key::new("runtime", Shape::Map(&runtime::MAP), "How containers are run").by(By::User),
        Key::new("network", Shape::Map(&network::MAP), "Where services listen").by(By::User),
        Key::new("policy", Shape::Map(&policy::MAP), "What users may do").by(By::User),
    ],
    is_open: true,
};

/// What bf-user reads of it before it pulls an image.
pub(super) static REGISTRIES: Map = Map {
    called: "the file",
    keys: &[
        Key::new("schema", Shape::Whole(1, 1), "The version of this format").required(),
        Key::new(
            "registries",
            Shape::Named(&REGISTRY, &Shape::OrNull(&Shape::Map(&registries::MAP))),
            "How the registries of images are reached, by their hosts",
        ),
    ],
    is_open: true,
};

static CACHE_DIR: Format = Format {
    is: "a path",
    examples: &["/shared/blackfish"],
    is_number: false,
    check: |what, text| match unusable(text) {
        None => Ok(()),
        Some((why, hint)) => Err(Fault::new("invalid_cache_dir", format!("{what} {why}")).with_hint(hint)),
    },
};

static FILE_MODE: Format = Format {
    is: "0755 or 0644",
    examples: &["0755", "0644"],
    is_number: true,
    check: |what, text| {
        file_mode(text).map(drop).ok_or_else(|| {
            let message = format!("{what} must be 0755, as models are by default, or 0644");
            Fault::new("unknown_value", message)
        })
    },
};

/// Why a path can be no cache, and what to write instead.
fn unusable(path: &str) -> Option<(&'static str, &'static str)> {
    const WRITE_OUT: &str = "write the whole path out, as in /shared/blackfish";
    if path.starts_with('~') {
        Some(("begins with `~`, which only a shell replaces", WRITE_OUT))
    } else if path.contains('$') {
        Some(("holds a `$`, and variables are not replaced here", WRITE_OUT))
    } else if path.starts_with('/') && is_root(Path::new(path)) {
        Some(("is the root of the filesystem", "name a folder of its own, as /shared/blackfish"))
    } else if is_quoted(path) {
        Some(("begins or ends with a quotation mark that belongs to the name", WRITE_OUT))
    } else if is_systems(Path::new(path)) {
        Some(("is a folder of the operating system", "name a folder of its own, as /shared/blackfish"))
    } else {
        None
    }
}

/// Whether a path is one of the system's folders, or below one in which nothing of ours can be (Filesystem Hierarchy Standard 3.0).
fn is_systems(path: &Path) -> bool {
    const ITSELF: [&str; 10] =
        ["/dev", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr", "/var"];
    const BELOW: [&str; 11] =
        ["/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr/bin"];
    ITSELF.iter().any(|own| path == Path::new(own)) || BELOW.iter().any(|own| path.starts_with(own))
}

/// Whether an absolute path leads to `/`, as its names tell.
fn is_root(path: &Path) -> bool {
    let depth = path.components().fold(0_usize, |depth, part| match part {
        Component::Normal(_) => depth + 1,
        Component::ParentDir => depth.saturating_sub(1),
        _ => depth,
    });
    depth == 0
}

/// `0644`, `0755`, with or without quotes. YAML 1.1 reads `0644` as octal, YAML 1.2 as decimal: both are meant the same.
pub(super) fn file_mode(text: &str) -> Option<u32> {
    match text.trim_start_matches("0o").trim_start_matches('0') {
        "644" | "420" => Some(0o644),
        "755" | "493" => Some(0o755),
        _ => None,
    }
}

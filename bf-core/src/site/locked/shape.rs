//! What site.lock holds, as described for other programs. A test holds it to the types beside it.

use crate::shape::{Format, Key, Map, Shape};
use crate::site::declared::ACCESS;

const fn open(called: &'static str, keys: &'static [Key]) -> Map {
    Map { called, keys, is_open: true }
}

static FILE: Map = open(
    "a file",
    &[
        Key::new("path", Shape::Text, "Relative, with `/`").required(),
        Key::new("sha256", Shape::Text, "64 hex digits").required(),
        Key::new("bytes", Shape::Bytes, "Its length").required(),
        Key::new("blob", Shape::Text, "Of a model: the name of its blob, where that is not `sha256`"),
    ],
);

static TOOLKIT: Map = open(
    "the toolkit",
    &[
        Key::new("version", Shape::Text, "The version that `bin/bf-user` leads to").required(),
        Key::new("sha256", Shape::Text, "Of what `bin/bf-user` leads to").required(),
        Key::new(
            "files",
            Shape::List(&Shape::Map(&FILE)),
            "`bf-user` for each architecture, relative to the cache",
        ),
    ],
);

static IMAGE: Map = open(
    "an image",
    &[
        Key::new("ref", Shape::Text, "Where it came from"),
        Key::new("digest", Shape::Text, "The manifest or index that it was made of, where that is known"),
        Key::new("sif", Shape::Text, "The link that users open, relative to the cache").required(),
        Key::new("sha256", Shape::Text, "Of the file behind it, 64 hex digits").required(),
        Key::new("bytes", Shape::Bytes, "Its length").required(),
        Key::new("compression", Shape::Text, "How its root filesystem is compressed, as `zstd:8`").required(),
        Key::new("partition_sha256", Shape::Text, "Of its root filesystem alone"),
        Key::new("metadata_sha256", Shape::Text, "Of all the rest, as it was before it was signed"),
    ],
);

static ENGINE: Map = open(
    "an engine",
    &[
        Key::new("version", Shape::Text, "Its version, also the name of its folder").required(),
        Key::new("package", Shape::Text, "The Python package").required(),
        Key::new("sha256", Shape::List(&Shape::Text), "Of the wheels that were allowed").required(),
        Key::new("python", Shape::Text, "The interpreter that its launcher names").required(),
        Key::new("files", Shape::List(&Shape::Map(&FILE)), "All its files, relative to its folder")
            .required(),
    ],
);

static MODEL: Map = open(
    "a model",
    &[
        Key::new("commit", Shape::Text, "The commit that `refs/main` names").required(),
        Key::new("files", Shape::List(&Shape::Map(&FILE)), "All files of the snapshot, relative to it")
            .required(),
        Key::new("access", Shape::Format(&ACCESS), "Whom it was published for").or("all"),
        Key::new("revision", Shape::Text, "What `commit` was asked for as").or("main"),
        Key::new(
            "revisions",
            Shape::Named(&ANY, &Shape::Map(&REVISION)),
            "Further revisions, by what they were asked for as",
        ),
    ],
);

static REVISION: Map = open(
    "a revision",
    &[
        Key::new("commit", Shape::Text, "Its commit").required(),
        Key::new("files", Shape::List(&Shape::Map(&FILE)), "All files of the snapshot, relative to it")
            .required(),
    ],
);

pub(super) static MAP: Map = open(
    "the file",
    &[
        Key::new("schema", Shape::Whole(1, 1), "The version of this format").required(),
        Key::new("toolkit", Shape::Map(&TOOLKIT), "The programs of users"),
        Key::new("images", Shape::Named(&ANY, &Shape::Map(&IMAGE)), "Container images"),
        Key::new("engines", Shape::Named(&ANY, &Shape::Map(&ENGINE)), "Engines that run without a container"),
        Key::new("models", Shape::Named(&ANY, &Shape::Map(&MODEL)), "Models"),
    ],
);

static ANY: Format = Format { is: "a name", examples: &["name"], is_number: false, check: |_, _| Ok(()) };

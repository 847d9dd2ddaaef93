//! An image for tests.

use super::{Architecture, Facts, RunConfig};
use crate::image::Digest;

/// An image with something of everything.
pub(super) fn facts() -> Facts {
    let digest = |digit: &str| -> Digest { format!("sha256:{}", digit.repeat(64)).parse().unwrap() };
    let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Facts {
        architecture: Architecture::Amd64,
        reference: "q.io/org/name:tag".parse().unwrap(),
        source: None,
        manifest: Some(digest("a")),
        config: digest("b"),
        layers: vec![digest("c"), digest("d")],
        diff_ids: vec![digest("e"), digest("f")],
        compression: "zstd".into(),
        tool: "0.1.0".into(),
        created: 1_795_457_810,
        oci: serde_json::json!({"Entrypoint": ["/opt/it's/serve"], "Labels": {"maintainer": "me"}}),
        run: RunConfig {
            env: text(&["PATH=/opt/bin:/usr/bin", "MODE=a `b` $c", "bad-name=1", "EMPTY="]),
            entrypoint: text(&["/opt/it's/serve", "a b", ""]),
            cmd: text(&["--port", "80"]),
            labels: [("maintainer".into(), "me".into())].into(),
        },
    }
}

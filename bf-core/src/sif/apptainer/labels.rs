//! The labels of an image, and those that say how the SIF was made.

use std::collections::BTreeMap;

use crate::sif::Facts;

/// The image's labels with the `org.label-schema` ones of the build, which win. The time is the image's: a SIF of the same image is
/// the same whenever it is made.
pub fn labels(facts: &Facts) -> BTreeMap<String, String> {
    const SCHEMA: &str = "org.label-schema";
    let mut labels = facts.run.labels.clone();
    let mut add = |name: &str, value: String| labels.insert(format!("{SCHEMA}.{name}"), value);
    add("build-arch", facts.architecture.oci().to_owned());
    if let Ok(time) = jiff::Timestamp::from_second(facts.created) {
        add("build-date", time.strftime("%A_%-d_%B_%Y_%H:%M:%S_UTC").to_string());
    }
    add("schema-version", "1.0".to_owned());
    add("usage.blackfish.version", facts.tool.clone());
    add("usage.singularity.deffile.bootstrap", "docker".to_owned());
    add("usage.singularity.deffile.from", facts.reference.to_string());
    labels
}

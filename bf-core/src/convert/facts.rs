//! What a SIF is told of the image that it is made of.

use serde_json::{Map, Value};

use super::Order;
use crate::oci::Image;
use crate::report::{Exit, Failure};
use crate::sif::{Architecture, Facts, RunConfig};

pub(super) fn of(image: &Image, order: &Order<'_>) -> Result<Facts, Failure> {
    let config = &image.config;
    let name = order.reference;
    let architecture = Architecture::from_oci(&config.architecture).ok_or_else(|| {
        let message = format!("{name} is for {:?}, which SIF files have no word for", config.architecture);
        Failure::new(Exit::Invalid, "architecture_unknown", message)
    })?;
    let created = config.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Ok(Facts {
        architecture,
        reference: name.clone(),
        source: order.source.cloned(),
        manifest: image.manifest_digest.clone(),
        config: image.manifest.config.digest.clone(),
        layers: image.manifest.layers.iter().map(|layer| layer.digest.clone()).collect(),
        diff_ids: config.rootfs.diff_ids.clone(),
        compression: order.compression.to_string(),
        tool: order.tool.to_owned(),
        created: created.map_or(0, |time| time.as_second().max(0)),
        oci: container(&image.config_raw),
        run: RunConfig {
            env: config.config.env.clone(),
            entrypoint: config.config.entrypoint.clone(),
            cmd: config.config.cmd.clone(),
            labels: config.config.labels.clone(),
        },
    })
}

/// The `config` of the configuration as its maker wrote it, with keys that we do not know. It was parsed before.
fn container(raw: &[u8]) -> Value {
    let whole: Value = serde_json::from_slice(raw).unwrap_or_default();
    whole
        .get("config")
        .filter(|config| config.is_object())
        .cloned()
        .unwrap_or_else(|| Value::Object(Map::new()))
}

//! What `resource_specs.yaml` may hold, as described for editors and people. The reader beside this file names tiers in its
//! messages and looks at more than one value; a test holds the two to the same keys and types.

use super::ResourceSpecs;
use crate::shape::{By, Format, Key, Map, Shape};

static TIME: Map = Map::of(
    "`time`",
    &[
        Key::new("default", Shape::Whole(1, u32::MAX), "Minutes that a user gets who does not ask")
            .or("30")
            .by(By::User),
        Key::new("max", Shape::Whole(1, u32::MAX), "Minutes that a user may ask for at most")
            .or("180")
            .by(By::User),
    ],
);

static SLURM: Map = Map::of(
    "`slurm`",
    &[
        Key::new("constraint", Shape::Text, "The value of `--constraint`").by(By::User),
        Key::new(
            "gres",
            Shape::Text,
            "Generic resources as Slurm writes them; without a count `gpu_count` is added",
        )
        .by(By::User),
    ],
);

static TIER: Map = Map::of(
    "a tier",
    &[
        Key::new("name", Shape::Text, "Display name").required().by(By::User),
        Key::new("description", Shape::Lines, "For users").required().by(By::User),
        Key::new(
            "max_model_size_gb",
            Shape::OrNull(&Shape::Positive),
            "Models below this size, in GB of 10^9 bytes, fit; `null`: all do",
        )
        .required()
        .by(By::User),
        Key::new("gpu_count", Shape::Whole(0, u32::MAX), "GPUs").required().by(By::User),
        Key::new("gpu_type", Shape::Text, "A label for users, which Slurm never sees").by(By::User),
        Key::new("cpu_cores", Shape::Whole(1, u32::MAX), "Processor cores").required().by(By::User),
        Key::new("memory_gb", Shape::Whole(1, u32::MAX), "Memory, in Slurm's G").required().by(By::User),
        Key::new("slurm", Shape::Map(&SLURM), "More for Slurm").by(By::User),
    ],
);

static PARTITION: Map = Map::of(
    "a partition",
    &[
        Key::new("default", Shape::Bool, "Whether it is used when a user names none; one of several must be")
            .or("true for the only one")
            .by(By::User),
        Key::new("tiers", Shape::List(&Shape::Map(&TIER)), "Its tiers").required().by(By::User),
    ],
);

static PARTITION_NAME: Format =
    Format { is: "a partition of Slurm", examples: &["gpu"], is_number: false, check: |_, _| Ok(()) };
static MODEL_NAME: Format =
    Format { is: "a model", examples: &["org/name"], is_number: false, check: |_, _| Ok(()) };
static TARGET: Format =
    Format { is: "`partition.tier`", examples: &["gpu.Large"], is_number: false, check: |_, _| Ok(()) };

static MAP: Map = Map::of(
    "the file",
    &[
        Key::new("time", Shape::Map(&TIME), "How long services may run").by(By::User),
        Key::new(
            "partitions",
            Shape::Named(&PARTITION_NAME, &Shape::Map(&PARTITION)),
            "The partitions of Slurm",
        )
        .required()
        .by(By::User),
        Key::new("models", Shape::Named(&MODEL_NAME, &Shape::Format(&TARGET)), "The tier of single models")
            .by(By::User),
    ],
);

impl ResourceSpecs {
    /// All that the file may hold.
    pub fn shape() -> &'static Map {
        &MAP
    }
}

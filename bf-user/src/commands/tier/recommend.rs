//! `bf-user tier recommend`: which tier, why, and what the model needs.

use std::fmt::Write as _;
use std::io::{self, Write};

use bf_core::model::memory::GpuMemory;
use bf_core::model::{self, ModelId, ModelInfo};
use bf_core::report::{Exit, Failure, Finding, Report, human_bytes, human_count};
use bf_core::settings::Settings;
use bf_core::spec::ResourceSpecs;
use bf_core::tier::{self, Choice};
use clap::Args;
use serde::Serialize;

use super::{SpecsArgs, label, load};
use crate::launch::{find_model, gb, open_cache};
use crate::printer::Printer;

/// The context that memory is reckoned for unless another is given, in tokens: the model's own may be a million, which few requests come near to.
const USUAL_CONTEXT: u64 = 8192;

#[derive(Debug, Args)]
pub(crate) struct RecommendArgs {
    /// The model, as ORG/NAME
    #[arg(required_unless_present = "size_gb")]
    model: Option<String>,
    /// Size of its weights in GB (10^9 bytes) [default: that of the model]
    #[arg(long, value_name = "N")]
    size_gb: Option<f64>,
    /// Partition whose tiers are used [default: the site's default one]
    #[arg(long)]
    partition: Option<String>,
    /// Tokens that the memory is said for [default: the model's context, 8192 at most]
    #[arg(long, value_name = "N", conflicts_with = "size_gb", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    context: Option<u64>,
    #[command(flatten)]
    specs: SpecsArgs,
}

/// A choice, and beside its keys what is known of the model.
#[derive(Serialize)]
struct Recommended {
    #[serde(flatten)]
    choice: Choice,
    model: Option<Model>,
    memory: Option<Needs>,
    warnings: Vec<Finding>,
}

#[derive(Serialize)]
struct Model {
    repo: String,
    format: model::WeightFormat,
    size_bytes: Option<u64>,
    parameters: Option<u64>,
    dtype: Option<String>,
    architecture: Option<String>,
    context_length: Option<u64>,
    license: Option<String>,
}

/// What it needs at one context, or why that is not known.
#[derive(Serialize)]
struct Needs {
    #[serde(flatten)]
    sum: Option<GpuMemory>,
    kv_cache_bytes_per_token: Option<u64>,
    unknown: Option<String>,
    /// What the tier's GPUs have together, where the specifications say so.
    gpu_bytes: Option<u64>,
}

impl Recommended {
    fn new(
        specs: &ResourceSpecs,
        choice: Choice,
        model: Option<ModelInfo>,
        context: Option<u64>,
    ) -> Recommended {
        let Some(info) = model else {
            return Self { choice, model: None, memory: None, warnings: vec![] };
        };
        let mut warnings = Vec::new();
        let longest = info.context_length.filter(|longest| context.is_some_and(|asked| asked > *longest));
        if let Some(longest) = longest {
            let message = format!("{} takes no more than {longest} tokens", info.repo);
            warnings.push(Finding::warning("context_too_long", message));
        }
        let context =
            context.unwrap_or_else(|| info.context_length.unwrap_or(USUAL_CONTEXT).min(USUAL_CONTEXT));
        let gpu_bytes = tier_of(specs, &choice).and_then(tier::gpu_memory);
        let sum = info.memory.gpu_memory(context, 1);
        let unknown = sum.as_ref().err().map(ToString::to_string);
        let cache = info.memory.kv_cache.as_ref().ok();
        let needs = Needs {
            sum: sum.ok(),
            kv_cache_bytes_per_token: cache.map(model::memory::KvCache::bytes_per_token),
            unknown,
            gpu_bytes,
        };
        if let (Some(sum), Some(has), Some(tier)) = (needs.sum, gpu_bytes, &choice.tier)
            && sum.total_bytes > has
        {
            let (needed, has) = (human_bytes(sum.total_bytes), human_bytes(has));
            let message = format!(
                "the model needs about {needed} at {context} tokens, and the GPUs of `{tier}` have {has}"
            );
            let hint = "choose a larger tier with `--tier`, or a shorter context";
            warnings.push(Finding::warning("gpu_memory_too_small", message).with_hint(hint));
        }
        let model = Model {
            repo: info.repo.to_string(),
            format: info.format,
            size_bytes: info.size_bytes,
            parameters: info.parameters,
            dtype: info.dtype,
            architecture: info.architecture,
            context_length: info.context_length,
            license: info.license,
        };
        Self { choice, model: Some(model), memory: Some(needs), warnings }
    }
}

/// The tier that was chosen. The built-in ones are those of whatever partition was asked for.
fn tier_of<'a>(specs: &'a ResourceSpecs, choice: &Choice) -> Option<&'a bf_core::spec::Tier> {
    let named = choice.partition.as_deref().and_then(|name| specs.partition(name));
    named.or(specs.default_partition())?.tier(choice.tier.as_deref()?)
}

impl Report for Recommended {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let choice = &self.choice;
        match &choice.tier {
            Some(tier) => writeln!(out, "{}: {}", label(choice.partition.as_deref(), tier), choice.reason)?,
            None => writeln!(out, "no tier: {}", choice.reason)?,
        }
        let mut line = |name: &str, value: &str| writeln!(out, "{name:<11}{value}");
        if let Some(model) = &self.model {
            line("weights", &model.weights())?;
        }
        if let Some(needs) = &self.memory {
            line("GPU memory", &needs.words())?;
        }
        if let Some(model) = &self.model {
            let tokens = model.context_length.map(|tokens| format!("{tokens} tokens at most"));
            line("context", &tokens.unwrap_or_else(|| "not known".into()))?;
            line("license", model.license.as_deref().unwrap_or("not known"))?;
        }
        Ok(())
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        let partition = self.choice.partition.as_deref();
        self.choice.tier.iter().try_for_each(|tier| writeln!(out, "{}", label(partition, tier)))
    }
}

impl Model {
    /// `16.1 GB (safetensors, BF16, 8.0 B parameters)`.
    fn weights(&self) -> String {
        let mut text = self.size_bytes.map_or_else(|| "size not known".into(), human_bytes);
        let _ = write!(text, " ({}", self.format);
        if let Some(dtype) = &self.dtype {
            let _ = write!(text, ", {dtype}");
        }
        if let Some(parameters) = self.parameters {
            let _ = write!(text, ", {} parameters", human_count(parameters));
        }
        text.push(')');
        text
    }
}

impl Needs {
    fn words(&self) -> String {
        let (Some(sum), Some(token)) = (&self.sum, self.kv_cache_bytes_per_token) else {
            return format!("not known: {}", self.unknown.as_deref().unwrap_or("nobody looked"));
        };
        format!(
            "about {} for one request of {} tokens: weights {}, their keys and values {} ({} a token), the rest about {}",
            human_bytes(sum.total_bytes),
            sum.context,
            human_bytes(sum.weights_bytes),
            human_bytes(sum.kv_cache_bytes),
            human_bytes(token),
            human_bytes(sum.overhead_bytes),
        )
    }
}

/// Settings are resolved only when they are needed: `--specs FILE --size-gb N` needs no cache and no home.
pub(super) fn run(
    args: &RecommendArgs,
    settings: impl Fn() -> Result<Settings, Failure>,
    printer: Printer,
) -> Result<Exit, Failure> {
    let specs = load(&args.specs, &settings, printer)?;
    // A size that is given stands for the model, which may be nowhere yet.
    let model = match (args.size_gb, &args.model) {
        (None, Some(model)) => Some(found(model, &settings()?)?),
        _ => None,
    };
    let size_gb = args.size_gb.or_else(|| model.as_ref()?.size_bytes.map(gb));
    let choice = tier::recommend(&specs, args.model.as_deref(), size_gb, args.partition.as_deref())?;
    let exit = if choice.tier.is_some() { Exit::Ok } else { Exit::Findings };
    let recommended = Recommended::new(&specs, choice, model, args.context);
    printer.findings(&recommended.warnings);
    printer.report(&recommended)?;
    Ok(exit)
}

fn found(model: &str, settings: &Settings) -> Result<ModelInfo, Failure> {
    let layout = open_cache(settings)?;
    Ok(find_model(settings, &layout, &ModelId::parse_stored(model)?, None)?.info)
}

#[cfg(test)]
mod tests {
    use bf_core::model::Location;
    use bf_core::model::memory::{KvCache, Layers, Memory};

    use super::*;

    fn specs() -> ResourceSpecs {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tier = |name, size, kind| {
            format!(
                "      - {{name: {name}, description: d, max_model_size_gb: {size}, gpu_count: 1, gpu_type: {kind}, cpu_cores: 1, memory_gb: 1}}\n"
            )
        };
        let text = format!(
            "partitions:\n  gpu:\n    default: true\n    tiers:\n{}{}",
            tier("Small", "16", "l4-16gb"),
            tier("Large", "null", "a100")
        );
        fs_err::write(file.path(), text).unwrap();
        ResourceSpecs::load_file(file.path()).unwrap().specs
    }

    /// As Llama-3.1-8B: 131072 bytes a token.
    fn info(size_bytes: u64) -> ModelInfo {
        let layers = vec![Layers { layers: 32, bytes_per_token: 4096, window: None }];
        let kv_cache = Ok(KvCache { layers, ..KvCache::default() });
        ModelInfo {
            repo: ModelId::parse("me/big").unwrap(),
            revision: "main".into(),
            path: "/nowhere".into(),
            size_bytes: Some(size_bytes),
            format: model::WeightFormat::Safetensors,
            parameters: Some(8_030_261_248),
            dtype: Some("BF16".into()),
            task: None,
            license: Some("llama3.1".into()),
            location: Location::Cache,
            group: None,
            weights: vec![],
            alternatives: vec![],
            architecture: Some("llama".into()),
            context_length: Some(131_072),
            memory: Memory { weights_bytes: Some(size_bytes), kv_cache },
        }
    }

    fn recommended(info: ModelInfo, context: Option<u64>) -> Recommended {
        let specs = specs();
        let choice = tier::recommend(&specs, Some("me/big"), info.size_bytes.map(gb), None).unwrap();
        Recommended::new(&specs, choice, Some(info), context)
    }

    fn text(recommended: &Recommended) -> String {
        let mut out = Vec::new();
        recommended.text(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_model_needs_is_said_beside_the_choice() {
        let recommended = recommended(info(10_000_000_000), None);
        // 10 GB, 8192 tokens of 131072 bytes, a ninth of both and 1 GB.
        assert_eq!(
            text(&recommended),
            "gpu.Small: 10 GB is below 16 GB, the limit of `Small`, the smallest tier of `gpu` that fits\n\
             weights    10.0 GB (safetensors, BF16, 8.0 B parameters)\n\
             GPU memory about 13.3 GB for one request of 8192 tokens: weights 10.0 GB, their keys and values 1.1 GB \
             (131.1 kB a token), the rest about 2.2 GB\n\
             context    131072 tokens at most\n\
             license    llama3.1\n"
        );
        assert!(recommended.warnings.is_empty());
        let json = serde_json::to_value(&recommended).unwrap();
        assert_eq!((&json["tier"], &json["source"]), (&"Small".into(), &"size_match".into()));
        assert_eq!(json["memory"]["kv_cache_bytes_per_token"], 131_072);
        assert_eq!(json["memory"]["gpu_bytes"], 16_u64 << 30);
    }

    #[test]
    fn a_tier_whose_gpus_are_known_to_be_too_small_is_warned_of() {
        let codes = |size, context| -> Vec<_> {
            let warnings = recommended(info(size), context).warnings;
            warnings.into_iter().map(|warning| warning.code).collect()
        };
        assert_eq!(codes(15_000_000_000, None), ["gpu_memory_too_small"]);
        assert_eq!(codes(10_000_000_000, Some(131_072)), ["gpu_memory_too_small"]);
        assert_eq!(codes(1_000_000, Some(200_000)), ["context_too_long", "gpu_memory_too_small"]);
        // What an `a100` has is not said.
        assert_eq!(codes(900_000_000_000, None), Vec::<&str>::new());
    }

    #[test]
    fn what_is_not_known_is_said_to_be_so() {
        let unknown = ModelInfo {
            memory: Memory { weights_bytes: Some(1), ..Memory::default() },
            context_length: None,
            ..info(1)
        };
        let recommended = recommended(unknown, None);
        let text = text(&recommended);
        assert!(text.contains("GPU memory not known: the model's files were not read"), "{text}");
        assert!(text.contains("context    not known"), "{text}");
        assert!(recommended.memory.unwrap().unknown.is_some());
    }
}

//! `bf-user image`: images of one's own, beside those of the shared cache.

mod ls;
mod pull;
mod rm;

use bf_core::image::{GPU_SUFFIX, Reference, Sif};
use bf_core::report::{Exit, Failure};
use bf_core::service::Engine;
use bf_core::settings::Settings;
use bf_core::site::{self, Layout, Locked};
use clap::Subcommand;

use crate::printer::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Fetch an image from its registry into your own folder
    Pull(pull::PullArgs),
    /// List the images in the shared cache and in your own folder
    Ls,
    /// Remove images from your own folder
    Rm(rm::RmArgs),
}

pub(crate) fn run(command: &ImageCommand, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    match command {
        ImageCommand::Pull(args) => pull::run(args, settings, printer),
        ImageCommand::Ls => ls::run(settings, printer),
        ImageCommand::Rm(args) => rm::run(args, settings, printer),
    }
}

/// The shared cache and what it has. One's own images need none, so one that cannot be read is said and done without.
fn shared(settings: &Settings, printer: Printer) -> Option<(Layout, Locked)> {
    let cache = settings.cache_dir.as_deref()?;
    let open = || {
        let layout = site::open(cache)?;
        let locked = Locked::load(&layout)?;
        Ok((layout, locked))
    };
    open().map_err(|failure: Failure| printer.note(&format!("warning: {failure}"))).ok()
}

/// What somebody asks for: an image, perhaps as that of an engine.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    engine: Option<String>,
    reference: Reference,
}

impl Asked {
    /// The engine of that name, or that and `-gpu`, else a reference.
    fn of(engines: &[Engine], text: &str) -> Result<Self, Failure> {
        let image = |id: &str| engines.iter().find(|engine| engine.id == id)?.image.as_ref();
        let own = image(text).map(|image| &image.reference);
        let for_gpus = || image(text.strip_suffix(GPU_SUFFIX)?)?.gpu_reference.as_ref();
        if let Some(reference) = own.or_else(for_gpus) {
            return Ok(Self { engine: Some(text.to_owned()), reference: reference.clone() });
        }
        let reference =
            text.parse::<Reference>().map_err(|error| Failure { exit: Exit::Usage, ..error.into() })?;
        Ok(Self { engine: None, reference })
    }

    /// The shared cache's, which may have another one for the engine.
    fn shared(&self, (layout, locked): &(Layout, Locked)) -> Result<Option<Sif>, Failure> {
        Ok(match &self.engine {
            Some(engine) => bf_core::image::find(layout, locked, engine, Some(&self.reference))?,
            None => bf_core::image::find_reference(layout, locked, &self.reference)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_engine_is_its_image() {
        let engines = bf_core::service::engines(None).unwrap();
        let of = |text: &str| Asked::of(&engines, text).map(|asked| asked.reference.to_string());
        assert_eq!(of("llama_cpp").unwrap(), "ghcr.io/ggml-org/llama.cpp:server");
        assert_eq!(of("llama_cpp-gpu").unwrap(), "ghcr.io/ggml-org/llama.cpp:server-cuda");
        assert_eq!(of("q.io/a:1").unwrap(), "q.io/a:1");
        assert_eq!(of("Q.io/A").unwrap_err().exit, Exit::Usage);
    }
}

//! Kinds of services and the engines that serve them, read from `templates/services/*.yaml` (built in, or the site's).

mod engine;
mod kind;
mod read;

pub use engine::{Engine, EngineError, GpuNeed, Image, Listen, Native, Ready};
pub use kind::Kind;

use crate::report::Failure;
use crate::site::Layout;
use crate::template;

/// All engines, the site's and the built-in ones, by id.
///
/// # Errors
/// One definition that is not valid fails all: which engine a model gets must not depend on a typing error.
pub fn engines(layout: Option<&Layout>) -> Result<Vec<Engine>, Failure> {
    let mut engines: Vec<Engine> = Vec::new();
    let mut sources: Vec<String> = Vec::new();
    for name in template::names(layout, "services")? {
        let source = template::load(layout, &name)?;
        let engine = read::engine(&source)?;
        let shown = source.path.map_or(source.name, |path| path.display().to_string());
        if let Some(index) = engines.iter().position(|other| other.id == engine.id) {
            let first = sources.swap_remove(index);
            return Err(EngineError::Twice { id: engine.id, first, second: shown }.into());
        }
        engines.push(engine);
        sources.push(shown);
    }
    engines.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(engines)
}

/// The engine named `id`.
pub fn engine(layout: Option<&Layout>, id: &str) -> Result<Engine, Failure> {
    let engines = engines(layout)?;
    let known = engines.iter().map(|engine| engine.id.clone()).collect();
    match engines.into_iter().find(|engine| engine.id == id) {
        Some(engine) => Ok(engine),
        None => Err(EngineError::Unknown { id: id.into(), known }.into()),
    }
}

/// The engine for a model in `format` (as `gguf`), with or without GPUs.
pub fn choose(layout: Option<&Layout>, kind: Kind, format: &str, gpus: u32) -> Result<Engine, Failure> {
    let engines = engines(layout)?;
    let of_kind: Vec<&Engine> = engines.iter().filter(|engine| engine.kind == kind).collect();
    let takes_format: Vec<&&Engine> =
        of_kind.iter().filter(|engine| engine.formats.iter().any(|own| own == format)).collect();
    let fits = |engine: &&&&Engine| match engine.gpu {
        GpuNeed::None => gpus == 0,
        GpuNeed::Optional => true,
        GpuNeed::Required => gpus > 0,
    };
    // One that is made for what there is comes before one that can also do without.
    let best = takes_format.iter().filter(fits).min_by_key(|engine| engine.gpu == GpuNeed::Optional);
    match best {
        Some(engine) => Ok((**engine).clone()),
        None if takes_format.is_empty() => Err(EngineError::NoFormat {
            kind,
            format: format.into(),
            offered: of_kind
                .iter()
                .map(|engine| format!("{} ({})", engine.id, engine.formats.join(", ")))
                .collect(),
        }
        .into()),
        None => Err(EngineError::NoGpu {
            format: format.into(),
            gpus,
            engines: takes_format.iter().map(|engine| engine.id.clone()).collect(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Exit;

    #[test]
    fn the_built_in_engines_are_valid() {
        let engines = engines(None).unwrap();
        let engine = engines.iter().find(|engine| engine.id == "llama_cpp").unwrap();
        assert_eq!(engine.kind, Kind::TextGeneration);
        assert!(engine.native.as_ref().unwrap().sha256.iter().all(|hash| hash.len() == 64));
    }

    #[test]
    fn the_engine_follows_from_the_format() {
        assert_eq!(choose(None, Kind::TextGeneration, "gguf", 0).unwrap().id, "llama_cpp");
        let failure = choose(None, Kind::TextGeneration, "pickle", 0).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("no_engine", Exit::NotFound));
        assert!(failure.hint.unwrap().contains("llama_cpp (gguf)"));
    }

    #[test]
    fn an_engine_of_the_site_is_added_without_code() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let folder = layout.templates().join("services");
        fs_err::create_dir_all(&folder).unwrap();
        let text = "id: echo\nkind: text_generation\nformats: [echo]\ngpu: none\nlisten: unix\ncommand: [/bin/echo]\n\
                    health: /health\nready: {path: /, body: '{}'}\nroutes: [GET /]\n";
        fs_err::write(folder.join("echo.yaml"), text).unwrap();
        assert_eq!(choose(Some(&layout), Kind::TextGeneration, "echo", 0).unwrap().id, "echo");
        for (old, new, word) in [
            ("GET /", "get /", "route"),
            ("GET /", "/", "route"),
            ("GET /", "GET v1", "route"),
            ("/health", "health", "health"),
            ("path: /", "path: v1", "path"),
            ("id: echo", "id: ../echo", "id"),
            ("id: echo", "id: llama_cpp", "same id"),
        ] {
            fs_err::write(folder.join("echo.yaml"), text.replace(old, new)).unwrap();
            let failure = engines(Some(&layout)).unwrap_err();
            assert!(failure.message.contains(word), "{new}: {failure}");
            assert_eq!(failure.exit, Exit::Invalid);
        }
        let image = |fields: &str| {
            fs_err::write(folder.join("echo.yaml"), format!("{text}image: {{{fields}}}\n")).unwrap();
            engines(Some(&layout)).map(|engines| engines[0].image.clone())
        };
        let digest = format!("sha256:{}", "a1".repeat(32));
        let pinned =
            image(&format!("ref: 'q.io/a:1', digest: '{digest}', gpu_ref: 'q.io/a:2', path: [/app]"));
        let pinned = pinned.unwrap().unwrap();
        assert_eq!(pinned.reference.to_string(), format!("q.io/a:1@{digest}"));
        assert_eq!((pinned.gpu_reference.unwrap().tag(), pinned.path), (Some("2"), vec!["/app".to_owned()]));
        for bad in
            ["ref: Q/A", "ref: a, digest: x", "ref: a, gpu_ref: 'a:'", "ref: a, path: [app]", "path: [/a]"]
        {
            assert_eq!(image(bad).unwrap_err().exit, Exit::Invalid, "{bad}");
        }
        fs_err::write(folder.join("echo.yaml"), text.replace("formats", "format")).unwrap();
        let failure = engines(Some(&layout)).unwrap_err();
        assert!(failure.message.contains("echo.yaml"), "{failure}");
        assert_eq!(failure.exit, Exit::Invalid);
    }
}

//! `image import`: a SIF file of this machine, or an image in one of OCI's or Docker's forms, becomes an image of the cache. Writes
//! site.lock, never site.yaml.

use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bf_core::bounded::{self, Links};
use bf_core::digest;
use bf_core::image::Reference;
use bf_core::oci::{self, LocalSource, Platform, Source as _};
use bf_core::report::{Exit, Failure};
use bf_core::service;
use bf_core::sif;
use bf_core::site::{Layout, Locked, LockedImage, is_image_name};
use bf_core::squashfs::Compression;
use clap::Args;

use super::name;
use super::place;
use crate::cli::Context;
use crate::commands::single;
use crate::image::{self, Fetch, How, Maker, Named, Source};
use crate::locate;
use crate::plan::{Change, Step, Task};
use crate::present::{Depth, Disk};
use crate::space;

const KIND: &str = "image";

/// Options of `image import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A SIF file, a folder in OCI's layout, an archive of one, or what `docker save` wrote
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
    /// Which image, where an archive has several: a name that it gives it, or the digest of its manifest
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// How the root filesystem of what is no SIF yet is compressed: zstd or gzip, with a level as `zstd:15`
    #[arg(long)]
    compression: Option<Compression>,
    /// Threads that compress [default: one for each processor]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// What it is called in site.lock: the id of the engine that it is for [default: the file's name]
    #[arg(long = "as", value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Replace the image of that name by another content
    #[arg(long)]
    force: bool,
    /// Say what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    /// Copies it, unless the same content is there.
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout = locate::cache(context)?;
        single::run(context, &layout, self.dry_run, |locked| {
            if is_sif(&self.path) {
                self.step(&layout, locked)
            } else {
                self.convert(context, &layout, locked)
            }
        })
    }

    /// Makes a SIF of an image that is none yet.
    fn convert(&self, context: &Context, layout: &Layout, locked: &Locked) -> Result<Step, Failure> {
        // What it is, and whether it has what is asked for, shows before anything is written.
        let image = LocalSource::open(&self.path, self.image.as_deref())?.image(&Platform::of_host())?;
        let stem =
            self.path.file_name().and_then(|name| name.to_str()).map(|name| name.trim_end_matches(".tar"));
        let named = self.name.as_deref().or(stem).filter(|name| is_image_name(name));
        let name = named.ok_or_else(|| {
            let message = format!("{} has no name that an image can have", self.path.display());
            Failure::new(Exit::Usage, "image_unnamed", message).with_hint("name it with --as NAME")
        })?;
        let own = locked.images.get(name);
        let same = own.filter(|own| is_made_of(layout, own, &image));
        match (own, same) {
            (_, Some(own)) if self.is_as_asked(layout, own) => {
                return Ok(Step::keep(KIND, name, format!("{} is made of it already", own.digest12())));
            }
            (Some(own), None) if !self.force => return Err(other_content(name, own)),
            _ => {}
        }
        let wanted = meant(layout, name);
        let unnamed = || format!("localhost/{}", name.to_lowercase()).parse::<Reference>();
        let (reference, sif) = match wanted {
            // Whoever imports it for an engine says that it is that engine's image.
            Some(wanted) => (wanted.unpinned(), None),
            None => (unnamed().map_err(Failure::from)?, Some(format!("images/{name}.sif"))),
        };
        let path = sif.clone().unwrap_or_else(|| format!("images/{}", reference.sif_name()));
        image::way(layout, &path)?;
        let how = How { threads: self.threads, ..How::default() };
        let place = place(context, layout)?;
        let maker = Maker::local(&how, self.compression, &place, &self.path, self.image.clone());
        let fetch = Fetch { reference, sif, maker, own: None };
        let task = Task::Image(name.to_owned(), Box::new(fetch));
        let detail = format!("from {}", self.path.display());
        Ok(Step::new(KIND, name.to_owned(), Change::Import, detail, task))
    }

    /// Whether an image that is made of the same is there, whole and compressed as it is asked for. With `--force` every byte is read.
    fn is_as_asked(&self, layout: &Layout, own: &LockedImage) -> bool {
        let disk =
            if self.force { image::locked_image(layout, own, Depth::Full) } else { image::kept(layout, own) };
        disk == Disk::Whole && self.compression.is_none_or(|wanted| own.compression == wanted.to_string())
    }

    fn step(&self, layout: &Layout, locked: &Locked) -> Result<Step, Failure> {
        let wanted = self.name.as_deref().and_then(|name| meant(layout, name));
        let own = self.name.as_ref().and_then(|name| locked.images.get(name));
        let named = Named { name: self.name.as_deref(), wanted: wanted.as_ref(), own };
        let mut source = Source::read(&self.path, layout, named)?;
        // The same content again keeps the name that users know.
        if let Some(own) = own.filter(|_| !source.is_in_place(layout))
            && is_content(&source, own)?
        {
            source.sif.clone_from(&own.sif);
            source.reference.clone_from(&own.reference);
        }
        let name = named_by(locked, self.name.as_deref(), &source)?;
        let replaced = match locked.images.get(&name) {
            Some(own) if is_content(&source, own)? => {
                if own.sif == source.sif && image::locked_image(layout, own, Depth::Full) == Disk::Whole {
                    return Ok(Step::keep(KIND, name, "already there"));
                }
                String::new()
            }
            Some(own) if !self.force => return Err(other_content(&name, own)),
            Some(own) => format!(", replaces {}", shown(own)),
            None => String::new(),
        };
        if source.is_in_place(layout) {
            source.is_ours()?;
        } else {
            image::way(layout, &source.sif)?;
            space::check(&layout.images(), source.bytes, &format!("image {name}"))?;
        }
        let (detail, bytes) = (format!("{}{replaced}", source.detail()), source.bytes);
        let task = Task::ImageFile(name.clone(), source);
        Ok(Step::new(KIND, name, Change::Import, detail, task).writing(bytes))
    }
}

/// Whether a file says that it is a SIF; what cannot be read is told by who reads it.
fn is_sif(path: &Path) -> bool {
    let mut head = [0; 64];
    // A pipe is not opened, which would wait for its writer.
    match bounded::open(path, Links::Follow).map(|file| file.file().read_at(&mut head, 0)) {
        Ok(Ok(length)) => head.get(32..42).filter(|_| length > 42) == Some(b"SIF_MAGIC\0") || !is_tar(path),
        _ => !path.is_dir(),
    }
}

/// Whether it looks like an archive, or a compressed one, of which something can be said.
fn is_tar(path: &Path) -> bool {
    let mut head = [0; 512];
    let read = bounded::open(path, Links::Follow).and_then(|file| file.file().read_at(&mut head, 0));
    read.is_ok_and(|length| length == 512 && (&head[257..262] == b"ustar" || head.starts_with(&[0x1f, 0x8b])))
}

/// What site.yaml, or an engine's definition, means by an image's name.
fn meant(layout: &Layout, name: &str) -> Option<Reference> {
    let declared = locate::declared_in(layout).ok().flatten();
    let declared = declared.and_then(|mut declared| declared.images.remove(name)).unwrap_or_default();
    let engines = service::engines(Some(layout)).unwrap_or_default();
    image::reference(&engines, name, &declared).ok()
}

/// Whether the file is, byte by byte, what site.lock says of an image.
fn is_content(source: &Source, own: &LockedImage) -> Result<bool, Failure> {
    Ok(own.bytes == source.bytes && digest::of_file(&source.path)?.0 == own.sha256)
}

/// Whether the file of an image was made of this one, by our own record in it: of the same manifest, or, of what never had one, of the
/// same configuration, which names the content of all layers. By site.lock where the file cannot be read.
fn is_made_of(layout: &Layout, own: &LockedImage, image: &oci::Image) -> bool {
    let path = layout.image_store().join(own.store_name());
    let record =
        bounded::open(&path, Links::Refuse).ok().and_then(|file| sif::provenance_of(file.file()).ok());
    match (record, &image.manifest_digest) {
        (Some(record), Some(manifest)) => record.manifest.as_ref() == Some(manifest),
        (Some(record), None) => record.config == image.manifest.config.digest,
        (None, manifest) => manifest.is_some() && own.digest == *manifest,
    }
}

/// The name for site.lock: the one that was asked for, else that of the image that has the link already, else the file's.
fn named_by(locked: &Locked, asked: Option<&str>, source: &Source) -> Result<String, Failure> {
    let other = locked.images.iter().find(|(_, own)| own.sif == source.sif).map(|(other, _)| other);
    match (asked, other) {
        (Some(asked), Some(other)) if asked != other => {
            let message = format!("{} is the file of the image {other} already", source.sif);
            Err(Failure::new(Exit::Invalid, "image_name_taken", message)
                .with_hint(format!("import it `--as {other}`, or call the file otherwise")))
        }
        (Some(asked), _) => Ok(asked.to_owned()),
        (None, Some(other)) => Ok(other.clone()),
        (None, None) => Ok(source.default_name()),
    }
}

fn shown(own: &LockedImage) -> String {
    let from = own.reference.as_ref().map_or_else(|| own.sif.clone(), ToString::to_string);
    format!("{from} ({})", own.digest12())
}

fn other_content(name: &str, own: &LockedImage) -> Failure {
    let message = format!("the image {name} is there already with another content: {}", shown(own));
    Failure::new(Exit::Invalid, "image_exists", message)
        .with_hint("--force replaces it; --as NAME imports it under another name")
}

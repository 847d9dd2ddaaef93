//! Every path of the shared cache, in one place. `docs/formats.md` shows the tree.

use std::path::{Path, PathBuf};

use crate::model::ModelId;

/// A top-level part of the cache that things are published into. Each has a staging folder of its own, since
/// quotas and filesets can make two parts two devices, between which nothing can be renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Single files at the top: `resource_specs.yaml`, `site.yaml`, `site.lock`.
    Top,
    /// `models/`, in the layout of `huggingface_hub`.
    Models,
    /// `engines/`, native engines that need no container.
    Engines,
    /// `images/`, container images.
    Images,
    /// `toolkit/`, the programs of users.
    Toolkit,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 5] = [Self::Top, Self::Models, Self::Engines, Self::Images, Self::Toolkit];

    /// The folder below the cache; empty for [`Part::Top`].
    pub fn folder(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Models => "models",
            Self::Engines => "engines",
            Self::Images => "images",
            Self::Toolkit => "toolkit",
        }
    }
}

/// The paths of one cache. Knows names only: it looks at nothing on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Name of the staging folder inside each part.
    pub const STAGING: &str = ".staging";

    /// Name of the folder inside each part for what is being fetched. 0700, and kept between runs.
    pub const DOWNLOADS: &str = ".downloads";

    /// Name of the folder inside each part for what somebody else put there. 0700.
    pub const QUARANTINE: &str = ".quarantine";

    /// Name of the folder for what a check that reads every byte has behind it. 0700.
    pub const VERIFY: &str = ".verify";

    /// The layout of the cache at `root`, which should be absolute.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The cache itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a part.
    pub fn part(&self, part: Part) -> PathBuf {
        match part {
            Part::Top => self.root.clone(),
            part => self.root.join(part.folder()),
        }
    }

    /// Where a part's things are made before they are renamed to where users look. 0700.
    pub fn staging(&self, part: Part) -> PathBuf {
        self.part(part).join(Self::STAGING)
    }

    /// The administrator's tiers.
    pub fn resource_specs(&self) -> PathBuf {
        self.root.join("resource_specs.yaml")
    }

    /// The declared state, as last applied.
    pub fn site_yaml(&self) -> PathBuf {
        self.root.join("site.yaml")
    }

    /// What the declared state resolved to.
    pub fn site_lock(&self) -> PathBuf {
        self.root.join("site.lock")
    }

    /// What was found out about the machines that use the cache.
    pub fn probes(&self) -> PathBuf {
        self.root.join("probes.json")
    }

    /// The models, in the layout of `huggingface_hub`.
    pub fn models(&self) -> PathBuf {
        self.part(Part::Models)
    }

    /// What the Hub said of models. Hidden from listings, and for everybody who may read the model.
    pub fn model_records(&self) -> PathBuf {
        self.models().join(".meta")
    }

    /// What the Hub said of one commit of a model.
    pub fn model_record(&self, id: &ModelId, commit: &str) -> PathBuf {
        self.model_records().join(id.folder_name()).join(format!("{commit}.json"))
    }

    /// One version of a native engine.
    pub fn engine(&self, engine: &str, version: &str) -> PathBuf {
        self.part(Part::Engines).join(engine).join(version)
    }

    /// The container images, by the names that users and upstream know: links into the store.
    pub fn images(&self) -> PathBuf {
        self.part(Part::Images)
    }

    /// The files behind these names, which never change. Hidden from listings, and for everybody to read.
    pub fn image_store(&self) -> PathBuf {
        self.images().join(".store")
    }

    /// One image by its file name, as `name_tag.sif`.
    pub fn image_link(&self, name: &str) -> PathBuf {
        self.images().join(name)
    }

    /// The programs of one version for one architecture, as Rust calls it.
    pub fn toolkit(&self, version: &str, arch: &str) -> PathBuf {
        self.part(Part::Toolkit).join(version).join(arch)
    }

    /// What users put into their PATH: links to programs.
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// The site's own templates; a file replaces the built-in one of the same name.
    pub fn templates(&self) -> PathBuf {
        self.root.join("templates")
    }

    /// The link to the catalogue that is in use.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog.db")
    }

    /// The catalogues. Their folder is hidden, and open to readers.
    pub fn catalogs(&self) -> PathBuf {
        self.root.join(".catalog")
    }

    /// One line for every command that changed something or was refused. 0640.
    pub fn audit(&self) -> PathBuf {
        self.root.join("audit.jsonl")
    }

    /// What `status --full` has read and found right, for the next one where it was interrupted. 0700.
    pub fn verify(&self) -> PathBuf {
        self.root.join(Self::VERIFY)
    }

    /// Locks of writers. 0700, so that no reader can hold one.
    pub fn locks(&self) -> PathBuf {
        self.root.join(".locks")
    }

    /// The number in the name of a claim or a catalogue, written as this program writes it. Others are no names of ours, nor are
    /// numbers that no counting comes to, which nothing could follow.
    pub(crate) fn number(text: &str) -> Option<u64> {
        const MOST: u64 = 1 << 53;
        text.parse().ok().filter(|number: &u64| *number <= MOST && number.to_string() == text)
    }

    /// A path for people and files: relative to the cache when it is inside.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

//! Container images that are made here, and what must come of them: layers as tars with all that layers may hold, the tree that they
//! amount to, computed by a plain model that knows nothing of the converter, real registries to serve them, and a comparison that
//! reads a SIF back with the kernel.

mod authority;
mod compare;
mod content;
mod features;
mod hostile;
mod item;
mod layout;
mod model;
mod modules;
mod mounted;
mod noise;
mod proxy;
mod registry;
mod root;
mod tar;
mod tree;

pub use authority::Authority;
pub use compare::{Allowed, Comparison, Owners};
pub use content::Content;
pub use features::{Hard, features, small};
pub use hostile::Served;
pub use item::{Format, Item, Layer, Meta, What};
pub use layout::{Config, Described, Image, Layout, Packing, digest_of};
pub use model::expected;
pub use modules::{machine_learning, real_files};
pub use mounted::{Mounted, partition};
pub use noise::Noise;
pub use proxy::{Faults, Proxy};
pub use registry::{Account, Registry, login};
pub use root::ToolRoot;
pub use tar::tar_header;
pub use tree::{ImageEntry, ImageTree, Kind};

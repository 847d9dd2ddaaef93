//! The shared cache as a place: where everything is, whether it may be trusted, what was declared and what it resolved to.

mod declared;
mod layout;
mod locked;
mod open;
mod trust;

pub use declared::{
    Access, Declared, DeclaredEngine, DeclaredImage, DeclaredModel, DeclaredOnDemand, DeclaredRegistry,
    DeclaredTigerFlow, GpuFlag, GpuRequest, MemoryRequest, NetworkRules, OnDemandSession, Ports, Retention,
    RuntimeRules, SessionMode, SitePolicy, SiteRules, SlurmRules, is_image_name,
};
pub use layout::{Layout, Part};
pub use locked::{
    Locked, LockedEngine, LockedFile, LockedImage, LockedModel, LockedRevision, LockedToolkit, RevisionOf,
};
pub use open::{SiteError, open};
pub use trust::{TrustError, trusted, trusted_of, trusted_tree};

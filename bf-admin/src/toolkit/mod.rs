//! The toolkit in the cache: the bf-user that lies beside this bf-admin, for everybody to run.

mod beside;
mod facts;
mod publish;

pub(crate) use beside::Beside;
pub(crate) use facts::{Need, ToolkitFacts, arch_of, file, gather};
pub(crate) use publish::{link, publish};

/// The program.
pub(crate) const PROGRAM: &str = "bf-user";
/// The architecture that this bf-admin and what lies beside it are made for.
pub(crate) const ARCH: &str = std::env::consts::ARCH;
/// The version of this bf-admin, which what lies beside it must have too.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

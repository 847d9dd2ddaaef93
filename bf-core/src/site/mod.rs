//! The shared cache as a place: where everything is, whether it may be trusted, what was declared and what it resolved to.

mod layout;
mod open;
mod trust;

pub use layout::{Layout, Part};
pub use open::{SiteError, open};
pub use trust::{TrustError, trusted};

//! Loads the specifications of a site from its cache.

use std::io;
use std::path::Path;

use super::ResourceSpecs;
use super::parse::{self, ConfigError};
use crate::report::Finding;

/// Specifications with what should be said about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The specifications.
    pub specs: ResourceSpecs,
    /// What is probably not meant, in file order.
    pub warnings: Vec<Finding>,
}

impl ResourceSpecs {
    /// Loads the file at `path`, or the built-in tiers where there is none.
    ///
    /// # Errors
    /// A file that cannot be read or is faulty is an error, never the built-in tiers.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        match Self::load_file(path) {
            Err(ConfigError::Read(error)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Loaded { specs: Self::defaults(), warnings: Vec::new() })
            }
            loaded => loaded,
        }
    }

    /// Loads the file at `path`, which must be there.
    ///
    /// # Errors
    /// The file cannot be read or is faulty.
    pub fn load_file(path: &Path) -> Result<Loaded, ConfigError> {
        let (specs, warnings) = parse::load(path, Self::parse)?;
        Ok(Loaded { specs, warnings })
    }
}

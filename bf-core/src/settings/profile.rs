//! `profiles.cfg`, as Blackfish 1.0.0 writes it: one INI section for each profile. Read only.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::report::{Exit, Explain};

/// One profile: where services run and where things are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The section's name.
    pub name: String,
    /// `slurm` or `local`.
    pub schema: String,
    /// The cluster's login host; `localhost` is this one.
    pub host: Option<String>,
    /// The user on that host.
    pub user: Option<String>,
    /// The user's own folder on that host.
    pub home_dir: Option<PathBuf>,
    /// The shared cache on that host.
    pub cache_dir: Option<PathBuf>,
    /// Whether the file marks it as the default one.
    pub default: bool,
}

/// Why profiles cannot be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// A line is neither a section, a `key = value` nor a comment.
    #[error("{}:{line}: this is neither `[name]` nor `key = value`", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// No profile has that name.
    #[error("there is no profile {name}")]
    Unknown {
        /// As given.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Explain for ProfileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "profiles_invalid",
            Self::Unknown { .. } => "profile_not_found",
            Self::Io(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { .. } => None,
            Self::Unknown { known, .. } if known.is_empty() => {
                Some("there are none: leave out --profile".into())
            }
            Self::Unknown { known, .. } => Some(format!("there are: {}", known.join(", "))),
            Self::Io(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Syntax { .. } => Exit::Invalid,
            Self::Unknown { .. } => Exit::NotFound,
            Self::Io(error) => error.exit(),
        }
    }
}

/// Reads all profiles in file order; a file that does not exist has none.
pub fn load_profiles(path: &Path) -> Result<Vec<Profile>, ProfileError> {
    let text = match fs_err::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    parse(&text).map_err(|line| ProfileError::Syntax { path: path.to_owned(), line })
}

/// `Err` is the number of the line that is not understood.
fn parse(text: &str) -> Result<Vec<Profile>, usize> {
    let mut profiles: Vec<Profile> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            profiles.push(Profile { name: name.trim().into(), ..Profile::default() });
            continue;
        }
        let (Some((key, value)), Some(profile)) = (line.split_once(['=', ':']), profiles.last_mut()) else {
            return Err(index + 1);
        };
        let value = value.trim().to_owned();
        match key.trim().to_lowercase().as_str() {
            "schema" | "type" => profile.schema = value, // `type` is the older name
            "host" => profile.host = Some(value),
            "user" => profile.user = Some(value),
            "home_dir" => profile.home_dir = Some(value.into()),
            "cache_dir" => profile.cache_dir = Some(value.into()),
            "default" => {
                profile.default = matches!(value.to_lowercase().as_str(), "true" | "1" | "yes" | "on");
            }
            _ => {} // other versions write more keys
        }
    }
    Ok(profiles)
}

/// The named one, else upstream's order: marked as default, named `default`, the first.
pub(super) fn choose<'a>(
    profiles: &'a [Profile],
    name: Option<&str>,
) -> Result<Option<&'a Profile>, ProfileError> {
    if let Some(name) = name {
        let known = || profiles.iter().map(|profile| profile.name.clone()).collect();
        return profiles
            .iter()
            .find(|profile| profile.name == name)
            .map(Some)
            .ok_or_else(|| ProfileError::Unknown { name: name.into(), known: known() });
    }
    Ok(profiles
        .iter()
        .find(|profile| profile.default)
        .or_else(|| profiles.iter().find(|profile| profile.name == "default"))
        .or_else(|| profiles.first()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_file_is_understood() {
        let text = "[one]\ntype = slurm\nhost = login\nuser = me\nhome_dir = /h\ncache_dir = /c\n\n# two\n[two]\nschema=local\ndefault = True\n";
        let profiles = parse(text).unwrap();
        assert_eq!(profiles[0].schema, "slurm");
        assert_eq!(profiles[0].cache_dir.as_deref(), Some(Path::new("/c")));
        assert_eq!(choose(&profiles, None).unwrap().unwrap().name, "two");
        assert_eq!(choose(&profiles, Some("one")).unwrap().unwrap().name, "one");
        assert_eq!(choose(&profiles, Some("x")).unwrap_err().exit(), Exit::NotFound);
        assert_eq!(parse("[a]\nnonsense"), Err(2));
        assert_eq!(parse("key = value"), Err(1));
    }
}

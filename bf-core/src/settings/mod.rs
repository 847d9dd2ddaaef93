//! Settings, resolved once: flag > environment > profile > the cache that the program itself lives in.

mod profile;

pub use profile::{Profile, ProfileError, load_profiles};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::report::{Exit, Failure};

/// What the command line said; `None` where it said nothing.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--home-dir`
    pub home_dir: Option<PathBuf>,
    /// `--cache-dir`
    pub cache_dir: Option<PathBuf>,
    /// `--profile`
    pub profile: Option<String>,
}

/// The environment variables that matter, taken once so that tests need not change the real ones.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Environment {
    /// Those of this process. An empty value counts as not set.
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self::of(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Those given.
    pub fn of(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: values.into_iter().filter(|(_, value)| !value.is_empty()).collect() }
    }

    /// The value of a variable, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

/// Where a researcher's things are, and which profile said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The user's own folder: store, job directories, own models. Absolute.
    pub home_dir: PathBuf,
    /// The shared cache; `None` if nobody said where it is. Absolute.
    pub cache_dir: Option<PathBuf>,
    /// The profile that is used, if there is one.
    pub profile: Option<Profile>,
}

impl Settings {
    /// Resolves them. `program` is the path of the running program.
    pub fn resolve(
        flags: &Flags,
        environment: &Environment,
        program: Option<&Path>,
    ) -> Result<Self, Failure> {
        let app_dir =
            match flags.home_dir.clone().or_else(|| environment.get("BLACKFISH_HOME_DIR").map(PathBuf::from))
            {
                Some(folder) => absolute(&folder)?,
                None => default_home(environment)?,
            };
        let profiles = load_profiles(&app_dir.join("profiles.cfg"))?;
        let profile = profile::choose(&profiles, flags.profile.as_deref())?.cloned();
        let home_dir = match &profile {
            // An explicit folder wins over the profile's, which wins over the place where profiles are kept.
            Some(profile) if flags.home_dir.is_none() && environment.get("BLACKFISH_HOME_DIR").is_none() => {
                profile.home_dir.clone().unwrap_or(app_dir)
            }
            _ => app_dir,
        };
        let cache_dir = flags
            .cache_dir
            .clone()
            .or_else(|| environment.get("BLACKFISH_CACHE_DIR").map(PathBuf::from))
            .or_else(|| profile.as_ref().and_then(|profile| profile.cache_dir.clone()))
            .or_else(|| program.and_then(own_cache))
            .map(|folder| absolute(&folder))
            .transpose()?;
        Ok(Self { home_dir, cache_dir, profile })
    }

    /// The name of the profile, or `default`.
    pub fn profile_name(&self) -> &str {
        self.profile.as_ref().map_or("default", |profile| &profile.name)
    }
}

fn default_home(environment: &Environment) -> Result<PathBuf, Failure> {
    let home = environment.get("HOME").ok_or_else(|| {
        Failure::new(Exit::Usage, "home_unnamed", "there is no place for your services: HOME is not set")
            .with_hint("set BLACKFISH_HOME_DIR or pass --home-dir")
    })?;
    absolute(&Path::new(home).join(".blackfish"))
}

/// The cache that a program in `<cache>/toolkit/<version>/<arch>/` or `<cache>/bin/` lives in.
fn own_cache(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let cache = if folder.file_name()? == "bin" {
        folder.parent()?
    } else {
        folder.ancestors().nth(2).filter(|toolkit| toolkit.ends_with("toolkit"))?.parent()?
    };
    // Any program lives in some `bin`: only a folder that has what a cache has is one.
    let is_cache = cache.join("models").is_dir() && cache.join("site.lock").is_file();
    is_cache.then(|| cache.to_owned())
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    // Paths go into JSON, scripts and a database, all of which are UTF-8.
    if path.to_str().is_none_or(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
        let message = format!("{} is not a usable path: it is not UTF-8", path.display());
        return Err(Failure::new(Exit::Usage, "path_invalid", message));
    }
    std::path::absolute(path).map_err(|error| {
        Failure::new(Exit::Usage, "path_invalid", format!("{} is not a usable path: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(values: &[(&str, &str)]) -> Environment {
        Environment::of(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_a_profile() {
        let home = tempfile::tempdir().unwrap();
        fs_err::write(
            home.path().join("profiles.cfg"),
            "[mine]\nschema = local\ncache_dir = /from/profile\n",
        )
        .unwrap();
        let home_dir = home.path().to_str().unwrap();
        let with = |flag: Option<&str>, variable: &str| {
            let flags = Flags { cache_dir: flag.map(PathBuf::from), ..Flags::default() };
            let environment =
                environment(&[("BLACKFISH_HOME_DIR", home_dir), ("BLACKFISH_CACHE_DIR", variable)]);
            Settings::resolve(&flags, &environment, None).unwrap().cache_dir.unwrap()
        };
        assert_eq!(with(Some("/from/flag"), "/from/environment"), Path::new("/from/flag"));
        assert_eq!(with(None, "/from/environment"), Path::new("/from/environment"));
        assert_eq!(with(None, ""), Path::new("/from/profile"));
    }

    #[test]
    fn a_program_in_a_cache_knows_it() {
        let cache = tempfile::tempdir().unwrap();
        let program = cache.path().join("bin/bf-user");
        assert_eq!(own_cache(&program), None);
        fs_err::create_dir(cache.path().join("models")).unwrap();
        fs_err::write(cache.path().join("site.lock"), "{}").unwrap();
        assert_eq!(own_cache(&program).as_deref(), Some(cache.path()));
        let program = cache.path().join("toolkit/0.1.0/x86_64/bf-user");
        assert_eq!(own_cache(&program).as_deref(), Some(cache.path()));
    }

    #[test]
    fn without_a_home_there_is_a_sentence() {
        let failure = Settings::resolve(&Flags::default(), &environment(&[]), None).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }
}

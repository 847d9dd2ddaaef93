//! Which site.yaml and which cache a command is about.
//!
//! site.yaml: `--site`, then `./site.yaml`, then the copy in the cache that `--cache-dir` or `BLACKFISH_CACHE_DIR` names.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use bf_core::report::{Exit, Explain, Failure};
use bf_core::site::{self, Declared, Layout, Locked, SiteError, trusted, trusted_of};
use nix::unistd::geteuid;

use crate::cli::Context;
use crate::printer;

/// The declared state and the cache that it is about.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// What is declared. The paths in it are absolute.
    pub(crate) declared: Declared,
    /// The cache.
    pub(crate) layout: Layout,
    /// The file, as it was found, for people.
    pub(crate) shown: PathBuf,
    /// Whether the file is the one in the cache itself.
    pub(crate) is_copy: bool,
}

/// Finds and reads site.yaml. Its warnings are said.
pub(crate) fn site(context: &Context) -> Result<Site, Failure> {
    let own = context.site.clone().or_else(|| present(Path::new("site.yaml")));
    let site = match own {
        Some(path) => read(&path)?,
        None => copy(context)?,
    };
    if let (None, Some(cache)) = (&context.cache_dir, context.environment.get("BLACKFISH_CACHE_DIR"))
        && real(Path::new(cache))? != site.layout.root()
    {
        let (shown, root) = (site.shown.display(), site.layout.root().display());
        printer::warning(
            &format!("{shown} is about the cache {root}, not BLACKFISH_CACHE_DIR ({cache})"),
            None,
        );
    }
    if let Some(cache) = &context.cache_dir
        && real(cache)? != site.layout.root()
    {
        let message = format!(
            "{} declares the cache {}, not {}",
            site.shown.display(),
            site.layout.root().display(),
            cache.display()
        );
        return Err(Failure::new(Exit::Usage, "other_cache", message)
            .with_hint("leave out --cache-dir, or name the site.yaml of that cache with --site"));
    }
    Ok(site)
}

/// As [`site()`]; a cache that has a lock and no declaration, as imports make it, declares nothing.
pub(crate) fn site_or_lock(context: &Context) -> Result<Site, Failure> {
    let missing = match site(context) {
        Err(failure) if failure.code == "site_not_found" => failure,
        result => return result,
    };
    let Some(named) = named(context) else { return Err(missing) };
    let layout = Layout::new(real(named.root())?);
    if !layout.site_lock().is_file() {
        return Err(missing);
    }
    let declared = Declared::nothing(layout.site_yaml(), layout.root());
    Ok(Site { declared, shown: layout.site_yaml(), layout, is_copy: true })
}

/// The path if there is something.
fn present(path: &Path) -> Option<PathBuf> {
    fs_err::symlink_metadata(path).is_ok().then(|| path.to_owned())
}

fn read(path: &Path) -> Result<Site, Failure> {
    let (mut declared, warnings) = Declared::load(path)?;
    for warning in &warnings {
        printer::finding(warning);
    }
    // In the copy of a cache, a relative `cache_dir` would be relative to the cache.
    let folder = declared.path.parent().unwrap_or(Path::new("/")).to_owned();
    let (folder, declared_root) = (real(&folder)?, real(&declared.cache_dir)?);
    let is_copy = folder == declared_root || is_cache(&folder);
    let root = if is_copy { folder } else { declared_root };
    usable(&root)?;
    if is_copy {
        trusted(&root, path)?;
    } else {
        of_administrators(path)?;
    }
    declared.cache_dir.clone_from(&root);
    if is_copy {
        // A relative `path` was relative to the original: it means nothing here.
        for model in &mut declared.models {
            model.path = model.path.take().filter(|path| !path.starts_with(&root));
        }
    }
    Ok(Site { declared, layout: Layout::new(root), shown: path.to_owned(), is_copy })
}

/// Whether a site.yaml outside of a cache may be followed: what is in it decides what is run and published. Root follows none that
/// others could have written; to everybody else that is said.
fn of_administrators(path: &Path) -> Result<(), Failure> {
    // Who became root by sudo may have written it before.
    let before = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    match trusted_of(before.unwrap_or(0), path) {
        Err(error) if geteuid().is_root() || error.exit() != Exit::Permission => Err(error.into()),
        Err(error) => {
            printer::warning(&error.to_string(), error.hint().as_deref());
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Whether a folder is a cache that was set up: site.yaml beside site.lock.
fn is_cache(folder: &Path) -> bool {
    folder.join("site.lock").is_file() && folder.join("models").is_dir()
}

fn copy(context: &Context) -> Result<Site, Failure> {
    let missing = || {
        Failure::new(Exit::NotFound, "site_not_found", "there is no site.yaml here")
            .with_hint("`bf-admin init` writes one; or name it with --site, or its cache with --cache-dir")
    };
    let layout = site::open(named(context).ok_or_else(missing)?.root())?;
    let path = layout.site_yaml();
    if present(&path).is_none() {
        let message = format!("there is no site.yaml here and none in the cache {}", layout.root().display());
        return Err(Failure { message, ..missing() });
    }
    read(&path)
}

/// The cache that the command line or the environment names.
pub(crate) fn named(context: &Context) -> Option<Layout> {
    let variable = || context.environment.get("BLACKFISH_CACHE_DIR").map(PathBuf::from);
    context.cache_dir.clone().or_else(variable).map(Layout::new)
}

/// The cache for commands that need no declared state: what the site.yaml of `--site` says, `--cache-dir`, `BLACKFISH_CACHE_DIR`,
/// then what ./site.yaml says. It may not exist yet.
pub(crate) fn cache(context: &Context) -> Result<Layout, Failure> {
    if context.site.is_some() {
        return Ok(site(context)?.layout);
    }
    if let Some(cache) = named(context) {
        let root = real(cache.root())?;
        usable(&root)?;
        warn_of_other(context, &root);
        return Ok(Layout::new(root));
    }
    match site(context) {
        Ok(site) => Ok(site.layout),
        Err(failure) if failure.code == "site_not_found" => {
            Err(Failure::new(Exit::Usage, "cache_unnamed", "no cache was named")
                .with_hint("pass --cache-dir, set BLACKFISH_CACHE_DIR, or run this beside a site.yaml"))
        }
        Err(failure) => Err(failure),
    }
}

/// Says that ./site.yaml is about another cache than the one that the environment names. One that cannot be read says nothing.
fn warn_of_other(context: &Context, root: &Path) {
    if context.cache_dir.is_some() {
        return; // that was said here and now
    }
    let Ok((declared, _)) = Declared::load(Path::new("site.yaml")) else { return };
    if let Ok(other) = real(&declared.cache_dir)
        && other != root
    {
        let message = format!("./site.yaml is about the cache {}, not {}", other.display(), root.display());
        let hint = "BLACKFISH_CACHE_DIR names the other one; --site site.yaml, or --cache-dir, decides";
        printer::warning(&message, Some(hint));
    }
}

/// What the cache's own copy declares, for the modes and the group of what is put into it; nothing without a copy.
pub(crate) fn declared_in(layout: &Layout) -> Result<Option<Declared>, Failure> {
    let path = layout.site_yaml();
    match fs_err::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A cache that does not let us in may declare something.
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    trusted(layout.root(), &path)?;
    Ok(Some(Declared::load(&path)?.0))
}

/// What the cache itself says: its copy of site.yaml, and site.lock.
#[derive(Debug)]
pub(crate) enum Own {
    /// As they are.
    Believed(Box<(Option<Declared>, Locked)>),
    /// Somebody else could have written them: why they are not followed.
    Doubtful(Failure),
}

/// Reads what the cache says of itself, for who looks at its permissions: what is wrong with those of the two is a finding.
pub(crate) fn own(layout: &Layout) -> Result<Own, Failure> {
    let read = || -> Result<_, Failure> { Ok((declared_in(layout)?, Locked::load(layout)?)) };
    match read() {
        Ok(both) => Ok(Own::Believed(Box::new(both))),
        Err(failure) if failure.code == "not_trusted" => Ok(Own::Doubtful(failure)),
        Err(failure) => Err(failure),
    }
}

/// Refuses what can be no cache, by its real path: the root of the filesystem, and what is no folder.
fn usable(root: &Path) -> Result<(), Failure> {
    if root.parent().is_none() {
        let message = "the cache cannot be the root of the filesystem";
        return Err(Failure::new(Exit::Invalid, "invalid_cache_dir", message)
            .with_hint("name a folder of its own, as /shared/blackfish"));
    }
    if fs_err::metadata(root).is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(SiteError::NotAFolder { path: root.to_owned() }.into());
    }
    Ok(())
}

/// An absolute path without links and `..`, also of what does not exist yet.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing: Vec<&OsStr> = Vec::new();
    for ancestor in path.ancestors() {
        match fs_err::canonicalize(ancestor) {
            Ok(mut found) => {
                for part in missing.iter().rev() {
                    if *part == ".." {
                        found.pop();
                    } else {
                        found.push(part);
                    }
                }
                return Ok(found);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.push(match ancestor.components().next_back() {
                    Some(Component::Normal(name)) => name,
                    _ => OsStr::new(".."),
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn what_does_not_exist_has_a_real_path_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        assert_eq!(real(&root.join("a/../b/./c")).unwrap(), root.join("b/c"));
        fs_err::create_dir(root.join("there")).unwrap();
        fs_err::os::unix::fs::symlink("there", root.join("link")).unwrap();
        assert_eq!(real(&root.join("link/new")).unwrap(), root.join("there/new"));
    }

    #[test]
    fn a_site_yaml_that_others_may_write_is_not_followed_by_root_nor_the_copy_by_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        let (own, cache) = (root.join("site.yaml"), root.join("cache"));
        fs_err::create_dir_all(cache.join("models")).unwrap();
        fs_err::write(cache.join("site.lock"), "{}").unwrap();
        for path in [&own, &cache.join("site.yaml")] {
            fs_err::write(path, "schema: 1\ncache_dir: cache\n").unwrap();
            let found = || site(&testing::context(Some(path), None)).map_err(|failure| failure.exit);
            assert!(found().is_ok());
            bf_core::publish::set_mode(path, 0o666).unwrap();
            if geteuid().is_root() || *path != own {
                assert_eq!(found().unwrap_err(), Exit::Permission);
            } else {
                assert!(found().is_ok());
            }
        }
    }

    #[test]
    fn a_site_that_was_named_comes_before_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        fs_err::write(root.join("site.yaml"), "schema: 1\ncache_dir: cache\n").unwrap();
        let variable = ("BLACKFISH_CACHE_DIR".to_owned(), root.join("other").display().to_string());
        let mut context = testing::context(Some(&root.join("site.yaml")), None);
        context.environment = bf_core::settings::Environment::of([variable]);
        assert_eq!(cache(&context).unwrap().root(), root.join("cache"));
        context.site = None;
        assert_eq!(cache(&context).unwrap().root(), root.join("other"));
    }

    #[test]
    fn a_published_copy_is_about_the_cache_it_lies_in() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        let text = "schema: 1\ncache_dir: cache\n";
        fs_err::write(root.join("site.yaml"), text).unwrap();
        let cache = root.join("cache");
        let found = site(&testing::context(Some(&root.join("site.yaml")), None)).unwrap();
        assert_eq!((found.layout.root(), found.is_copy), (cache.as_path(), false));

        fs_err::create_dir_all(cache.join("models")).unwrap();
        fs_err::write(cache.join("site.lock"), "{}").unwrap();
        fs_err::write(cache.join("site.yaml"), text).unwrap();
        for context in
            [testing::context(None, Some(&cache)), testing::context(Some(&cache.join("site.yaml")), None)]
        {
            let found = site(&context).unwrap();
            assert_eq!((found.layout.root(), found.is_copy), (cache.as_path(), true));
        }
        let failure = site(&testing::context(Some(&root.join("site.yaml")), Some(&root))).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("other_cache", Exit::Usage));
    }
}

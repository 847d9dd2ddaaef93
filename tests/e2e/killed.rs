//! `bf-admin setup`, killed at random moments: no final name is ever half-made, and the next run completes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bf_test_kit::{Process, Random, Site, or_skip};
use nix::sys::signal::Signal;
use serde_json::Value;

const KILLS: usize = 10;

/// What a watcher saw of one final name: the sizes of all files in it, through links.
type Sight = BTreeMap<PathBuf, Option<u64>>;

#[test]
fn nothing_is_ever_half_made() {
    let model = or_skip!(bf_test_kit::model());
    let mut random = Random::new();
    let reference = Site::new();
    reference.declare(&model);
    let whole = reference.admin(["setup"]).code(0).took;
    let lock: Value =
        serde_json::from_slice(&fs_err::read(reference.cache().join("site.lock")).unwrap()).unwrap();

    let mut site = prepared(&model);
    let (mut kills, mut completed) = (0, 0);
    while kills < KILLS {
        let watcher = Watcher::over(site.cache());
        let mut setup = site.admin(["setup"]).spawn();
        let process = Process::now(i32::try_from(setup.id()).unwrap()).unwrap();
        let moment = random.below(whole);
        let begun = Instant::now();
        while begun.elapsed() < moment && setup.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let killed = process.is_alive();
        process.signal(Signal::SIGKILL);
        setup.wait().unwrap();
        for sight in watcher.seen() {
            is_whole(&sight, &lock);
        }
        if killed {
            kills += 1;
            eprintln!("killed after {moment:?}");
        } else {
            // It was done before: from here on there is nothing left to interrupt.
            completed += 1;
            is_complete(&site);
            site = prepared(&model);
        }
        assert!(completed < 50, "setup is never caught at work");
    }
    let next = site.admin(["setup"]).code(0);
    is_complete(&site);
    eprintln!("{kills} killed, {completed} were done before; the next took {:?} of {whole:?}", next.took);
}

fn prepared(model: &bf_test_kit::Model) -> Site {
    let site = Site::new();
    site.declare(model);
    site
}

fn is_complete(site: &Site) {
    site.admin(["status", "--full"]).code(0);
    assert_eq!(site.admin(["setup", "--json"]).code(0).json()["changed"], 0);
    for part in ["", "models", "engines", "images", "toolkit"] {
        let staging = site.cache().join(part).join(".staging");
        let left: Vec<_> = fs_err::read_dir(&staging).map(Iterator::collect).unwrap_or_default();
        assert!(left.is_empty(), "{}: {left:?}", staging.display());
    }
}

/// Compares a sight of a final name with what the lock of a whole run says.
fn is_whole(sight: &Sight, lock: &Value) {
    let Some(first) = sight.keys().next() else { return };
    let mut expected = BTreeMap::new();
    if let Ok(engine) = first.strip_prefix("engines/llama_cpp") {
        let version = engine.iter().next().unwrap().to_str().unwrap();
        assert_eq!(version, lock["engines"]["llama_cpp"]["version"], "{sight:?}");
        add(
            &mut expected,
            &Path::new("engines/llama_cpp").join(version),
            &lock["engines"]["llama_cpp"]["files"],
        );
    } else if first.starts_with("toolkit") {
        add(&mut expected, Path::new(""), &lock["toolkit"]["files"]);
    } else {
        let model = &lock["models"][bf_test_kit::REPO];
        let folder = format!("models/models--{}/snapshots", bf_test_kit::REPO.replace('/', "--"));
        add(&mut expected, &Path::new(&folder).join(model["commit"].as_str().unwrap()), &model["files"]);
    }
    for (path, bytes) in expected {
        assert_eq!(sight.get(&path), Some(&Some(bytes)), "{} was visible half-made", path.display());
    }
}

fn add(expected: &mut BTreeMap<PathBuf, u64>, folder: &Path, files: &Value) {
    for file in files.as_array().unwrap() {
        expected.insert(folder.join(file["path"].as_str().unwrap()), file["bytes"].as_u64().unwrap());
    }
}

/// Looks at the final names again and again, and keeps each different sight.
struct Watcher {
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Sight>>>,
    thread: std::thread::JoinHandle<()>,
    cache: PathBuf,
}

impl Watcher {
    fn over(cache: &Path) -> Self {
        let (over, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (told, sights, folder) = (Arc::clone(&over), Arc::clone(&seen), cache.to_owned());
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                look(&folder, &sights);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { over, seen, thread, cache: cache.to_owned() }
    }

    /// All sights, with a last one of now.
    fn seen(self) -> Vec<Sight> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        look(&self.cache, &self.seen);
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn look(cache: &Path, seen: &Mutex<Vec<Sight>>) {
    for name in final_names(cache) {
        let mut sight = Sight::new();
        walk(cache, &name, &mut sight);
        let mut seen = seen.lock().unwrap();
        if !sight.is_empty() && !seen.contains(&sight) {
            seen.push(sight);
        }
    }
}

/// `engines/llama_cpp/<version>`, `models/models--*/snapshots/<commit>`, `toolkit/<version>/<arch>/bf-user`: a name here means that it can be used.
fn final_names(cache: &Path) -> Vec<PathBuf> {
    let inside = |folder: PathBuf| {
        let entries = fs_err::read_dir(folder).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        let paths = entries.into_iter().filter_map(Result::ok).map(|entry| entry.path());
        paths.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect::<Vec<_>>()
    };
    let models = inside(cache.join("models")).into_iter().map(|model| model.join("snapshots"));
    let programs = inside(cache.join("toolkit")).into_iter().flat_map(inside).flat_map(inside);
    inside(cache.join("engines/llama_cpp"))
        .into_iter()
        .chain(models.flat_map(inside))
        .chain(programs)
        .collect()
}

fn walk(cache: &Path, path: &Path, sight: &mut Sight) {
    let name = path.strip_prefix(cache).unwrap().to_owned();
    match fs_err::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            for entry in fs_err::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
                walk(cache, &entry.path(), sight);
            }
        }
        Ok(meta) => drop(sight.insert(name, Some(meta.len()))),
        Err(_) => drop(sight.insert(name, None)), // a link to nothing
    }
}

//! Where things are: the target folder of this build and the programs in it.

use std::path::{Path, PathBuf};

/// The target folder that the running test was built into.
pub fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    // <target>/<profile>/deps/<test>
    test.ancestors().nth(3).expect("a target folder").to_owned()
}

/// The program `name` (`bf-admin`, `bf-user`).
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let own = test.ancestors().nth(2).map(Path::to_owned);
    let built =
        own.into_iter().chain(["debug", "release"].map(|profile| target_dir().join(profile))).collect();
    let folders: Vec<PathBuf> =
        std::env::var_os("BF_BIN_DIR").map_or(built, |folder| vec![PathBuf::from(folder)]);
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no {name} in {folders:?}: `tests/run` builds it, or `cargo build -p {name}`")
    })
}

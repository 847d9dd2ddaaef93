//! Where things are: the target folder of this build and the programs in it.

use std::path::{Path, PathBuf};

/// The folder of this build, as `target/debug`.
fn profile_dir() -> PathBuf {
    let own = std::env::current_exe().expect("the test's own path");
    let folder = own.parent().expect("a folder");
    // A test is in `deps`, a program beside it.
    if folder.ends_with("deps") {
        folder.parent().map(Path::to_owned).expect("a folder")
    } else {
        folder.to_owned()
    }
}

/// The target folder that the running program was built into.
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("a target folder").to_owned()
}

/// The program `name` (`bf-admin`, `bf-user`): that of `BF_BIN_DIR`, or of this build, or of another one in the same target folder.
pub fn binary(name: &str) -> PathBuf {
    let target = target_dir();
    let built = vec![profile_dir(), target.join("debug"), target.join("release")];
    let folders: Vec<PathBuf> =
        std::env::var_os("BF_BIN_DIR").map_or(built, |folder| vec![PathBuf::from(folder)]);
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no {name} in {folders:?}: `tests/run` builds it, or `cargo build -p {name}`")
    })
}

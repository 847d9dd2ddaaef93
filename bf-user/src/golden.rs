//! Texts that are compared with files of `tests/fixtures`, which people have read. `BF_BLESS=1` writes them anew.

use std::path::Path;

/// Compares `text` with a file below `tests/fixtures`.
pub(crate) fn check(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(file);
    if std::env::var_os("BF_BLESS").is_some() {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
    }
    let expected = fs_err::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{} is different (BF_BLESS=1 writes it anew)", path.display());
}

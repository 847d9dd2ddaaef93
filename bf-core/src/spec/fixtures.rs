//! Faulty files of `tests/fixtures`, each of which says what is found in it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::parse::{ReadError, read_text};
use super::snippet;
use crate::report::Finding;

/// What is found in a text, errors or warnings.
pub(crate) type Find = fn(&str, &Path) -> Vec<Finding>;

/// The lines `# expect LINE:COLUMN CODE` of a file are its findings, all of them and in this order; for a file that cannot have
/// such lines they are in NAME.expect. How all findings are shown is in `tests/fixtures/findings/FOLDER.txt`.
/// `BF_BLESS=1` writes both anew.
pub(crate) fn check(folder: &str, find: Find, at_least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let mut paths: Vec<PathBuf> =
        fs_err::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    assert!(paths.len() >= at_least, "{}", paths.len());
    let bless = std::env::var_os("BF_BLESS").is_some();
    let (mut wrong, mut shown) = (String::new(), String::new());
    for path in &paths {
        if bless {
            write_expected(path, find);
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (text, findings) = found(path, find);
        let expected = expected(path);
        let lines = lines(&findings);
        assert!(!lines.is_empty(), "nothing is wrong with {name}");
        if lines != expected {
            writeln!(wrong, "{name}:\nexpected {expected:?}\nfound    {lines:?}").unwrap();
        }
        let mut out = Vec::new();
        snippet::write(&mut out, &findings, &text).unwrap();
        shown.push_str(&String::from_utf8(out).unwrap());
    }
    assert!(wrong.is_empty(), "{wrong}");
    let golden = root.join(format!("findings/{folder}.txt"));
    if bless {
        fs_err::create_dir_all(golden.parent().unwrap()).unwrap();
        fs_err::write(&golden, &shown).unwrap();
    }
    let golden = fs_err::read_to_string(golden).unwrap_or_default();
    assert_eq!(shown, golden, "BF_BLESS=1 writes it anew");
}

fn found(path: &Path, find: Find) -> (String, Vec<Finding>) {
    let name = PathBuf::from(path.file_name().unwrap());
    match read_text(path) {
        Ok(text) => {
            let findings = find(&text, &name);
            (text, findings)
        }
        Err(ReadError::Invalid(mut finding)) => {
            finding.file = Some(name);
            (String::new(), vec![finding])
        }
        Err(error) => panic!("{error}"),
    }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{}:{} {}", f.line.unwrap_or(0), f.column.unwrap_or(0), f.code)).collect()
}

fn expected(path: &Path) -> Vec<String> {
    let beside = path.with_extension("expect");
    let bytes = fs_err::read(if beside.exists() { &beside } else { path }).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.lines().filter_map(|line| Some(line.split_once("# expect ")?.1.trim_end().to_owned())).collect()
}

/// The lines move what is below them, so that they are counted first.
fn write_expected(path: &Path, find: Find) {
    let beside = path.with_extension("expect");
    if beside.exists() {
        let expected: Vec<String> =
            lines(&found(path, find).1).iter().map(|line| format!("# expect {line}\n")).collect();
        fs_err::write(beside, expected.concat()).unwrap();
        return;
    }
    let bytes = fs_err::read(path).unwrap();
    let end: &[u8] = if bytes.windows(2).any(|two| two == b"\r\n") { b"\r\n" } else { b"\n" };
    let mut own: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    own.retain(|line| !line.starts_with(b"# expect "));
    let put = |expected: &[String]| {
        let mut text = own.clone();
        let said = expected.iter().map(|line| {
            let line = format!("# expect {line}");
            [line.as_bytes(), end.strip_suffix(b"\n").unwrap()].concat()
        });
        text.splice(1..1, said);
        fs_err::write(path, text.join(&b"\n"[..])).unwrap();
        lines(&found(path, find).1)
    };
    let first = put(&[]);
    let second = put(&vec!["0:0 none".to_owned(); first.len()]);
    put(&second);
}

//! The schemas and tables that come from the descriptions, as they are kept in `docs`.

use std::path::{Path, PathBuf};

use super::{Format, Map, Shape, json_schema, table};
use crate::site::{Declared, Locked};
use crate::spec::ResourceSpecs;

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file)
}

/// Compares a file of `docs` with what it should be. `BF_BLESS=1` writes it anew.
fn kept(file: &str, text: &str) {
    let path = docs(file);
    if std::env::var_os("BF_BLESS").is_some() {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
    }
    let found = fs_err::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, text, "{} is stale (BF_BLESS=1 cargo test writes it anew)", path.display());
}

#[test]
fn the_schemas_in_docs_are_those_of_the_code() {
    for (file, title, map) in [
        ("site", "site.yaml", Declared::shape()),
        ("resource-specs", "resource_specs.yaml", ResourceSpecs::shape()),
        ("site-lock", "site.lock", Locked::shape()),
    ] {
        let text = serde_json::to_string_pretty(&json_schema(title, map)).unwrap() + "\n";
        kept(&format!("schema/{file}.json"), &text);
    }
}

#[test]
fn the_tables_in_docs_are_those_of_the_code() {
    let path = docs("formats.md");
    let mut text = fs_err::read_to_string(&path).unwrap();
    for (name, map) in [("site.yaml", Declared::shape()), ("resource_specs.yaml", ResourceSpecs::shape())] {
        let (begin, end) = (format!("<!-- keys of {name} -->\n"), format!("<!-- end of keys of {name} -->"));
        let (before, rest) = text.split_once(&begin).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        text = format!("{before}{begin}{}{end}{after}", table(map));
    }
    kept("formats.md", &text);
}

/// Every form accepts its own examples.
#[test]
fn examples_are_valid() {
    fn formats(shape: &'static Shape, found: &mut Vec<&'static Format>) {
        match shape {
            Shape::Format(format) => found.push(format),
            Shape::List(of) | Shape::OrNull(of) => formats(of, found),
            Shape::Map(map) => of_map(map, found),
            Shape::Named(name, of) => {
                found.push(name);
                formats(of, found);
            }
            _ => {}
        }
    }
    fn of_map(map: &'static Map, found: &mut Vec<&'static Format>) {
        for key in map.keys {
            formats(&key.shape, found);
        }
    }
    let mut found = Vec::new();
    of_map(Declared::shape(), &mut found);
    of_map(ResourceSpecs::shape(), &mut found);
    assert!(found.len() > 20);
    for format in found {
        assert!(!format.examples.is_empty(), "{}", format.is);
        for example in format.examples {
            assert_eq!((format.check)("it", example), Ok(()), "{}: {example}", format.is);
        }
    }
}

//! A description as a table of Markdown.

use std::fmt::Write;

use super::{By, Map, Shape};

/// The keys of a file with type, default, meaning and who obeys them, one row each.
pub fn table(map: &Map) -> String {
    let mut text =
        String::from("| Key | Type | Default | Meaning | Obeyed by |\n| --- | --- | --- | --- | --- |\n");
    rows(&mut text, map, "", None);
    text
}

fn rows(text: &mut String, map: &Map, path: &str, above: Option<By>) {
    for key in map.keys {
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        // What is in a section that nobody obeys is obeyed by nobody.
        let by =
            above.filter(|above| matches!(above, By::Nobody | By::Later | By::Refused)).unwrap_or(key.by);
        let who = match by {
            By::Admin => "bf-admin",
            By::User => "bf-user",
            By::Nobody => "nobody yet (a warning)",
            By::Later => "nobody yet (a warning, and skipped)",
            By::Refused => "nobody yet (an error)",
        };
        let default = match (key.is_required, key.default) {
            (true, _) => "required".to_owned(),
            (false, "") => String::new(),
            (false, default) => default.to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{path}` | {} | {default} | {} | {who} |",
            kind(&key.shape).replace('|', "\\|"),
            key.doc.replace('|', "\\|")
        );
        inner(text, &key.shape, &path, by);
    }
}

/// The rows of what is below a key.
fn inner(text: &mut String, shape: &Shape, path: &str, by: By) {
    match shape {
        Shape::Map(map) => rows(text, map, path, Some(by)),
        Shape::List(of) => inner(text, of, &format!("{path}[]"), by),
        Shape::Named(_, of) => inner(text, of, &format!("{path}.NAME"), by),
        Shape::OrNull(of) => inner(text, of, path, by),
        _ => {}
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Lines => "text, also empty".into(),
        Shape::Bool => "boolean".into(),
        Shape::Whole(least, u32::MAX) => format!("whole number, {least} or more"),
        Shape::Whole(least, most) if least == most => format!("`{least}`"),
        Shape::Whole(least, most) => format!("whole number, {least} to {most}"),
        Shape::Bytes => "whole number".into(),
        Shape::Positive => "number above 0".into(),
        Shape::Choice(of) => format!("`{}`", of.join("`, `")),
        Shape::Format(format) => match format.examples {
            [] => format.is.into(),
            [example, ..] => format!("{}, as `{example}`", format.is),
        },
        Shape::List(of) => format!("list: {}", kind(of)),
        Shape::Map(_) => "map".into(),
        Shape::Named(name, of) => format!("map: {} to {}", name.is, kind(of)),
        Shape::OrNull(of) => format!("{}, or nothing", kind(of)),
    }
}

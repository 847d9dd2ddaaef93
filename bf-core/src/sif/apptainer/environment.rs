//! The script that sets the variables of an image: `10-docker2singularity.sh`.

/// The script for these `NAME=value`. Apptainer runs it with a shell of its own, old versions with the image's.
///
/// A variable that has a value already keeps it, as in Apptainer's script; PATH alone is set in any case. A value stands in single
/// quotes, so that what a program sees is what the image says, whatever is in it. (Apptainer escapes values twice: `$`, `\` and
/// line breaks arrive changed, and a backtick makes the script one that no shell reads.) A name that is none in a shell is left out.
pub(super) fn script(env: &[String]) -> String {
    let mut text = String::from("#!/bin/sh\n");
    for entry in env {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        if !is_name(name) {
            continue;
        }
        let value = quoted(value);
        if name != "PATH" {
            // Not `${X:-...}`, where quotes within quotes mean something else, and no assignment to what may be read-only, as UID.
            text.extend(["[ -n \"${", name, ":-}\" ] || "]);
        }
        text.extend([name, "=", &value, "\nexport ", name, "\n"]);
    }
    text
}

/// Whether a shell can have a variable of this name.
fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit()) && name.bytes().next().is_some_and(letter)
}

/// A word that a shell reads as exactly this text. In an assignment, Apptainer's shell leaves the backslash of `\'` where it is, so a
/// single quote stands in double ones. A carriage return is made by `printf`: Apptainer's shell drops those that stand before a line
/// feed, even in quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut word = String::from("'");
    for character in text.chars() {
        match character {
            '\'' => word += r#"'"'"'"#,
            '\r' => word += "'\"$(printf '\\r')\"'",
            other => word.push(other),
        }
    }
    word.push('\'');
    word
}

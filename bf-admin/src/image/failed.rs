//! What the last words of apptainer mean.

use std::path::Path;
use std::time::Duration;

use bf_core::image::Reference;
use bf_core::report::{Exit, Failure};

/// As much of them as is quoted.
const QUOTED: usize = 400;

/// The failure of a pull that we ended, since nothing came of it.
pub(super) fn silent(program: &Path, reference: &Reference, limit: Duration) -> Failure {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let minutes = limit.as_secs() / 60;
    let message = format!(
        "{name} said and wrote nothing for {minutes} minutes while it pulled {reference}, and was ended"
    );
    Failure::new(Exit::Unreachable, "registry_silent", message).with_hint(format!(
        "see whether {} answers (a proxy or firewall may hold it), then run the command again",
        reference.registry()
    ))
}

/// The failure of a pull that ended otherwise than well.
pub(super) fn failure(program: &Path, reference: &Reference, said: &str) -> Failure {
    let words = said.to_lowercase();
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let registry = reference.registry();
    let quoted = quoted(said, reference);
    let failure = |exit, code, message: String| Failure::new(exit, code, format!("{message}: {quoted}"));
    if has(&["no space left", "quota exceeded", "file too large"]) {
        return failure(Exit::CannotCreate, "no_space", format!("there is no space for the image {reference}"))
            .with_hint("it needs about three times its size on the cache's filesystem: free space and run the command again");
    }
    if has(&["manifest unknown", "name unknown", "not found: manifest", "repository name not known"]) {
        return failure(Exit::NotFound, "image_not_found", format!("{registry} has no image {reference}"))
            .with_hint("check its name and tag");
    }
    if has(&["no image found in image index", "no matching manifest", "choosing image instance"]) {
        let message = format!("the image {reference} is not made for machines like this one");
        return failure(Exit::NotFound, "image_architecture", message)
            .with_hint("run this on a machine like those that will run it, or choose another tag");
    }
    if has(&["toomanyrequests", "too many requests"]) {
        return failure(
            Exit::Unreachable,
            "registry_busy",
            format!("{registry} refuses more requests for now"),
        )
        .with_hint("wait, or log in: APPTAINER_DOCKER_USERNAME and APPTAINER_DOCKER_PASSWORD");
    }
    // Of what a stranger may not see some registries do not say whether it is there.
    if has(&[
        "unauthorized",
        "authentication required",
        "resource is denied",
        ": denied",
        "forbidden",
        "invalid username",
    ]) {
        let message = format!("{registry} does not give the image {reference} to us");
        return failure(Exit::Permission, "registry_unauthorized", message).with_hint(
            "check its name; if it is private, set APPTAINER_DOCKER_USERNAME and APPTAINER_DOCKER_PASSWORD, or `apptainer registry login`",
        );
    }
    if has(&["http response to https client", "first record does not look like a tls handshake"]) {
        return failure(Exit::Unreachable, "registry_not_https", format!("{registry} does not speak HTTPS"))
            .with_hint("if that is as it should be, add --no-https");
    }
    let unreachable = [
        "connection refused",
        "no such host",
        "network is unreachable",
        "no route to host",
        "i/o timeout",
        "connection reset",
        "deadline exceeded",
        "pinging container registry",
        "proxyconnect",
        "dial tcp",
        "x509:",
        "unexpected eof",
        "temporary failure in name resolution",
        "server misbehaving",
        "bad gateway",
        "service unavailable",
    ];
    if has(&unreachable) {
        return failure(Exit::Unreachable, "registry_unreachable", format!("{registry} cannot be reached"))
            .with_hint("is there a network, or a proxy to name in HTTPS_PROXY? Elsewhere: `apptainer pull`, then `bf-admin image import`");
    }
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    failure(Exit::Failed, "pull_failed", format!("{name} did not make the image {reference}"))
}

/// The last lines, not too many, without the words that only say that something went wrong, and where in the program.
fn quoted(said: &str, reference: &Reference) -> String {
    const LEVELS: [&str; 4] = ["FATAL:", "ERROR:", "error:", "WARNING:"];
    const WHERE: [&str; 2] = ["While making image from oci registry: ", "error fetching image to cache: "];
    let uri = format!("docker://{}: ", reference.pull_name());
    let of_level = |line: &&str| LEVELS.iter().any(|level| line.starts_with(level));
    let bare = |line: &&str| {
        let line = LEVELS.iter().fold(*line, |line, level| line.trim_start_matches(level).trim());
        let line = line.split_once(&uri).map_or(line, |(_, behind)| behind);
        WHERE.iter().fold(line, |line, place| line.trim_start_matches(place)).to_owned()
    };
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told: Vec<&str> = lines.iter().copied().filter(of_level).collect();
    let chosen = if told.is_empty() { lines } else { told };
    let text = chosen[chosen.len().saturating_sub(3)..].iter().map(bare).collect::<Vec<_>>().join("; ");
    match text.char_indices().nth_back(QUOTED) {
        // Its end says most: each caller's words stand in front of those of the one below.
        Some((at, _)) => format!("...{}", &text[at..]),
        None if text.is_empty() => "it said nothing".into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_become_an_exit_code() {
        let reference: Reference = "login:5000/a:1".parse().unwrap();
        for (said, exit, code) in [
            (
                "FATAL:   While making image: reading manifest nope in login:5000/a: manifest unknown",
                Exit::NotFound,
                "image_not_found",
            ),
            (
                "dial tcp 10.0.0.1:5001: connect: connection refused",
                Exit::Unreachable,
                "registry_unreachable",
            ),
            (
                "Get \"https://login:5000/v2/\": http: server gave HTTP response to HTTPS client",
                Exit::Unreachable,
                "registry_not_https",
            ),
            (
                "unable to retrieve auth token: invalid username/password: unauthorized: x",
                Exit::Permission,
                "registry_unauthorized",
            ),
            (
                "reading manifest latest in docker.io/x/y: errors: denied: requested access to the resource is denied",
                Exit::Permission,
                "registry_unauthorized",
            ),
            ("write /c/.staging/x: no space left on device", Exit::CannotCreate, "no_space"),
            ("no image found in image index for architecture arm64", Exit::NotFound, "image_architecture"),
            ("toomanyrequests: You have reached your pull rate limit", Exit::Unreachable, "registry_busy"),
            ("mkdir /c: permission denied", Exit::Failed, "pull_failed"),
        ] {
            let failure = failure(Path::new("/usr/bin/apptainer"), &reference, said);
            assert_eq!((failure.exit, failure.code), (exit, code), "{said}");
        }
    }

    #[test]
    fn the_quote_is_short_and_without_levels() {
        let said = format!("INFO:    Fetching\nWARNING: a\nFATAL:   {}the end\n", "long ".repeat(200));
        let reference = "q.io/a:1".parse().unwrap();
        let quoted = |said: &str| quoted(said, &reference);
        let quote = quoted(&said);
        assert!(quote.ends_with("the end") && quote.starts_with("...") && quote.len() < 420, "{quote}");
        assert_eq!(quoted("INFO: x\nFATAL:   While making: no\n"), "While making: no");
        let found =
            "FATAL: While making: failed to get checksum for docker://q.io/a:1: reading manifest: unknown";
        assert_eq!(quoted(found), "reading manifest: unknown");
        assert_eq!(quoted("panic\n"), "panic");
        assert_eq!(quoted("\n"), "it said nothing");
    }
}

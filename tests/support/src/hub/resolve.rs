//! Where files are: `/ORG/NAME/resolve/REVISION/PATH`, and small files themselves.

use super::cdn;
use super::repo::{Entry, Stored};
use super::rights::refused;
use super::wire::{Ask, Bend, Reply, encoded};

/// What a request for a file finds, or the refusal.
fn find<'a>(repo: &'a Stored, revision: &str, path: &str) -> Result<(&'a str, &'a Entry), Reply> {
    let Some((commit, files)) = repo.resolve(revision) else {
        return Err(refused(404, "RevisionNotFound", &format!("Invalid rev id: {}", encoded(revision))));
    };
    let found = files.iter().find(|entry| entry.path == path);
    found
        .map(|entry| (commit, entry))
        .ok_or_else(|| refused(404, "EntryNotFound", "Entry not found").header("X-Repo-Commit", commit))
}

/// Sends the client on: a big file is at the other origin, a small one at the path of its commit.
pub(super) fn resolve(repo: &Stored, revision: &str, path: &str, cdn: &str, lasts: u64) -> Reply {
    let (commit, entry) = match find(repo, revision, path) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let size = entry.size().to_string();
    let linked = |reply: Reply| {
        reply
            .header("X-Repo-Commit", commit)
            .header("X-Linked-Etag", &format!("\"{}\"", entry.etag()))
            .header("X-Linked-Size", &size)
            .header("Accept-Ranges", "bytes")
    };
    if entry.big {
        let place = cdn::address(path, &entry.content.sha256(), cdn::now() + lasts);
        let url = format!("{cdn}{place}");
        // Its own hash is of the text, which is how it differs from the one that counts.
        linked(Reply::text(302, &format!("Found. Redirecting to {url}")))
            .header("Location", &url)
            .header("ETag", "W/\"45d-redirect\"")
    } else {
        let place = format!("/api/resolve-cache/models/{}/{commit}/{}", repo.id, encoded(path));
        linked(Reply::text(307, &format!("Temporary Redirect. Redirecting to {place}")))
            .header("Location", &place)
    }
}

/// A small file itself.
pub(super) fn cached(ask: &Ask, repo: &Stored, commit: &str, path: &str, bend: Bend) -> Reply {
    let (commit, entry) = match find(repo, commit, path) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let etag = format!("\"{}\"", entry.etag());
    let reply = if ask.header("if-none-match").is_some_and(|known| known.contains(&etag)) {
        Reply::text(304, "")
    } else {
        Reply::content(ask, &entry.content, bend).header("Content-Type", "text/plain; charset=utf-8")
    };
    reply.header("ETag", &etag).header("X-Repo-Commit", commit)
}

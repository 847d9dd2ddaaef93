//! Who gets what, and how the hub says no.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::repo::{Access, Stored};
use super::wire::{Ask, Reply};

/// Tokens, and the repositories that each opens.
pub(super) type Users = BTreeMap<String, BTreeSet<String>>;

/// A refusal with its code and sentence.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Reply {
    let reply = Reply::json(status, &json!({"error": message})).header("X-Error-Message", message);
    if code.is_empty() { reply } else { reply.header("X-Error-Code", code) }
}

/// A token that nobody has.
pub(super) fn bad_token(ask: &Ask, users: &Users) -> Option<Reply> {
    let token = ask.token()?;
    let refusal = || refused(401, "", "Invalid credentials in Authorization header");
    (!users.contains_key(token)).then(refusal)
}

/// There is no such repository, for this client.
pub(super) fn unknown(ask: &Ask) -> Reply {
    if ask.token().is_some() {
        refused(404, "RepoNotFound", "Repository not found")
    } else {
        refused(401, "RepoNotFound", "Invalid username or password.")
    }
}

/// Why this client may not see the repository, or its files.
pub(super) fn refusal(ask: &Ask, repo: &Stored, users: &Users, files: bool) -> Option<Reply> {
    let admitted = ask.token().and_then(|token| users.get(token)).is_some_and(|open| open.contains(&repo.id));
    let id = &repo.id;
    match repo.access {
        Access::Disabled => Some(refused(403, "", "Access to this resource is disabled.")),
        Access::Private if !admitted => Some(unknown(ask)),
        Access::Gated if files && !admitted && ask.token().is_some() => {
            let message = format!(
                "Access to model {id} is restricted and you are not in the authorized list. Visit the page of {id} to ask for access."
            );
            Some(refused(403, "GatedRepo", &message))
        }
        Access::Gated if files && !admitted => {
            let message = format!(
                "Access to model {id} is restricted. You must have access to it and be authenticated to access it. Please log in."
            );
            Some(refused(401, "GatedRepo", &message))
        }
        _ => None,
    }
}

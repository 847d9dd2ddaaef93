//! Who gets what, under which name.

use super::*;

#[test]
fn each_refusal_has_its_status_and_its_code() {
    let (hub, _) = hub();
    let file = |repo: Repo| repo.file(SMALL, TEXT);
    hub.publish(file(Repo::new("org/gated").gated()));
    hub.publish(file(Repo::new("org/private").private()));
    hub.publish(file(Repo::new("org/disabled").disabled()));
    let alice = hub.token("alice", &["org/gated", "org/private"]);
    let bob = hub.token("bob", &[]);
    let (alice, bob) = (Some(alice.as_str()), Some(bob.as_str()));
    let api = |id: &str| format!("{}/api/models/{id}/revision/main", hub.endpoint());
    let files = |id: &str| hub.url(id, "main", SMALL);
    for (url, token, status, code) in [
        (api("org/gated"), None, 200, ""),
        (api("org/gated"), bob, 200, ""),
        (files("org/gated"), None, 401, "GatedRepo"),
        (files("org/gated"), bob, 403, "GatedRepo"),
        (files("org/gated"), alice, 307, ""),
        (api("org/private"), None, 401, "RepoNotFound"),
        (api("org/private"), bob, 404, "RepoNotFound"),
        (files("org/private"), None, 401, "RepoNotFound"),
        (files("org/private"), alice, 307, ""),
        (api("org/none"), None, 401, "RepoNotFound"),
        (api("org/none"), alice, 404, "RepoNotFound"),
        (api("org/disabled"), alice, 403, ""),
        (api(ID), Some("hf_nobody"), 401, ""),
        (hub.url(ID, "none", SMALL), None, 404, "RevisionNotFound"),
        (hub.url(ID, "main", "none"), None, 404, "EntryNotFound"),
        (format!("{}/api/models/{ID}/revision/none", hub.endpoint()), None, 404, "RevisionNotFound"),
        (format!("{}/api/whoami-v2", hub.endpoint()), None, 401, ""),
        (format!("{}/api/whoami-v2", hub.endpoint()), bob, 200, ""),
    ] {
        assert_eq!(refusal(&url, token), (status, code.to_owned()), "{url} {token:?}");
    }
    assert!(get(&hub.url(ID, "main", "none"), &[]).header("x-repo-commit").is_some());
}

#[test]
fn other_names_lead_to_the_one_that_counts_with_all_that_follows() {
    let hub = Hub::start();
    hub.publish(repo().formerly("old/name"));
    for other in ["org/model", "old/name"] {
        for (begin, rest) in [
            ("/api/models/", ""),
            ("/api/models/", "?blobs=true"),
            ("/api/models/", "/tree/main?recursive=true"),
            ("/", "/resolve/main/sub/config.json"),
        ] {
            let answer = get(&format!("{}{begin}{other}{rest}", hub.endpoint()), &[]);
            let expected = format!("{begin}{ID}{rest}");
            assert_eq!((answer.status, answer.header("location")), (307, Some(expected.as_str())));
        }
    }
}

//! The tests' own Hub is faithful: the unmodified Python client downloads from it.

use std::path::Path;
use std::time::Duration;

use bf_test_kit::hub::{Content, Hub, Place, Python, Repo, Series};
use bf_test_kit::{Outcome, or_skip};

const ID: &str = "Org/Model";

fn repo(gate: fn(Repo) -> Repo, id: &str) -> Repo {
    let weights = Content::safetensors(1, &[("w", "BF16", &[1000, 900])]);
    gate(Repo::new(id))
        .file("config.json", "{\"model_type\": \"llama\"}")
        .file("sub/folder/notes.txt", "some notes\n")
        .file("empty.txt", "")
        .file("model.safetensors", weights)
        .big("sub/tokenizer.json", Content::noise(2, 300_000))
}

/// Runs a script that knows `h` (the module), its arguments as `a`, and the endpoint.
fn python(
    python: &Python,
    hub: &Hub,
    folder: &Path,
    text: &str,
    words: &[&str],
    token: Option<&str>,
) -> Outcome {
    let text = format!("import sys, huggingface_hub as h\na = sys.argv[1:]\n{text}");
    let mut program = python.script(folder, &text).args(words).env("HF_ENDPOINT", hub.endpoint());
    if let Some(token) = token {
        program = program.env("HF_TOKEN", token);
    }
    program.run()
}

const SNAPSHOT: &str = "print(h.snapshot_download(a[0], revision=a[1] if len(a) > 1 else None))";

#[track_caller]
fn whole(outcome: &Outcome, repo: &Repo) {
    assert_eq!(outcome.exit, 0, "{outcome}");
    let folder = Path::new(outcome.stdout.trim());
    for (path, content) in repo.contents() {
        assert_eq!(content.same_as(&folder.join(path)), Ok(()), "{path}");
    }
}

fn downloads(series: Series) -> Result<(), String> {
    let client = Python::of(series)?;
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let hub = Hub::start();
    let open = repo(
        |repo| repo.revision("main").revision("a/branch").tag("v1").pull_request(1).formerly("old/name"),
        ID,
    );
    let commit = hub.publish(open.clone());
    for revision in ["main", "a/branch", "v1", "refs/pr/1", &commit] {
        let fresh = tempfile::tempdir_in(folder.path()).unwrap();
        let done = python(client, &hub, fresh.path(), SNAPSHOT, &[ID, revision], None);
        whole(&done, &open);
        assert!(done.stdout.trim().ends_with(&commit), "{done}");
    }
    assert!(hub.seen().iter().any(|one| one.place == Place::Cdn));
    for other in ["org/model", "old/name"] {
        let fresh = tempfile::tempdir_in(folder.path()).unwrap();
        whole(&python(client, &hub, fresh.path(), SNAPSHOT, &[other], None), &open);
    }
    for (id, revision, error) in
        [("org/none", "main", "RepositoryNotFoundError"), (ID, "none", "RevisionNotFoundError")]
    {
        let refused = python(client, &hub, folder.path(), SNAPSHOT, &[id, revision], None);
        assert!(refused.exit == 1 && refused.stderr.contains(error), "{refused}");
    }
    hub.forget();
    hub.signatures_last(Duration::ZERO);
    let refused = python(client, &hub, folder.path(), SNAPSHOT, &[ID], None);
    assert!(refused.exit == 1 && refused.stderr.contains("403"), "{refused}");
    assert!(hub.seen().iter().any(|one| one.place == Place::Cdn && one.status == 403));
    hub.signatures_last(Duration::from_hours(1));

    let token = hub.token("alice", &["org/gated", "org/private"]);
    let stranger = hub.token("bob", &[]);
    for (id, gate, none, other) in [
        ("org/gated", Repo::gated as fn(Repo) -> Repo, "GatedRepoError", "GatedRepoError"),
        ("org/private", Repo::private, "RepositoryNotFoundError", "RepositoryNotFoundError"),
    ] {
        let closed = repo(gate, id);
        hub.publish(closed.clone());
        let file = "print(h.hf_hub_download(a[0], 'config.json'))";
        for (token, error) in [(None, none), (Some(stranger.as_str()), other)] {
            let fresh = tempfile::tempdir_in(folder.path()).unwrap();
            let refused = python(client, &hub, fresh.path(), file, &[id], token);
            assert!(refused.exit == 1 && refused.stderr.contains(error), "{refused}");
        }
        let fresh = tempfile::tempdir_in(folder.path()).unwrap();
        whole(&python(client, &hub, fresh.path(), SNAPSHOT, &[id], Some(&token)), &closed);
    }
    assert!(!hub.token_at_cdn());

    hub.page_size(2);
    let text = "print(','.join(sorted(e.path for e in h.HfApi().list_repo_tree(a[0], recursive=True) if hasattr(e, 'size'))))
m = h.get_hf_file_metadata(h.hf_hub_url(a[0], 'model.safetensors'))
print(m.etag, m.size, m.commit_hash)
m = h.get_hf_file_metadata(h.hf_hub_url(a[0], 'config.json'))
print(m.etag, m.size)";
    let told = python(client, &hub, folder.path(), text, &[ID], None);
    let of = |path: &str| open.contents().find(|(own, _)| *own == path).unwrap().1.clone();
    let (model, config) = (of("model.safetensors"), of("config.json"));
    let expected = format!(
        "config.json,empty.txt,model.safetensors,sub/folder/notes.txt,sub/tokenizer.json\n{} {} {commit}\n{} {}\n",
        model.sha256(),
        model.length(),
        config.git_sha1(),
        config.length()
    );
    assert_eq!(told.stdout, expected, "{told}");
    Ok(())
}

#[test]
fn the_newest_python_client_downloads_from_the_hub_of_the_tests() {
    or_skip!(downloads(Series::New));
}

#[test]
fn the_older_python_client_downloads_from_the_hub_of_the_tests() {
    or_skip!(downloads(Series::Old));
}

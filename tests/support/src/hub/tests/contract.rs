//! What the answers are when nothing goes wrong.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::hub::{Place, git_blob};

#[test]
fn a_small_file_is_at_a_relative_address_with_its_git_hash() {
    let (hub, commit) = hub();
    let etag = format!("\"{}\"", git_blob(TEXT.as_bytes()));
    for answer in [head(&hub.url(ID, "main", SMALL)), get(&hub.url(ID, &commit, SMALL), &[])] {
        assert_eq!(answer.status, 307);
        let place = format!("/api/resolve-cache/models/{ID}/{commit}/{SMALL}");
        for (name, expected) in [
            ("location", &place),
            ("x-repo-commit", &commit),
            ("x-linked-etag", &etag),
            ("x-linked-size", &"8".into()),
        ] {
            assert_eq!(answer.header(name), Some(expected.as_str()), "{name}");
        }
    }
    let url = place(&hub, SMALL);
    let whole = get(&url, &[]);
    assert_eq!((whole.status, whole.text().as_str(), whole.header("etag")), (200, TEXT, Some(etag.as_str())));
    assert_eq!(whole.header("x-repo-commit"), Some(commit.as_str()));
    let asked = head(&url);
    assert_eq!((asked.status, asked.header("content-length"), asked.body.len()), (200, Some("8"), 0));
    let known = get(&url, &[("If-None-Match", &etag)]);
    assert_eq!((known.status, known.body.len(), known.header("content-length")), (304, 0, None));
    assert_eq!(get(&url, &[("If-None-Match", "\"other\"")]).status, 200);
    ranges(&url, TEXT.as_bytes());
}

#[test]
fn a_big_file_is_at_the_other_origin_for_a_time_and_without_the_token() {
    let (hub, commit) = hub();
    let (sha256, all) = (content().sha256(), content().to_vec());
    let token = hub.token("alice", &[]);
    let answer = head(&hub.url(ID, "main", BIG));
    assert_eq!(answer.status, 302);
    let location = answer.header("location").unwrap();
    assert!(location.starts_with(hub.cdn()), "{location}");
    assert_eq!(answer.header("x-linked-etag"), Some(format!("\"{sha256}\"").as_str()));
    assert_eq!(answer.header("x-linked-size"), Some(LENGTH.to_string().as_str()));
    assert_eq!(answer.header("x-repo-commit"), Some(commit.as_str()));
    assert_ne!(answer.header("etag"), answer.header("x-linked-etag"), "it is that of the redirect");
    let whole = get(location, &[]);
    assert_eq!((whole.status, whole.body == all), (200, true));
    assert_eq!(whole.header("etag"), Some(format!("\"{sha256}\"").as_str()));
    ranges(location, &all);

    assert_eq!(get(location, &[("Authorization", &format!("Bearer {token}"))]).status, 400);
    assert!(hub.token_at_cdn());
    assert_eq!(get(&location.replace("Expires=", "Expires=9"), &[]).status, 403, "that was not signed");
    hub.signatures_last(Duration::ZERO);
    let expired = get(&place(&hub, BIG), &[]);
    assert_eq!((expired.status, expired.text().contains("expired")), (403, true));
    assert_eq!(get(location, &[]).status, 200, "who has an older one has it for an hour");
}

/// `Range` is obeyed, and refused where there is nothing.
fn ranges(url: &str, all: &[u8]) {
    let length = all.len();
    let last = length - 1;
    for (range, first, end) in [
        ("bytes=2-4".to_owned(), 2, 5),
        ("bytes=3-".to_owned(), 3, length),
        ("bytes=-2".to_owned(), length - 2, length),
        (format!("bytes={last}-{}", length + 99), last, length),
    ] {
        let part = get(url, &[("Range", &range)]);
        assert_eq!((part.status, part.body == all[first..end]), (206, true), "{range}");
        let expected = format!("bytes {first}-{}/{length}", end - 1);
        assert_eq!(part.header("content-range"), Some(expected.as_str()));
    }
    let outside = get(url, &[("Range", &format!("bytes={length}-"))]);
    assert_eq!((outside.status, outside.body.len()), (416, 0));
    assert_eq!(outside.header("content-range"), Some(format!("bytes */{length}").as_str()));
}

#[test]
fn the_listing_has_sizes_and_hashes_and_the_tree_comes_in_pages() {
    let (hub, commit) = hub();
    let api = format!("{}/api/models/{ID}", hub.endpoint());
    let plain = get(&api, &[]).json();
    assert_eq!(plain["siblings"], json!([{"rfilename": SMALL}, {"rfilename": BIG}]));
    assert_eq!(plain["sha"], commit.as_str());
    let told = get(&format!("{api}/revision/main?blobs=true"), &[]).json();
    assert_eq!(told["siblings"][0]["blobId"], git_blob(TEXT.as_bytes()));
    assert_eq!(told["siblings"][1]["lfs"]["sha256"], content().sha256());
    assert_eq!(told["siblings"][1]["size"], LENGTH);
    assert_ne!(told["siblings"][1]["blobId"], told["siblings"][1]["lfs"]["sha256"], "that is the pointer's");

    hub.page_size(1);
    let (mut next, mut paths) = (Some(format!("{api}/tree/main?recursive=true")), Vec::new());
    while let Some(url) = next {
        let answer = get(&url, &[]);
        let page = answer.json();
        assert_eq!(page.as_array().unwrap().len(), 1);
        paths.push(page[0]["path"].as_str().unwrap().to_owned());
        let link = answer.header("link").map(|link| link.strip_suffix(">; rel=\"next\"").unwrap());
        next = link.map(|link| link.strip_prefix('<').unwrap().to_owned());
    }
    assert_eq!(paths, ["sub", SMALL, BIG]);
    hub.page_size(9);
    let top = get(&format!("{api}/tree/{commit}"), &[]).json();
    assert_eq!(
        top.as_array().unwrap().iter().map(|one| &one["type"]).collect::<Vec<_>>(),
        ["directory", "file"]
    );
    let (address, target) = parted(&api);
    let asked = json!({"paths": [SMALL, "other"]});
    let infos = Request::post(&format!("{target}/paths-info/main"), &asked).send(address).unwrap().json();
    assert_eq!(infos.as_array().unwrap().len(), 1);
    assert_eq!(infos[0]["oid"], git_blob(TEXT.as_bytes()));
    assert_eq!(get(&format!("{api}/refs"), &[]).json()["branches"][0]["targetCommit"], commit.as_str());
}

#[test]
fn what_is_pushed_in_between_changes_nothing_for_who_names_the_commit() {
    let (hub, first) = hub();
    let second =
        hub.publish(Repo::new(ID).file(SMALL, "{}").revision("main").revision("a/b").pull_request(3));
    let text = |revision: &str| {
        let answer = head(&hub.url(ID, revision, SMALL));
        let commit = answer.header("x-repo-commit").unwrap().to_owned();
        let place = answer.header("location").unwrap();
        (commit, get(&format!("{}{place}", hub.endpoint()), &[]).text())
    };
    assert_eq!(text(&first), (first.clone(), TEXT.to_owned()));
    for revision in ["main", "a/b", "refs/pr/3", &second] {
        assert_eq!(text(revision), (second.clone(), "{}".to_owned()), "{revision}");
    }
}

#[test]
fn a_request_is_known_before_its_answer_begins_and_each_byte_of_it_after() {
    let (hub, _) = hub();
    let url = place(&hub, BIG);
    hub.forget();
    get(&url, &[("Range", "bytes=5-9"), ("User-Agent", "plain")]);
    let seen = hub.seen();
    let one = &seen[0];
    assert_eq!((seen.len(), one.place, one.method.as_str(), one.status), (1, Place::Cdn, "GET", 206));
    assert_eq!((one.range.as_deref(), one.file.as_deref()), (Some("bytes=5-9"), Some(BIG)));
    assert_eq!((one.agent.as_str(), one.token, one.bytes), ("plain", false, 5));
    assert!(url.ends_with(&one.target));
    head(&url);
    get(&url, &[]);
    assert_eq!(hub.cdn_bytes(), 5 + LENGTH as u64);
}

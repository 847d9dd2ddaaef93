use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    text.parse::<Reference>().unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
}

#[test]
fn names_are_completed_as_docker_does() {
    for (short, whole) in [
        ("ubuntu", "docker.io/library/ubuntu:latest"),
        ("ubuntu:24.04", "docker.io/library/ubuntu:24.04"),
        ("vllm/vllm-openai:v0.10.2", "docker.io/vllm/vllm-openai:v0.10.2"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest"),
        ("docker://ghcr.io/ggml-org/llama.cpp:server", "ghcr.io/ggml-org/llama.cpp:server"),
        ("localhost/x", "localhost/x:latest"),
        ("login:5000/engines/llama-server:test", "login:5000/engines/llama-server:test"),
        ("GHCR.io/a", "ghcr.io/a:latest"),
        ("[::1]:5000/a/b", "[::1]:5000/a/b:latest"),
        ("registry/a", "docker.io/registry/a:latest"),
        ("a__b/c---d.e_f:_T.-", "docker.io/a__b/c---d.e_f:_T.-"),
    ] {
        assert_eq!(canonical(short), whole);
    }
    let digest = format!("sha256:{}", "a1".repeat(32));
    assert_eq!(canonical(&format!("q.io/a@{digest}")), format!("q.io/a@{digest}"));
    assert_eq!(canonical(&format!("q.io/a:1@{digest}")), format!("q.io/a:1@{digest}"));
}

#[test]
fn what_no_registry_could_have_is_refused() {
    let long = "a".repeat(256);
    let tag = format!("a:{}", "t".repeat(129));
    let file = format!("{}:{}", "a".repeat(150), "t".repeat(128));
    for bad in [
        "",
        "/",
        "a//b",
        "a/",
        "Upper/case",
        "a:",
        "a:b:c",
        "a:b/c",
        "a b",
        "a\n",
        "a\0",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a.-b",
        "a:-x",
        "a@sha256:12",
        "a@md5:aa",
        "http://a/b",
        "docker-archive://x",
        "a.b:port/c",
        "a.b:70000/c",
        "-a.b/c",
        "[::1/c",
        "[x:]/c",
        "../../etc",
        "a/../b",
        "ü",
        &long,
        &tag,
        &file,
    ] {
        assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_password_is_not_repeated() {
    for bad in ["docker://me:pass@ghcr.io/a/b", "me:pass@ghcr.io/a/b"] {
        let message = bad.parse::<Reference>().unwrap_err().to_string();
        assert!(!message.contains("pass@") && message.contains("environment"), "{message}");
    }
}

#[test]
fn the_file_has_upstreams_name_and_a_client_is_asked_for_the_digest() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    let tagged: Reference = "ghcr.io/ggml-org/llama.cpp:server".parse().unwrap();
    assert_eq!(tagged.sif_name(), "llama.cpp_server.sif");
    assert_eq!(tagged.pull_name(), "ghcr.io/ggml-org/llama.cpp:server");
    let pinned = tagged.pinned(digest.parse().unwrap());
    assert_eq!(pinned.sif_name(), "llama.cpp_server.sif");
    assert_eq!(pinned.pull_name(), format!("ghcr.io/ggml-org/llama.cpp@{digest}"));
    let by_digest: Reference = format!("q.io/a/b@{digest}").parse().unwrap();
    assert_eq!(by_digest.sif_name(), "b_sha256-a1a1a1a1a1a1.sif");
}

#[test]
fn a_digest_is_served_by_itself_only_and_a_tag_by_whatever_it_was() {
    let (one, two) = (format!("@sha256:{}", "a1".repeat(32)), format!("@sha256:{}", "b2".repeat(32)));
    let serves = |own: &str, asked: &str| {
        own.parse::<Reference>().unwrap().serves(&asked.parse::<Reference>().unwrap())
    };
    assert!(serves("q.io/a:1", "q.io/a:1"));
    assert!(serves(&format!("q.io/a:1{one}"), "q.io/a:1"));
    assert!(serves(&format!("q.io/a:1{one}"), &format!("q.io/a{one}")));
    assert!(!serves("q.io/a:1", &format!("q.io/a:1{one}")));
    assert!(!serves(&format!("q.io/a:1{one}"), &format!("q.io/a:1{two}")));
    assert!(!serves("q.io/a:1", "q.io/a:2") && !serves("q.io/a:1", "r.io/a:1"));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_what_it_writes_it_reads(text in "(docker://)?[a-zA-Z0-9.:/_@\\[\\]-]{0,60}|.*") {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
            prop_assert!(!reference.sif_name().contains('/') && !reference.sif_name().starts_with('.'));
            let json = serde_json::to_string(&reference).unwrap();
            prop_assert_eq!(serde_json::from_str::<Reference>(&json).unwrap(), reference);
        }
    }

    #[test]
    fn names_by_the_rules_are_read(text in "([a-z]{1,9}\\.io(:[0-9]{1,4})?/)?[a-z0-9]{1,9}([._-][a-z0-9]{1,5})?(/[a-z0-9]{1,9}){0,2}(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20})?") {
        let reference: Reference = text.parse().unwrap();
        prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
    }
}

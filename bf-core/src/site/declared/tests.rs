//! site.yaml against what people write.

use super::*;

fn parse(text: &str) -> Result<Declared, Vec<String>> {
    Declared::parse(text, Path::new("/site/site.yaml")).map(|(declared, _)| declared).map_err(|findings| {
        findings
            .iter()
            .map(|finding| {
                format!("{}:{} {}", finding.line.unwrap_or(0), finding.column.unwrap_or(0), finding.code)
            })
            .collect()
    })
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "schema: 1\ncache_dir: cache\nmodels:\n  - {repo: org/name, path: ../dl, format: gguf}\nengines: {llama_cpp: }\n";
    let declared = parse(text).unwrap();
    assert_eq!(declared.cache_dir, Path::new("/site/cache"));
    assert_eq!(declared.models[0].path.as_deref(), Some(Path::new("/site/../dl")));
    assert_eq!(declared.engines["llama_cpp"], DeclaredEngine::default());
    assert_eq!(declared.file_mode, 0o755);
}

#[test]
fn what_can_be_no_cache_is_refused() {
    for path in ["/", "//", "/a/..", "~/cache", "~", "$HOME/cache", "/shared/${USER}"] {
        let found = parse(&format!("schema: 1\ncache_dir: \"{path}\"\n")).unwrap_err();
        assert_eq!(found, ["2:12 invalid_cache_dir"], "{path}");
    }
    assert!(parse("schema: 1\ncache_dir: ..\n").is_ok(), "relative to the file");
}

#[test]
fn the_file_mode_is_one_of_two_however_it_is_written() {
    for (written, mode) in
        [("0644", 0o644), ("\"0644\"", 0o644), ("0o644", 0o644), ("0755", 0o755), ("755", 0o755)]
    {
        let declared = parse(&format!("schema: 1\ncache_dir: /c\nfile_mode: {written}\n")).unwrap();
        assert_eq!(declared.file_mode, mode, "{written}");
    }
    assert_eq!(parse("schema: 1\ncache_dir: /c\nfile_mode: 0777\n").unwrap_err(), ["3:12 unknown_value"]);
}

#[test]
fn what_cannot_be_provided_is_refused_and_nothing_unknown_passes() {
    let text = "schema: 2\ncache_dir: /c\nmodles: []\nmodels:\n  - repo: ../../x\n    revision: a b\n    include: [../x]\n";
    let found = parse(text).unwrap_err();
    let expected = ["1:9 out_of_range", "3:1 unknown_key", "5:11 invalid_model_id"];
    assert_eq!(found, [&expected[..], &["6:15 invalid_revision", "7:15 invalid_pattern"]].concat());
}

#[test]
fn whole_sections_that_cannot_be_provided_yet_are_read_and_told() {
    let text = "schema: 1\ncache_dir: /c\ntigerflow: {version: 1.2.0, ml: false}\nondemand: {apps_dir: apps, session: {cpus: 4}}\n";
    let (declared, warnings) = Declared::parse(text, Path::new("/site/site.yaml")).unwrap();
    let codes: Vec<_> = warnings.iter().map(|warning| (warning.line, warning.code)).collect();
    assert_eq!(codes, [(Some(3), "not_provided_yet"), (Some(4), "not_provided_yet")]);
    let tigerflow = declared.tigerflow.unwrap();
    assert_eq!((tigerflow.version.as_deref(), tigerflow.ml, tigerflow.keep), (Some("1.2.0"), false, 2));
    let ondemand = declared.ondemand.unwrap();
    assert_eq!((ondemand.apps_dir.as_path(), ondemand.session.cpus), (Path::new("/site/apps"), 4));
    let (declared, warnings) =
        Declared::parse("schema: 1\ncache_dir: /c\ntigerflow:\n", Path::new("/s")).unwrap();
    assert_eq!((declared.tigerflow, warnings), (None, vec![]), "nothing is nothing");
}

#[test]
fn every_fault_is_reported_at_its_place() {
    crate::spec::fixtures::check(
        "site",
        |text, path| match Declared::parse(text, path) {
            Ok((_, findings)) | Err(findings) => findings,
        },
        60,
    );
}

#[test]
fn bf_user_reads_the_rules_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let layout = crate::site::Layout::new(dir.path());
    assert_eq!(SiteRules::of_cache(&layout).unwrap(), SiteRules::default());
    let write = |text: &str| fs_err::write(layout.site_yaml(), text).unwrap();
    write(
        "schema: 1\nnew: {a: 1}\nmodels: [{repo: ../x, newer: 1}]\nslurm: {memory: none, gpu_request: gpus}\n",
    );
    let rules = SiteRules::of_cache(&layout).unwrap();
    assert_eq!((rules.slurm.memory, rules.slurm.gpu_request), (MemoryRequest::None, GpuRequest::Gpus));
    for (text, why) in [
        ("schema: 2\n", "schema"),
        ("schema: 1\npolicy: {max_gpus: 1}\n", "max_gpus"),
        ("schema: 1\nslurm: {memory: none\n", "unclosed"),
    ] {
        write(text);
        let failure = SiteRules::of_cache(&layout).unwrap_err();
        assert_eq!(failure.exit, crate::report::Exit::Invalid, "{text}");
        assert!(failure.message.contains(why), "{failure}");
    }
    assert!(
        SiteRules::parse("schema: 1\nslurm: {clusters: [a]}\n", Path::new("x")).is_ok(),
        "a warning is none of a user's"
    );
}

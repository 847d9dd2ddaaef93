use std::path::Path;

use bf_core::service::Kind;
use bf_core::site::{GpuFlag, MemoryRequest};

use super::*;

fn rules(sections: &str) -> SiteRules {
    SiteRules::parse(&format!("schema: 1\n{sections}"), Path::new("/c/site.yaml")).unwrap()
}

fn wish(scheduler: Scheduler) -> Wish {
    Wish {
        kind: Kind::TextGeneration,
        scheduler,
        model: "org/name".into(),
        revision: None,
        pull: false,
        image: None,
        name: None,
        tier: None,
        partition: None,
        constraint: None,
        account: None,
        qos: None,
        reservation: None,
        cpus: None,
        memory_gb: None,
        gpus: None,
        port: 0,
        time_limit: None,
        idle_timeout: None,
        grace_period: 600,
        key: None,
        arguments: Vec::new(),
    }
}

#[test]
fn a_refusal_names_its_rule() {
    let refused = |sections: &str, wish: &Wish| {
        let failure = check(&rules(sections), wish).unwrap_err();
        assert!(failure.hint.is_some());
        (failure.exit, failure.code, failure.message)
    };
    let local = wish(Scheduler::Local);
    let (exit, code, message) = refused("policy: {allow_local: false}\n", &local);
    assert_eq!((exit, code), (Exit::Permission, "local_not_allowed"));
    assert!(message.contains("policy.allow_local"), "{message}");
    let job = wish(Scheduler::Slurm);
    let (exit, code, message) = refused("slurm: {account_required: true}\n", &job);
    assert_eq!((exit, code), (Exit::Usage, "account_required"));
    assert!(message.contains("slurm.account_required"), "{message}");
    let other = Wish { port: 80, ..wish(Scheduler::Slurm) };
    assert_eq!(refused("network: {ports: 8000-8999}\n", &other).1, "port_not_allowed");

    let strict = rules("policy: {allow_local: false}\nslurm: {account_required: true}\n");
    assert_eq!(check(&strict, &Wish { account: Some("a".into()), ..job.clone() }), Ok(()));
    assert_eq!(check(&SiteRules::default(), &local), Ok(()));
    assert_eq!(check(&rules("network: {ports: 8000-8999}\n"), &Wish { port: 8000, ..job }), Ok(()));
}

#[test]
fn nobody_is_idle_for_longer_than_the_site_lets_them() {
    let idle = |sections: &str, asked: Option<u64>| {
        idle_timeout(&rules(sections), &Wish { idle_timeout: asked, ..wish(Scheduler::Slurm) })
            .map_err(|failure| (failure.code, failure.message.contains("policy.max_idle_timeout")))
    };
    assert_eq!(idle("", None), Ok(None));
    assert_eq!(idle("", Some(5)), Ok(Some(5)));
    assert_eq!(idle("policy: {idle_timeout: 30m}\n", None), Ok(Some(1800)));
    assert_eq!(idle("policy: {idle_timeout: 30m}\n", Some(7200)), Ok(Some(7200)));
    assert_eq!(idle("policy: {max_idle_timeout: 1h}\n", None), Ok(Some(3600)), "no limit would be too long");
    let both = "policy: {idle_timeout: 30m, max_idle_timeout: 1:00:00}\n";
    assert_eq!(idle(both, None), Ok(Some(1800)));
    assert_eq!(idle(both, Some(3600)), Ok(Some(3600)));
    assert_eq!(idle(both, Some(3601)), Err(("idle_timeout_too_long", true)));
}

#[test]
fn one_service_more_than_allowed_is_refused() {
    let two = rules("policy: {max_services: 2}\n");
    assert_eq!(check_number(&two, 1), Ok(()));
    let failure = check_number(&two, 2).unwrap_err();
    assert_eq!((failure.exit, failure.code), (Exit::Busy, "too_many_services"));
    assert!(failure.message.contains("policy.max_services"));
    assert_eq!(check_number(&SiteRules::default(), 1000), Ok(()));
}

#[test]
fn slurm_is_asked_as_the_site_wants_it() {
    let options = |gres: &str| SlurmOptions { gres: Some(gres.into()), ..SlurmOptions::default() };
    let gpus = rules(
        "slurm: {gpu_request: gpus, memory: mem-per-gpu, directives: [--exclusive]}\nruntime: {modules: [a/1]}\n",
    );
    for (gres, rest, expected) in [
        ("gpu:2", None, Some("2")),
        ("gpu:a100:2", None, Some("a100:2")),
        ("gpu:a100:1,gpu:h100:1,nvme:1", Some("nvme:1"), Some("a100:1,h100:1")),
        ("nvme:1", Some("nvme:1"), None),
    ] {
        let asked = slurm(&gpus, options(gres));
        assert_eq!((asked.gres.as_deref(), asked.gpus_per_node.as_deref()), (rest, expected), "{gres}");
        assert_eq!(asked.memory, MemoryRequest::MemPerGpu);
        assert_eq!((asked.directives, asked.modules), (vec!["--exclusive".into()], vec!["a/1".into()]));
    }
    assert_eq!(slurm(&SiteRules::default(), options("gpu:2")), options("gpu:2"));
}

#[test]
fn the_runtime_and_the_network_are_the_sites() {
    let site = rules(
        "runtime: {apptainer: /opt/a/bin/apptainer, gpu_flag: rocm, binds: [/scratch], env: {A: b}}\n\
         network: {ports: 8000-8001, interface: ib0}\n",
    );
    let found = runtime(&site);
    assert_eq!(found.apptainer.as_deref(), Some(Path::new("/opt/a/bin/apptainer")));
    assert_eq!((found.gpu_flag, found.binds), (GpuFlag::Rocm, vec!["/scratch".into()]));
    assert_eq!(found.env["A"], "b");
    let found = network(&site, &wish(Scheduler::Slurm));
    assert_eq!((found.address.as_str(), found.interface.as_deref()), ("0.0.0.0", Some("ib0")));
    assert!(found.ports.is_some_and(|ports| ports.contains(8001) && !ports.contains(8002)));
}

use bf_core::slurm::{Gres, PartitionState};

use super::*;
use crate::golden;
use crate::job::{EngineImage, SlurmOptions};

fn script_of(job: &Job, home: &str) -> Result<String, Failure> {
    let source = template::load(None, TEMPLATE).unwrap();
    let dir = JobDir::of(Path::new(home), &job.service);
    render(&source, job, &dir, Path::new("/shared/cache/toolkit/0.1.0/x86_64/bf-user"))
}

#[test]
fn the_scripts_are_those_that_were_agreed_on() {
    let job = Job::example();
    golden::check("jobs/least.sh", &script_of(&job, "/home/alice/.blackfish").unwrap());

    let mut job = Job::example();
    job.name = "größer als 1".into();
    job.engine.image = Some(EngineImage {
        reference: "r".into(),
        sif: "/i.sif".into(),
        digest: "0123456789ab".into(),
        path: Vec::new(),
        binds: Vec::new(),
    });
    job.resources.gpus = 2;
    job.slurm = SlurmOptions {
        partition: Some("gpu".into()),
        constraint: Some("gpu80&ib".into()),
        account: Some("physics".into()),
        qos: Some("short".into()),
        reservation: Some("course".into()),
        gres: Some("gpu:a100:2".into()),
        ..SlurmOptions::default()
    };
    golden::check("jobs/most.sh", &script_of(&job, "/home/alice bob/100%/.blackfish").unwrap());
}

#[test]
fn a_template_that_leaves_out_what_matters_is_refused() {
    let dir = JobDir::of(Path::new("/home/alice"), "0123456789abcdef0123456789abcdef");
    let rendered = |text: &str| {
        let source =
            Source { name: TEMPLATE.into(), text: text.into(), path: Some("/c/service.sh.j2".into()) };
        render(&source, &Job::example(), &dir, Path::new("/bf-user"))
    };
    let directives = "{% for directive in directives %}\n#SBATCH {{ directive }}\n{% endfor %}\n";
    for (text, word) in [
        ("exec {{ program }} supervise {{ job_dir }}\n".to_owned(), "--comment"),
        (format!("{directives}sleep 1\n"), "supervise"),
    ] {
        let failure = rendered(&text).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("template_invalid", Exit::Invalid));
        assert!(failure.message.contains(word) && failure.message.contains("/c/service.sh.j2"), "{failure}");
    }
    let whole = format!("{directives}exec {{{{ program }}}} supervise {{{{ job_dir }}}}\n");
    assert!(rendered(&whole).is_ok());
    let mut job = Job::example();
    job.slurm.modules = vec!["apptainer".into()];
    let source = Source { name: TEMPLATE.into(), text: whole, path: None };
    let failure = render(&source, &job, &dir, Path::new("/bf-user")).unwrap_err();
    assert!(failure.message.contains("modules"), "{failure}");
}

#[test]
fn a_site_is_asked_as_it_wants_to_be() {
    let mut job = Job::example();
    job.resources.gpus = 3;
    job.resources.memory_gb = 16;
    job.slurm = SlurmOptions {
        qos: Some("own".into()),
        gres: Some("nvme:1".into()),
        gpus_per_node: Some("a100:3".into()),
        memory: MemoryRequest::MemPerGpu,
        directives: vec!["--exclusive".into(), "--qos=site".into(), "--nice=100".into()],
        modules: vec!["apptainer/1.4".into(), "cuda".into()],
        ..SlurmOptions::default()
    };
    golden::check("jobs/site.sh", &script_of(&job, "/home/alice/.blackfish").unwrap());
    job.resources.gpus = 0;
    assert!(script_of(&job, "/home/alice").unwrap().contains("--mem=16G"), "a job without GPUs");
    job.slurm.memory = MemoryRequest::None;
    assert!(!script_of(&job, "/home/alice").unwrap().contains("--mem"));
    job.slurm.directives = vec!["--x=a\n#SBATCH --y".into()];
    assert_eq!(script_of(&job, "/home/alice").unwrap_err().exit, Exit::Usage);
}

/// In a shell that does not know `module`, the script finds what defines it; a module that is not there ends nothing.
#[test]
fn modules_are_loaded_before_the_supervisor_starts() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir(dir.path().join("init")).unwrap();
    let function = "module() { [ \"$2\" != absent ] && echo \"module $*\"; }\n";
    fs_err::write(dir.path().join("init/bash"), function).unwrap();
    let mut job = Job::example();
    job.slurm.modules = vec!["apptainer/1.4".into(), "absent".into()];
    let source = template::load(None, TEMPLATE).unwrap();
    let script = render(&source, &job, &JobDir::at("/job"), Path::new("/bin/echo")).unwrap();
    let path = dir.path().join("run.sh");
    fs_err::write(&path, script).unwrap();
    let output = std::process::Command::new("/bin/bash")
        .args(["--noprofile", "--norc"])
        .arg(&path)
        .env_clear()
        .env("MODULESHOME", dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "module load apptainer/1.4\nsupervise /job\n");
    assert!(String::from_utf8(output.stderr).unwrap().contains("absent cannot be loaded"));
}

#[test]
fn what_could_be_a_second_option_is_refused() {
    for value in ["gpu\n#SBATCH --uid=0", "gpu --wrap=x", "a'b", "$(id)", "`id`", ""] {
        let mut job = Job::example();
        job.slurm.partition = Some(value.into());
        let failure = script_of(&job, "/home/alice").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage, "{value}: {failure}");
    }
}

fn partition(max_time: Option<u64>) -> PartitionFacts {
    PartitionFacts {
        name: "gpu".into(),
        is_default: true,
        state: PartitionState::Up,
        max_time,
        default_time: None,
        nodes: None,
        node_count: 1,
    }
}

#[test]
fn a_job_that_no_node_could_take_is_refused() {
    let node = |cpus, memory_mib, gpus: &[u64]| NodeFacts {
        name: "n".into(),
        partition: "gpu".into(),
        state: "idle".into(),
        flags: String::new(),
        cpus,
        memory_mib,
        gres: gpus.iter().map(|count| Gres { name: "gpu".into(), kind: None, count: *count }).collect(),
        features: Vec::new(),
    };
    let nodes = [node(8, 4096, &[]), node(2, 16384, &[1, 1])];
    let check = |cpus, memory_gb, gpus| {
        let mut job = Job::example();
        job.resources = crate::job::Resources { cpus, gpus, memory_gb };
        check_nodes(&job, &partition(None), &nodes).map_err(|failure| failure.message)
    };
    assert_eq!(check(8, 16, 2), Ok(()));
    assert!(check(9, 1, 0).unwrap_err().contains("9 cores, the most is 8"));
    assert!(check(1, 17, 0).unwrap_err().contains("17 GB of memory, the most is 16"));
    assert!(check(1, 1, 3).unwrap_err().contains("3 GPUs, the most is 2"));
    assert!(check_nodes(&Job::example(), &partition(None), &[]).is_ok(), "nothing is known");
}

#[test]
fn a_job_that_would_wait_for_ever_is_refused() {
    let job = Job::example(); // 30 minutes
    assert!(check_time(&job, &partition(None)).is_ok());
    assert!(check_time(&job, &partition(Some(30))).is_ok());
    let failure = check_time(&job, &partition(Some(29))).unwrap_err();
    assert_eq!((failure.code, failure.exit), ("time_too_long", Exit::Usage));
    assert!(failure.hint.unwrap().contains("--time 29"));
}

#[test]
fn a_revision_of_a_model_has_one_mark() {
    assert_eq!(mark("org/name", "1"), mark("org/name", "1"));
    assert_ne!(mark("org/name", "1"), mark("org/name", "2"));
    assert_eq!(mark("org/name", "1").len(), 12);
}

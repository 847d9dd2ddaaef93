//! Registries as sites have them: with logins that are kept in files and by programs, behind mirrors, with a certificate authority of the
//! site's, busy, and with documents as Docker wrote them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bf_test_kit::images::{
    Account, Allowed, Authority, Comparison, Config, Faults, Image, ImageTree, Item, Layer, Layout, Mounted,
    Packing, Proxy, Registry, ToolRoot, expected, login, small,
};
use bf_test_kit::{Outcome, Program, Site, or_skip, readable_anywhere};
use serde_json::json;

use crate::convert::{converts, place};

const WRONG: &str = "wrong:word of tests";

/// A site that declares nothing but its registries, and an image of it.
struct Own(Site);

impl Own {
    /// With this text behind `registries:`.
    fn declaring(registries: &str) -> Self {
        let site = Site::new();
        site.declare_text(&format!("schema: 1\ncache_dir: cache\nregistries: {registries}\n"));
        Self(site)
    }

    /// Which reaches this registry by plain HTTP.
    fn plain(registry: &Registry) -> Self {
        Self::declaring(&format!("{{'{}': {{plain_http: true}}}}", registry.address))
    }

    fn pull(&self, reference: &str) -> Program {
        self.0.admin(["image", "pull", "--engine", "native", "--progress", "plain", reference])
    }

    /// Writes `~/.docker/config.json`.
    fn log_in(&self, config: &serde_json::Value) {
        let folder = self.0.user_home().join(".docker");
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("config.json"), config.to_string()).unwrap();
    }

    /// Puts `docker-credential-NAME` into a folder, and gives a `PATH` with that. It tells one server this password, and notes who asks.
    fn keeper(&self, name: &str, server: &str, password: &str) -> String {
        let folder = self.0.path().join("keepers");
        fs_err::create_dir_all(&folder).unwrap();
        let program = folder.join(format!("docker-credential-{name}"));
        let asked = self.asked(name);
        let script = format!(
            "#!/bin/sh\nread -r server\necho \"$1 $server\" >>'{}'\n\
             [ \"$1 $server\" = 'get {server}' ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
             printf '%s\\n' '{}'\n",
            asked.display(),
            json!({"ServerURL": server, "Username": Account::TESTER.user, "Secret": password})
        );
        fs_err::write(&program, script).unwrap();
        fs_err::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
    }

    fn asked(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("asked-{name}"))
    }

    /// The images of the cache.
    fn sifs(&self) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(self.0.cache().join("images")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "sif")).collect()
    }

    /// Expects one image in the cache, which is that tree.
    #[track_caller]
    fn has(&self, tree: &ImageTree) {
        let sifs = self.sifs();
        let [sif] = sifs.as_slice() else { panic!("{sifs:?}") };
        Comparison::of_sif(tree, &Mounted::new(sif).tree(), &Allowed::default()).none();
    }

    /// Expects that nobody can read a password: not in what was said, nor in a file of the cache or of temporary files.
    #[track_caller]
    fn secret(&self, password: &str, outcome: &Outcome) {
        assert!(!outcome.to_string().contains(password), "{outcome}");
        let files: Vec<PathBuf> = [self.0.cache(), &self.0.tmp()].into_iter().flat_map(files_below).collect();
        assert!(files.iter().any(|file| file.ends_with("audit.jsonl")), "{files:?}");
        let entry = entry(password);
        for secret in [password, entry["auth"].as_str().unwrap()] {
            assert_eq!(readable_anywhere(secret, &files), [""; 0].map(PathBuf::from));
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut files): (Vec<_>, Vec<_>) =
        entries.filter(|path| !path.is_symlink()).partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| files_below(folder)));
    files
}

/// The entry of `auths` for the account of the tests.
fn entry(password: &str) -> serde_json::Value {
    login(Account::TESTER.user, password)
}

/// A registry, open or closed, with the small image as `some/small:1`.
fn stocked(root: &ToolRoot, account: Option<Account>) -> (Registry, ImageTree) {
    let registry = Registry::start(root, account);
    (filled(registry), expected(&small().layers))
}

fn filled(registry: Registry) -> Registry {
    Layout::new(&registry.folder().join("layout")).add("small", &small(), Packing::Gzip);
    registry.push(registry.folder(), "oci:/srv/layout:small", "some/small:1");
    registry
}

#[test]
fn a_login_is_found_where_docker_keeps_it() {
    let root = or_skip!(ToolRoot::get());
    or_skip!(converts());
    let (registry, tree) = stocked(root, Some(Account::TESTER));
    let (host, password) = (registry.address.to_string(), Account::TESTER.password);
    let reference = registry.reference("some/small:1");
    let check = |what: &str, prepare: &dyn Fn(&Own) -> Program| {
        let own = Own::plain(&registry);
        let done = prepare(&own).run();
        assert_eq!(done.exit, 0, "{what}: {done}");
        own.secret(password, &done);
        own.has(&tree);
        own
    };
    check("auths", &|own| {
        own.log_in(&json!({"auths": {&host: entry(password)}}));
        own.pull(&reference)
    });
    let own = check("credsStore, with the empty entry that `docker login` leaves", &|own| {
        own.log_in(&json!({"auths": {&host: {}}, "credsStore": "tests"}));
        own.pull(&reference).env("PATH", own.keeper("tests", &host, password))
    });
    let asked = fs_err::read_to_string(own.asked("tests")).unwrap();
    assert!(asked.lines().all(|line| line == format!("get {host}")) && !asked.is_empty(), "{asked}");
    let own = check("credHelpers of the host, before all others", &|own| {
        own.log_in(
            &json!({"auths": {&host: entry(WRONG)}, "credsStore": "others", "credHelpers": {&host: "tests"}}),
        );
        own.keeper("others", &host, WRONG);
        own.pull(&reference).env("PATH", own.keeper("tests", &host, password))
    });
    assert!(own.asked("tests").exists() && !own.asked("others").exists());
    check("the environment, before files", &|own| {
        own.log_in(&json!({"auths": {&host: entry(WRONG)}}));
        own.pull(&reference)
            .env("APPTAINER_DOCKER_USERNAME", Account::TESTER.user)
            .env("APPTAINER_DOCKER_PASSWORD", password)
    });
    // And the researcher's own program.
    let own = Own::plain(&registry);
    own.log_in(&json!({"auths": {&host: entry(password)}}));
    let user = own.0.program("bf-user").env("BLACKFISH_HOME_DIR", own.0.home());
    let done = user.args(["image", "pull", "--no-https", &reference]).code(0);
    assert!(!done.to_string().contains(password), "{done}");
}

#[test]
fn a_login_that_is_wrong_or_not_to_be_had_is_said_without_it() {
    let root = or_skip!(ToolRoot::get());
    or_skip!(converts());
    let (registry, _) = stocked(root, Some(Account::TESTER));
    let host = registry.address.to_string();
    let reference = registry.reference("some/small:1");
    let refused = |own: &Own, program: &Program, exit: i32| {
        let outcome = program.code(exit).one_sentence().stderr_contains(&host).stderr_contains("hint: ");
        own.secret(WRONG, &outcome);
        assert_eq!(own.sifs(), [""; 0].map(PathBuf::from), "{outcome}");
        let audit = fs_err::read_to_string(own.0.cache().join("audit.jsonl")).unwrap();
        assert!(audit.contains("image") && audit.contains("pull"), "{audit}");
        outcome
    };
    let own = Own::plain(&registry);
    refused(&own, &own.pull(&reference), 77).stderr_contains("docker login");
    let own = Own::plain(&registry);
    own.log_in(&json!({"auths": {&host: entry(WRONG)}}));
    refused(&own, &own.pull(&reference), 77).stderr_contains("the name and password that were given");
    let own = Own::plain(&registry);
    let program = own.pull(&reference).env("APPTAINER_DOCKER_USERNAME", Account::TESTER.user);
    refused(&own, &program.env("APPTAINER_DOCKER_PASSWORD", WRONG), 77);
    let own = Own::plain(&registry);
    own.log_in(&json!({"credsStore": "tests"}));
    let path = own.keeper("tests", &host, WRONG);
    refused(&own, &own.pull(&reference).env("PATH", &path), 77);
    // A keeper that says the password and fails, and one that is not there.
    let own = Own::plain(&registry);
    own.log_in(&json!({"credHelpers": {&host: "tests"}}));
    let path = own.keeper("tests", &host, WRONG);
    let keeper = own.0.path().join("keepers/docker-credential-tests");
    fs_err::write(&keeper, format!("#!/bin/sh\necho '{WRONG}'\necho '{WRONG}' >&2\nexit 3\n")).unwrap();
    refused(&own, &own.pull(&reference).env("PATH", &path), 65).stderr_contains("docker-credential-tests");
    fs_err::remove_file(&keeper).unwrap();
    let absent = own.pull(&reference).env("PATH", &path).run().one_sentence();
    assert_ne!(absent.exit, 0, "{absent}");
    absent.stderr_contains("docker-credential-tests");
}

#[test]
fn a_mirror_serves_what_its_registry_does_not() {
    let root = or_skip!(ToolRoot::get());
    or_skip!(converts());
    let (mirror, tree) = stocked(root, None);
    // A registry that is not there at all.
    let declared = format!("{{registry.invalid: {{mirrors: ['http://{}']}}}}", mirror.address);
    let own = Own::declaring(&declared);
    let done = own.pull("registry.invalid/some/small:1").code(0);
    assert!(!done.stderr.contains("the next one is asked"), "{done}");
    own.has(&tree);
    // The image is what it is called, not where it was got.
    let lock = fs_err::read_to_string(own.0.cache().join("site.lock")).unwrap();
    assert!(
        lock.contains("registry.invalid/some/small") && !lock.contains(&mirror.address.to_string()),
        "{lock}"
    );

    // Mirrors that have nothing, and one behind which nobody is: the next one is asked, and at last the registry.
    let empty = Registry::start(root, None);
    let proxy = Proxy::to(mirror.address, Faults::default());
    let declared = format!(
        "{{'{}': {{plain_http: true, mirrors: ['http://{}', 'http://127.0.0.1:1', 'http://{}/proxied']}}}}",
        proxy.address, empty.address, empty.address
    );
    let own = Own::declaring(&declared);
    let done = own.pull(&proxy.reference("some/small:1")).code(0);
    assert!(
        done.stderr.contains(&format!("{} does not give it, the next one is asked", empty.address)),
        "{done}"
    );
    assert!(done.stderr.contains("127.0.0.1:1 does not give it"), "{done}");
    assert!(proxy.received() > 0);
    own.has(&tree);

    // What nobody has is the registry's word.
    let nowhere = own.pull(&proxy.reference("some/other:1")).code(66).one_sentence();
    assert!(nowhere.stderr.contains(&format!("{} has no some/other:1", proxy.address)), "{nowhere}");
}

#[test]
fn the_password_for_a_registry_is_not_told_to_its_mirror() {
    let root = or_skip!(ToolRoot::get());
    or_skip!(converts());
    let (closed, _) = stocked(root, Some(Account::TESTER));
    let own = Own::declaring(&format!("{{registry.invalid: {{mirrors: ['http://{}']}}}}", closed.address));
    let pull = || own.pull("registry.invalid/some/small:1");
    let named = pull()
        .env("APPTAINER_DOCKER_USERNAME", Account::TESTER.user)
        .env("APPTAINER_DOCKER_PASSWORD", Account::TESTER.password)
        .run();
    assert_ne!(named.exit, 0, "{named}");
    // What is kept for the mirror itself opens it.
    own.log_in(&json!({"auths": {closed.address.to_string(): entry(Account::TESTER.password)}}));
    pull().code(0);
}

#[test]
fn a_registry_with_a_certificate_of_the_site_is_believed_where_that_is_declared() {
    let root = or_skip!(ToolRoot::get());
    or_skip!(converts());
    let (place, other) = (place(), place());
    let authority = Authority::new(place.path());
    let registry = filled(Registry::secure(root, &authority));
    let reference = registry.reference("some/small:1");
    let declared = |ca: &Path| format!("{{'{}': {{ca: {}}}}}", registry.address, ca.display());
    let own = Own::declaring(&declared(&authority.certificate()));
    own.pull(&reference).code(0);
    own.has(&expected(&small().layers));

    let host = registry.address.to_string();
    let stranger = Authority::new(other.path());
    for declared in ["{}".to_owned(), declared(&stranger.certificate())] {
        let own = Own::declaring(&declared);
        let refused = own.pull(&reference).code(69).one_sentence();
        let refused = refused.stderr_contains(&format!("{host} is not trusted"));
        assert!(refused.stderr.contains("registries") && refused.stderr.contains("ca"), "{refused}");
    }
    // Plain HTTP to a server that wants TLS, and files that are no authorities.
    let own = Own::declaring(&format!("{{'{host}': {{plain_http: true}}}}"));
    let plain = own.pull(&reference).run().one_sentence();
    assert!(plain.exit != 0 && plain.stderr.contains(&host), "{plain}");
    for (name, content) in
        [("empty.pem", Some("")), ("nonsense.pem", Some("nonsense\n")), ("absent.pem", None)]
    {
        let file = place.path().join(name);
        if let Some(content) = content {
            fs_err::write(&file, content).unwrap();
        }
        let own = Own::declaring(&declared(&file));
        let wrong = own.pull(&reference).run().one_sentence();
        assert!(wrong.exit != 0 && wrong.stderr.contains(name), "{wrong}");
    }
}

#[test]
fn a_registry_that_says_when_to_come_again_is_asked_then() {
    let root = or_skip!(ToolRoot::get());
    or_skip!(converts());
    let (registry, tree) = stocked(root, None);
    let proxy = Proxy::to(registry.address, Faults { busy_every: Some(1), ..Faults::default() });
    let own = Own::declaring(&format!("{{'{}': {{plain_http: true}}}}", proxy.address));
    let reference = proxy.reference("some/small:1");
    // Always busy: it is said who, and it is no fault of the network.
    let limited = own.pull(&reference).code(75).one_sentence();
    assert!(limited.stderr.contains("limits how often it is asked"), "{limited}");
    assert!(limited.stderr.contains("waiting 1 s for 127.0.0.1"), "{limited}");
    // Every other time.
    proxy.set(Faults { busy_every: Some(2), cut_after: Some(3000), ..Faults::default() });
    own.pull(&reference).code(0);
    assert!(proxy.busy() > 0, "{proxy:?}");
    own.has(&tree);
}

#[test]
fn documents_as_docker_wrote_them_are_read_and_the_platform_is_this_machines() {
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    let root = or_skip!(ToolRoot::get());
    or_skip!(converts());
    let registry = Registry::start(root, None);
    let folder = registry.folder();
    let mut layout = Layout::new(&folder.join("layout"));
    let image = |architecture: &str| {
        let layer = Layer(vec![Item::folder("opt"), Item::text("opt/for", architecture)]);
        let config = Config { architecture: architecture.into(), ..Config::default() };
        Image { layers: vec![layer], config }
    };
    let [ours, arm, power] = ["amd64", "arm64", "ppc64le"]
        .map(|architecture| layout.add(architecture, &image(architecture), Packing::Gzip));
    let all = [("ppc64le", &power), ("arm64", &arm), ("amd64", &ours)];
    layout.add_index("all", &all);
    layout.add_index("others", &all[..2]);
    let push =
        |tag: &str, name: &str| registry.push_as_docker(folder, &format!("oci:/srv/layout:{tag}"), name);
    push("amd64", "docker/one:1");
    push("all", "docker/all:1");
    push("others", "docker/others:1");
    registry.push(folder, "oci:/srv/layout:all", "oci/all:1");
    registry.push(folder, "oci:/srv/layout:others", "oci/others:1");
    let kind = |name: &str| registry.manifest(name)["mediaType"].as_str().unwrap().to_owned();
    assert_eq!((kind("docker/one:1").as_str(), kind("docker/all:1").as_str()), (MANIFEST, LIST));

    let tree = expected(&image("amd64").layers);
    for name in ["docker/one:1", "docker/all:1", "oci/all:1"] {
        let own = Own::plain(&registry);
        own.pull(&registry.reference(name)).code(0);
        own.has(&tree);
    }
    for name in ["docker/others:1", "oci/others:1"] {
        let own = Own::plain(&registry);
        let refused = own.pull(&registry.reference(name)).code(66).one_sentence();
        for word in ["linux/amd64", "linux/arm64", "linux/ppc64le"] {
            assert!(refused.stderr.contains(word), "{refused}");
        }
    }
}

//! Images of registries, layouts and archives become SIF files: what is in them is what their layers amount to, whoever made these.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use bf_test_kit::images::{
    Account, Allowed, Comparison, Config, Faults, Hard, Image, ImageTree, Item, Kind, Layer, Layout, Mounted,
    Packing, Proxy, Registry, Served, ToolRoot, expected, features, machine_learning, real_files, small,
};
use bf_test_kit::{Process, Program, Random, Site, or_skip};
use nix::sys::signal::Signal;
use tempfile::TempDir;

const SOMEBODY: u32 = 54_321;

/// The registry with the images of most tests, and what must come of them.
pub(crate) struct Stand {
    root: &'static ToolRoot,
    pub(crate) registry: Registry,
    pub(crate) tree: ImageTree,
}

/// Made once; it ends with the test program. `Err` says why this machine cannot, or that this bf-admin does not.
pub(crate) fn stand() -> Result<&'static Stand, String> {
    static STAND: OnceLock<Result<Stand, String>> = OnceLock::new();
    let made = STAND.get_or_init(|| {
        let root = ToolRoot::get()?;
        converts()?;
        let registry = Registry::start(root, None);
        let folder = registry.folder().to_owned();
        let mut layout = Layout::new(&folder.join("layout"));
        let image = features(Hard { old_sparse: true, ..Hard::default() });
        let gzip = layout.add("gzip", &image, Packing::Gzip);
        layout.add("zstd", &image, Packing::Zstd);
        let other = Config { architecture: "arm64".into(), ..Config::default() };
        let other = layout.add("other", &Image { config: other, ..small() }, Packing::Gzip);
        layout.add_index("index", &[("arm64", &other), ("amd64", &gzip), ("unknown", &other)]);
        for tag in ["gzip", "zstd", "index"] {
            registry.push(&folder, &format!("oci:/srv/layout:{tag}"), &format!("features:{tag}"));
        }
        Ok(Stand { root, registry, tree: expected(&image.layers) })
    });
    made.as_ref().map_err(Clone::clone)
}

/// Whether the program under test makes SIF files itself.
pub(crate) fn converts() -> Result<(), String> {
    let help = Site::new().admin(["image", "pull", "--help"]).code(0);
    let known = help.stdout.contains("--engine");
    known.then_some(()).ok_or_else(|| "this bf-admin does not convert images itself".to_owned())
}

/// A folder below `/var/tmp`, where the tools see it too, and everybody.
pub(crate) fn place() -> TempDir {
    let folder = tempfile::Builder::new().prefix("bft-convert-").tempdir_in("/var/tmp").unwrap();
    fs_err::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// `image pull REF --output FILE` by our own engine, with a folder of its own for the file.
pub(crate) struct Pull {
    site: Site,
    pub(crate) folder: PathBuf,
}

impl Pull {
    pub(crate) fn new() -> Self {
        let site = Site::new();
        let folder = site.path().join("out");
        fs_err::create_dir(&folder).unwrap();
        for open in [&folder, &site.tmp(), &site.user_home()] {
            fs_err::set_permissions(open, PermissionsExt::from_mode(0o777)).unwrap();
        }
        Self { site, folder }
    }

    fn sif(&self) -> PathBuf {
        self.folder.join("image.sif")
    }

    pub(crate) fn of(&self, reference: &str, words: &[&str]) -> Program {
        let sif = self.sif();
        let pull = [
            "image",
            "pull",
            reference,
            "--engine",
            "native",
            "--no-https",
            "--output",
            sif.to_str().unwrap(),
        ];
        self.site.admin(pull.iter().chain(words))
    }

    /// Expects the file to be the image of that tree, and nothing beside it.
    #[track_caller]
    fn is(&self, tree: &ImageTree) {
        Comparison::of_sif(tree, &Mounted::new(&self.sif()).tree(), &Allowed::default()).none();
        assert_eq!(self.left(), ["image.sif"]);
    }

    /// Bytes of layers that an earlier run left beside the file.
    fn kept(&self) -> u64 {
        let layers = self.folder.join(".image.sif.partial/layers");
        // There is none before the first run.
        let entries = fs_err::read_dir(layers).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file);
        files.map(|file| file.len()).sum()
    }

    /// Names in the folder of the file and of temporary files.
    pub(crate) fn left(&self) -> Vec<String> {
        let names = |folder: &Path| {
            let entries = fs_err::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let mut left = [names(&self.folder), names(&self.site.tmp())].concat();
        left.sort();
        left
    }
}

/// The kit itself: what it expects of an image is what others make of it.
#[test]
fn other_tools_make_the_expected_tree_of_the_image_of_features() {
    let root = or_skip!(ToolRoot::get());
    let place = place();
    let image = features(Hard::default());
    let mut layout = Layout::new(&place.path().join("layout"));
    layout.add("gzip", &image, Packing::Gzip);
    let tree = expected(&image.layers);
    // Folders from which markers of upper layers remove something, and those to which Apptainer adds.
    let touched = ["", "links", "srv/opaque-after/deep", "etc"].map(|folder| folder.as_bytes().to_vec());
    let allowed = Allowed { unpacked: true, any_time: touched.to_vec(), ..Allowed::default() };

    let folder = place.path().join("umoci");
    root.program(place.path(), ["umoci", "raw", "unpack", "--image", "/srv/layout:gzip"])
        .args([&folder])
        .code(0);
    let comparison = Comparison::of_sif(&tree, &ImageTree::of(&folder), &allowed);
    comparison.none();
    assert_eq!(comparison.added, [""; 0]);

    let registry = Registry::start(root, None);
    registry.push(place.path(), "oci:/srv/layout:gzip", "features:gzip");
    let sif = place.path().join("apptainer.sif");
    let words = ["build", "--no-https", "--mksquashfs-args", "-comp zstd -Xcompression-level 3"];
    let source = format!("docker://{}", registry.reference("features:gzip"));
    root.apptainer(&place.path().join("work"), place.path(), &words, &sif, &source).code(0);
    let comparison = Comparison::of_sif(&tree, &Mounted::new(&sif).tree(), &allowed);
    comparison.none();
    assert!(comparison.added.len() > 30, "{:?}", comparison.added);
    let unsquashed = root.unsquashed(&sif, &place.path().join("unsquashed"));
    Comparison::of_sif(&tree, &unsquashed, &allowed).none();
    // Apptainer 1.4.5 masks a value twice, so that a shell runs what is between its backticks.
    starts_as_configured(root, &sif, |variable| !variable.contains('`'));

    // The image of the benchmark, smaller.
    let image = machine_learning(&real_files(&root.path().join("usr/lib"), 1 << 20), 100);
    layout.add("learning", &image, Packing::Plain);
    let folder = place.path().join("learning");
    root.program(place.path(), ["umoci", "raw", "unpack", "--image", "/srv/layout:learning"])
        .args([&folder])
        .code(0);
    let tree = expected(&image.layers);
    let allowed = Allowed { any_time: folders(&tree), ..allowed };
    Comparison::of_sif(&tree, &ImageTree::of(&folder), &allowed).none();
}

/// All folders, for those whose times the unpacking changes.
fn folders(tree: &ImageTree) -> Vec<Vec<u8>> {
    let folders = tree.0.iter().filter(|(_, entry)| entry.kind == Kind::Folder);
    folders.map(|(path, _)| path.clone()).collect()
}

/// Expects the environment, as far as it is `wanted`, and the start of `Config::default()` in a SIF, by what a shell makes of its scripts.
fn starts_as_configured(root: &ToolRoot, sif: &Path, wanted: impl Fn(&str) -> bool) {
    let place = place();
    let mounted = Mounted::new(sif);
    for (from, to) in [("env/10-docker2singularity.sh", "environment"), ("runscript", "runscript")] {
        fs_err::copy(mounted.path().join(".singularity.d").join(from), place.path().join(to)).unwrap();
    }
    let lines = |script: &str| {
        let outcome = root.bash(place.path(), script).code(0);
        assert_eq!(outcome.stderr, "");
        outcome.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let environment = "env -i sh -c '. /srv/environment; env -0' | tr '\\0' '\\n'";
    let environment = lines(environment);
    for variable in Config::default().env.iter().filter(|variable| wanted(variable)) {
        assert!(environment.contains(variable), "{variable}: {environment:#?}");
    }
    let start = "mount -t tmpfs tmpfs /opt
        mkdir -p /opt/tool/bin
        printf '#!/bin/sh\\nprintf \"%%s\\\\n\" \"$@\"\\n' >/opt/tool/bin/start
        chmod 755 /opt/tool/bin/start
        sh /srv/runscript";
    assert_eq!(lines(start), ["--flag", "an argument", "it's"]);
    assert_eq!(lines(&format!("{start} one 'two words'")), ["--flag", "one", "two words"]);
}

#[test]
fn images_of_a_registry_become_what_their_layers_amount_to() {
    let stand = or_skip!(stand());
    // Layers, compression of the file, whether root does it.
    for (tag, compression, by_root) in
        [("gzip", "zstd", true), ("zstd", "gzip", false), ("index", "zstd:1", false)]
    {
        let pull = Pull::new();
        let mut program =
            pull.of(&stand.registry.reference(&format!("features:{tag}")), &["--compression", compression]);
        if !by_root {
            program = program.as_user(SOMEBODY);
        }
        program.umask(0o077).code(0);
        pull.is(&stand.tree);
        if tag == "gzip" {
            starts_as_configured(stand.root, &pull.sif(), |_| true);
            let unsquashed = stand.root.unsquashed(&pull.sif(), &pull.site.path().join("unsquashed"));
            Comparison::of_sif(&stand.tree, &unsquashed, &Allowed::default()).none();
        }
    }
}

#[test]
fn the_same_image_is_the_same_file_with_any_number_of_threads() {
    let stand = or_skip!(stand());
    let reference = stand.registry.reference("features:zstd");
    let made = ["1", "2"].map(|threads| {
        let pull = Pull::new();
        pull.of(&reference, &["--threads", threads]).code(0);
        pull
    });
    let [one, two] = made.each_ref().map(|pull| fs_err::read(pull.sif()).unwrap());
    assert!(one == two, "{} and {} bytes", one.len(), two.len());
}

#[test]
fn a_dry_run_fetches_no_layer_and_writes_nothing() {
    let stand = or_skip!(stand());
    let proxy = Proxy::to(stand.registry.address, Faults::default());
    let pull = Pull::new();
    pull.of(&proxy.reference("features:gzip"), &["--dry-run"]).code(0);
    assert!(pull.left().is_empty(), "{:?}", pull.left());
    assert!(proxy.received() < 200_000, "{} bytes", proxy.received());
}

#[test]
fn a_registry_that_wants_a_password_gets_it_and_nobody_sees_it() {
    let root = or_skip!(ToolRoot::get());
    or_skip!(converts());
    let registry = Registry::start(root, Some(Account::TESTER));
    let image = small();
    Layout::new(&registry.folder().join("layout")).add("small", &image, Packing::Gzip);
    registry.push(registry.folder(), "oci:/srv/layout:small", "closed/small:1");
    let reference = registry.reference("closed/small:1");
    let pull = Pull::new();
    let refused = pull.of(&reference, &[]).run();
    assert_ne!(refused.exit, 0, "{refused}");
    refused.one_sentence();
    assert!(pull.left().is_empty(), "{:?}", pull.left());
    let Account { user, password, .. } = Account::TESTER;
    let with = |password: &str| {
        pull.of(&reference, &[])
            .env("APPTAINER_DOCKER_USERNAME", user)
            .env("APPTAINER_DOCKER_PASSWORD", password)
    };
    let wrong = with("another").run();
    assert_ne!(wrong.exit, 0, "{wrong}");
    let done = with(password).code(0);
    assert!(!format!("{done}{wrong}").contains(password), "{done}");
    pull.is(&expected(&image.layers));
}

#[test]
fn layouts_and_archives_are_imported_as_they_are() {
    let stand = or_skip!(stand());
    let place = place();
    // In a layout that nobody else reads: a file of more than 4 GiB.
    let image = features(Hard { huge: true, old_sparse: true });
    let layout = place.path().join("layout");
    Layout::new(&layout).add("latest", &image, Packing::Zstd);
    let folder = stand.registry.folder();
    for (name, source) in [("docker-archive", "gzip"), ("oci-archive", "zstd")] {
        let to = format!(
            "{name}:/var/tmp/{}/{name}.tar:mine:1",
            place.path().file_name().unwrap().to_str().unwrap()
        );
        let from = format!("oci:/srv/layout:{source}");
        stand.root.program(folder, ["skopeo", "copy", "--quiet", "--insecure-policy", &from, &to]).code(0);
    }
    let huge = expected(&image.layers);
    for (name, tree) in
        [("layout", &huge), ("docker-archive.tar", &stand.tree), ("oci-archive.tar", &stand.tree)]
    {
        let site = Site::new();
        let words = ["image", "import", "--as", "mine", "--cache-dir"];
        site.admin(words).args([site.cache(), &place.path().join(name)]).code(0);
        let images =
            fs_err::read_dir(site.cache().join("images")).unwrap().map(|entry| entry.unwrap().path());
        let sifs: Vec<_> = images.filter(|path| path.extension().is_some_and(|kind| kind == "sif")).collect();
        let [sif] = sifs.as_slice() else { panic!("{name}: {sifs:?}") };
        Comparison::of_sif(tree, &Mounted::new(sif).tree(), &Allowed::default()).none();
        site.admin(["status", "--full", "--cache-dir"]).args([site.cache()]).code(0);
        // As for what is pulled: the lock has the level, and nothing has drifted.
        let verify = ["image", "verify", "--full", "--json", "--cache-dir"];
        let report = site.admin(verify).args([site.cache()]).code(0).json();
        assert_eq!(report["images"][0]["compression"], "gzip:7", "{report}");
        // The same again is no other content. What is damaged is made again, without being told to.
        let again = |change: &str| {
            let import = site.admin(words).args([site.cache(), &place.path().join(name)]);
            let report = import.args(["--json"]).code(0).json();
            assert_eq!(report["actions"][0]["action"], change, "{name}: {report}");
        };
        again("keep");
        if name == "docker-archive.tar" {
            // Without a manifest only the file itself says what it was made of.
            continue;
        }
        let stored = fs_err::canonicalize(sif).unwrap();
        let bytes = fs_err::metadata(&stored).unwrap().len();
        let file = fs_err::OpenOptions::new().write(true).truncate(true).open(&stored).unwrap();
        file.set_len(bytes).unwrap();
        again("import");
        site.admin(["status", "--full", "--cache-dir"]).args([site.cache()]).code(0);
        again("keep");
    }
}

/// Images that other builders made: what is in them is what these builders show.
#[test]
fn images_of_other_builders_become_what_these_unpack() {
    let stand = or_skip!(stand());
    let place = place();
    let here = place.path();
    let umoci = here.join("umoci");
    stand.root.bash(here, UMOCI).code(0);
    stand.registry.push(here, "oci:/srv/built:two", "built/umoci:1");
    stand
        .root
        .bash(here, BUILDAH)
        .env("TO", stand.registry.reference("built/buildah:1"))
        .limit(Duration::from_mins(2))
        .code(0);
    for (name, folder) in [("umoci", umoci), ("buildah", here.join("buildah"))] {
        let tree = ImageTree::of(&folder);
        assert!(tree.0.len() > 20, "{name}: {}", tree.0.len());
        let pull = Pull::new();
        pull.of(&stand.registry.reference(&format!("built/{name}:1")), &[]).code(0);
        // Both touch folders while they unpack.
        let any_time = folders(&tree);
        // The root itself no layer names.
        let allowed = Allowed { any_time, anything: vec![Vec::new()], ..Allowed::default() };
        Comparison::of_sif(&tree, &Mounted::new(&pull.sif()).tree(), &allowed).none();
    }
}

/// Two layers: a new tree, and one that changes and removes.
const UMOCI: &str = r"
cd /srv
umoci init --layout built
umoci new --image built:one
umoci unpack --image built:one bundle
cd bundle/rootfs
mkdir -p etc usr/bin data/deep
for n in $(seq 30); do echo $n >data/file$n; done
ln data/file1 data/link1
ln -s file2 data/soft
cp /usr/bin/stat usr/bin/stat
setcap cap_net_raw+ep usr/bin/stat
setfattr -n user.note -v text data/file3
mknod data/null c 1 3
chmod 4711 data/file4
chown 7:8 data/file5
truncate -s 5M data/sparse
cd /srv
umoci repack --image built:one bundle
umoci unpack --image built:one second
cd second/rootfs
rm data/file6 data/file1
rm -r data/deep
mv data/file7 data/moved
echo changed >data/file8
cd /srv
umoci repack --image built:two second
mkdir inserted
echo new >inserted/inside
umoci insert --image built:two --rootless inserted /data/inserted
umoci raw unpack --image built:two umoci
";

/// Three layers, and what buildah mounts of them.
const BUILDAH: &str = r#"
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
cd /srv
options="--root /srv/storage --runroot /run/storage"
mkdir -p tree/sub
for n in $(seq 30); do echo $n >tree/sub/f$n; done
ln tree/sub/f1 tree/sub/hard
chmod 2755 tree/sub
container=$(buildah $options from scratch)
buildah $options copy -q "$container" tree /data
buildah $options config --env 'A=`b`' --entrypoint '["/data/run"]' --label l=v "$container"
buildah $options commit -q "$container" first
buildah $options rm -a >/dev/null
container=$(buildah $options from first)
at=$(buildah $options mount "$container")
rm -r "$at/data/sub/f2"
echo changed >"$at/data/sub/f3"
rm "$at/data/sub/f4"
mkdir "$at/data/sub/f4"
mknod "$at/data/pipe" p
setfattr -n user.note -v v "$at/data/sub/f5"
buildah $options commit -q "$container" second
buildah $options rm -a >/dev/null
container=$(buildah $options from second)
buildah $options add -q "$container" tree/sub/f9 /data/sub/f4/added
buildah $options commit -q "$container" "$TO"
buildah $options push -q --tls-verify=false "$TO"
buildah $options rm -a >/dev/null
container=$(buildah $options from "$TO")
cp -a "$(buildah $options mount "$container")" /srv/buildah
"#;

#[test]
fn connections_that_break_are_taken_up_where_they_were() {
    let stand = or_skip!(stand());
    let whole = bytes_of(stand, "features:gzip");
    let faults =
        Faults { cut_after: Some(whole / 5), cuts: Some(4), busy_every: Some(3), ..Faults::default() };
    let proxy = Proxy::to(stand.registry.address, faults);
    let pull = Pull::new();
    pull.of(&proxy.reference("features:gzip"), &[]).code(0);
    pull.is(&stand.tree);
    assert!(proxy.cuts() >= 2 && proxy.busy() >= 1, "{proxy:?}");
    assert!(proxy.received() < whole + whole / 10, "{} bytes for {whole}", proxy.received());
}

#[test]
fn what_was_fetched_before_a_kill_is_not_fetched_again() {
    const KILLS: usize = 10;
    // Beside the layers: the configuration, manifests, and the headers of all answers.
    const ASIDE: u64 = 100_000;
    let stand = or_skip!(stand());
    let whole = bytes_of(stand, "features:gzip");
    let mut random = Random::new();
    let proxy = Proxy::to(stand.registry.address, Faults { rate: Some(60_000_000), ..Faults::default() });
    let reference = proxy.reference("features:gzip");
    let (mut killed, mut resumed, mut pull) = (0, 0, Pull::new());
    for _ in 0..60 {
        if killed == KILLS && resumed > 0 {
            break;
        }
        let (kept, passed) = (pull.kept(), proxy.received());
        let mut child = pull.of(&reference, &[]).spawn();
        let process = Process::now(i32::try_from(child.id()).unwrap()).unwrap();
        std::thread::sleep(random.below(Duration::from_millis(700)));
        let alive = child.try_wait().unwrap().is_none();
        process.signal(Signal::SIGKILL);
        child.wait().unwrap();
        killed += usize::from(alive);
        // What is on its way to a process that is killed is lost; what the file had is not asked for again.
        let received = proxy.received() - passed;
        assert!(received + kept <= whole + ASIDE, "{received} bytes where {kept} of {whole} were there");
        resumed += usize::from(kept > 0);
        // It may have been killed when all was done, and what it was made in was still to be removed.
        if pull.sif().exists() {
            pull.of(&reference, &[]).code(0);
            pull.is(&stand.tree);
            pull = Pull::new();
        }
    }
    assert!(killed >= KILLS && resumed > 0, "it is never caught at work: {killed} times, {resumed} resumed");
    let (kept, passed) = (pull.kept(), proxy.received());
    pull.of(&reference, &[]).code(0);
    pull.is(&stand.tree);
    let received = proxy.received() - passed;
    assert!(received + kept <= whole + ASIDE, "{received} bytes where {kept} of {whole} were there");
}

/// Bytes of all blobs of an image, as the registry has it.
pub(crate) fn bytes_of(stand: &Stand, name: &str) -> u64 {
    let manifest = stand.registry.manifest(name);
    let mut sizes = BTreeMap::new();
    for layer in manifest["layers"].as_array().unwrap() {
        sizes.insert(layer["digest"].to_string(), layer["size"].as_u64().unwrap());
    }
    sizes.values().sum()
}

#[test]
fn a_folder_of_a_hundred_thousand_entries_is_an_image_like_others() {
    or_skip!(converts());
    or_skip!(ToolRoot::get());
    let place = place();
    let items = (0..100_000).map(|number| Item::text(format!("many/entry-{number}"), ""));
    let layers = vec![Layer(std::iter::once(Item::folder("many")).chain(items).collect())];
    let mut layout = Layout::new(&place.path().join("layout"));
    let tree = expected(&layers);
    layout.add("x", &Image { layers, config: Config::default() }, Packing::Gzip);
    let pull = Pull::new();
    let served = Served::start(layout.path(), BTreeMap::new());
    bounded(&pull.of(&served.reference("hostile/image:x"), &[])).code(0);
    pull.is(&tree);
}

/// With a bound on its memory, addresses that are only kept included.
pub(crate) fn bounded(program: &Program) -> Program {
    program.clone().address_space(2 << 30)
}

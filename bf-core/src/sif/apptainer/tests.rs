use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::sif::testing::facts;
use crate::sif::{Facts, RunConfig};
use crate::squashfs::{Content, Inode, InodeId, Kind, Meta, Tree};

/// A tree, and the files that were stored for it.
struct Image {
    tree: Tree,
    files: Vec<Vec<u8>>,
}

impl Image {
    fn new() -> Self {
        let tree = Tree::new(Meta { mode: 0o755, ..Meta::default() });
        Self { tree, files: vec![b"the image's own".to_vec()] }
    }

    fn put(&mut self, path: &str, kind: Kind) -> InodeId {
        let meta = Meta { mode: 0o700, uid: 1000, gid: 1000, ..Meta::default() };
        let id = self.tree.add(Inode { meta, kind }).unwrap();
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.find(parent).unwrap();
        assert!(self.tree.link(parent, name, id));
        id
    }

    fn folder(&mut self, path: &str) -> InodeId {
        self.put(path, Kind::Directory(std::collections::BTreeMap::new()))
    }

    fn file(&mut self, path: &str) -> InodeId {
        self.put(path, Kind::File(Content::numbered(0)))
    }

    fn link(&mut self, path: &str, target: &str) -> InodeId {
        self.put(path, Kind::Symlink(target.into()))
    }

    fn find(&self, path: &str) -> Option<InodeId> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.into_iter().try_fold(self.tree.root(), |id, part| self.tree.child(id, part.as_bytes()))
    }

    fn inode(&self, path: &str) -> &Inode {
        self.tree.inode(self.find(path).unwrap_or_else(|| panic!("{path}")))
    }

    fn text(&self, path: &str) -> String {
        match &self.inode(path).kind {
            Kind::File(content) => {
                let place = (0..self.files.len())
                    .find(|at| Content::numbered(u32::try_from(*at).unwrap()) == *content);
                String::from_utf8(self.files[place.unwrap()].clone()).unwrap()
            }
            other => panic!("{path}: {other:?}"),
        }
    }

    fn install(&mut self, facts: &Facts) -> Result<(), RootError<Infallible>> {
        let Self { tree, files } = self;
        install(tree, facts, &mut |bytes| {
            files.push(bytes.to_vec());
            Ok(Content::numbered(u32::try_from(files.len() - 1).unwrap()))
        })
    }
}

/// Everything below a folder: path, mode, what it is.
fn shown(image: &Image, id: InodeId, path: &str, text: &mut String) {
    let inode = image.tree.inode(id);
    let kind = match &inode.kind {
        Kind::Directory(_) => "folder".to_owned(),
        Kind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
        _ => format!("file\n{}", image.text(path)),
    };
    writeln!(text, "=== {path} {:04o} {kind}", inode.meta.mode).unwrap();
    if let Kind::Directory(entries) = &inode.kind {
        for (name, id) in entries {
            shown(image, *id, &format!("{path}/{}", String::from_utf8_lossy(name)), text);
        }
    }
}

// Compares with a file of `tests/fixtures`, which people have read.
#[test]
fn an_empty_image_gets_what_is_written_down() {
    let mut image = Image::new();
    image.install(&facts()).unwrap();
    let mut text = String::new();
    shown(&image, image.tree.root(), "", &mut text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/sif/apptainer.txt");
    if std::env::var_os("BF_BLESS").is_some() {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, &text).unwrap();
    }
    let golden = fs_err::read_to_string(&path).unwrap();
    assert_eq!(text, golden, "{} is different (BF_BLESS=1 writes it anew)", path.display());
    let meta = &image.inode(".singularity.d/env/99-base.sh").meta;
    assert_eq!((meta.uid, meta.gid, meta.mtime), (0, 0, 1_795_457_810));
}

#[test]
fn what_an_image_has_in_these_places_does_no_harm() {
    let mut image = Image::new();
    // A link must not lead writes to somewhere else, and a file is in the way.
    image.folder("usr");
    image.folder("usr/etc");
    image.link("etc", "/usr/../../usr/etc/.");
    image.link(".singularity.d", "usr/etc");
    image.file("usr/etc/shadow");
    image.link("usr/etc/resolv.conf", "shadow");
    let hosts = image.folder("usr/etc/hosts");
    image.file("usr/etc/hosts/x");
    image.link("tmp", "var/tmp/of/../here");
    image.file("environment");
    image.install(&facts()).unwrap();
    assert_eq!(
        (image.text("usr/etc/hosts"), image.text("usr/etc/resolv.conf")),
        (String::new(), String::new())
    );
    assert_eq!(image.text("usr/etc/shadow"), "the image's own");
    assert_eq!(image.tree.child(hosts, b"x").map(|id| image.tree.inode(id).meta.uid), Some(1000));
    assert!(image.tree.child(image.find("usr/etc").unwrap(), b"runscript").is_none());
    assert!(image.text(".singularity.d/runscript").starts_with("#!/bin/sh\n"));
    // The end of a link that led to nothing.
    assert!(matches!(image.inode("var/tmp/here").kind, Kind::Directory(_)));
    assert_eq!(image.text("environment"), "the image's own");
}

#[test]
fn an_image_that_apptainer_made_keeps_what_was_added_to_it() {
    let mut image = Image::new();
    image.folder(".singularity.d");
    image.folder(".singularity.d/env");
    image.file(".singularity.d/env/91-environment.sh");
    image.file(".singularity.d/env/99-base.sh");
    image.file(".singularity.d/actions");
    image.link(".singularity.d/runscript", "/bin/sh");
    image.folder("tmp");
    image.install(&facts()).unwrap();
    assert_eq!(image.text(".singularity.d/env/91-environment.sh"), "the image's own");
    assert!(image.text(".singularity.d/env/99-base.sh").contains("LD_LIBRARY_PATH"));
    assert!(image.text(".singularity.d/actions/run").contains("runscript"));
    assert!(image.text(".singularity.d/runscript").contains("it'\"'\"'s"));
    // Apptainer's folder can be read by everybody; the image's own folders are as they were.
    assert_eq!((image.inode(".singularity.d/env").meta.mode, image.inode("tmp").meta.mode), (0o755, 0o700));
    // Once more changes nothing.
    let (mut first, mut second) = (String::new(), String::new());
    shown(&image, image.tree.root(), "", &mut first);
    image.install(&facts()).unwrap();
    shown(&image, image.tree.root(), "", &mut second);
    assert_eq!(first, second);
}

#[test]
fn what_can_be_no_folder_is_an_error() {
    for target in ["proc", "/proc", "a/b", "../proc"] {
        let mut image = Image::new();
        image.link("proc", target);
        image.file("a");
        let error = image.install(&facts()).unwrap_err();
        assert_eq!(error.to_string(), "/proc of the image must be a folder, and it is none");
    }
    let mut image = Image::new();
    image.file("home");
    assert!(image.install(&facts()).is_err());
    let run = RunConfig { env: vec!["A=b\0c".into()], ..RunConfig::default() };
    let error = Image::new().install(&Facts { run, ..facts() }).unwrap_err();
    assert!(error.to_string().ends_with("NUL byte in its ENV"), "{error}");
}

/// The shells of this machine.
fn shells() -> Vec<PathBuf> {
    ["/bin/sh", "/bin/bash", "/bin/dash"]
        .map(PathBuf::from)
        .into_iter()
        .filter(|path| path.exists())
        .collect()
}

/// What a program sees that a shell starts after it has read this script.
fn seen(shell: &Path, script: &str, before: &[(&str, &str)]) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("script"), script).unwrap();
    let output = Command::new(shell)
        .args(["-euc", ". \"$0\"; exec /usr/bin/env -0"])
        .arg(dir.path().join("script"))
        .env_clear()
        .envs(before.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", shell.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let entries = text.split_terminator('\0').map(|entry| entry.split_once('=').unwrap());
    entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn programs_see_the_variables_that_the_image_sets() {
    let values = [
        ("TICK", "a`id`b"),
        ("DOLLAR", "$HOME ${PLAIN} $(id) $"),
        ("QUOTES", "'\"\\'\"'"),
        ("LINES", "\na\n\nb\\\nc\n"),
        ("RETURNS", "a\r\nb\r"),
        ("EQUAL", "a=b="),
        ("EMPTY", ""),
        ("SPACES", "  a\tb  "),
        ("STARS", "* ? [a] ~ #x !y %s {a,b}"),
        ("UNICODE", "äö€\u{2028}\u{7f}\u{1}"),
        ("PLAIN", "v"),
        ("_a1", "x"),
        ("PATH", "/a b:$HOME/bin"),
    ];
    let mut env: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    env.extend(["1A=x", "a-b=x", "a.b=x", "=x", "a b=x", "f()=x", "x;id=y", "ALONE"].map(str::to_owned));
    for shell in shells() {
        let found = seen(&shell, &environment::script(&env), &[]);
        for (name, value) in values.into_iter().chain([("ALONE", "")]) {
            assert!(found.contains(&(name.into(), value.into())), "{} {name}: {found:?}", shell.display());
        }
        let own = ["PWD", "SHLVL", "_", "OLDPWD"];
        assert_eq!(found.iter().filter(|(name, _)| !own.contains(&name.as_str())).count(), values.len() + 1);
        // What has a value keeps it; PATH does not, and UID, which is read-only in bash, is not assigned to.
        let before = [("PLAIN", "mine"), ("PATH", "/host"), ("EMPTY", "")];
        let env = ["PLAIN=v", "PATH=/image", "EMPTY=e"].map(str::to_owned);
        let found = seen(&shell, &environment::script(&env), &before);
        for (name, value) in [("PLAIN", "mine"), ("PATH", "/image"), ("EMPTY", "e")] {
            assert!(found.contains(&(name.into(), value.into())), "{name}: {found:?}");
        }
        let found = seen(&shell, &environment::script(&["UID=7".into(), "LAST=1".into()]), &[]);
        assert!(found.contains(&("LAST".into(), "1".into())), "{found:?}");
    }
}

/// What the program of this ENTRYPOINT and CMD is given, when the script is started with these arguments; its exit code.
fn given(
    shell: &Path,
    run: &RunConfig,
    arguments: &[&str],
    before: &[(&str, &str)],
) -> (Option<i32>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("it's a program"), "#!/bin/sh\nprintf '%s\\0' \"$@\"\nexit 7\n").unwrap();
    let program = dir.path().join("it's a program");
    fs_err::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let place = |word: &String| word.replace("PROGRAM", program.to_str().unwrap());
    let run = RunConfig {
        entrypoint: run.entrypoint.iter().map(place).collect(),
        cmd: run.cmd.iter().map(place).collect(),
        ..run.clone()
    };
    fs_err::write(dir.path().join("runscript"), runscript(&run)).unwrap();
    let output = Command::new(shell)
        .arg(dir.path().join("runscript"))
        .args(arguments.iter().map(|word| place(&(*word).to_owned())))
        .env_clear()
        .env("X", "a  b")
        .env("PATH", OsStr::new("/usr/bin:/bin"))
        .envs(before.iter().copied())
        .output()
        .unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), words.split_terminator('\0').map(str::to_owned).collect())
}

const ODD: [&str; 16] = [
    "",
    "a b",
    "it's",
    "d\"q",
    "-n",
    "--",
    "$X",
    "`id`",
    "$(id)",
    "\\",
    "\\\"",
    "*",
    "a\nb",
    "a\r\nb",
    "{\"a\": \"b\\\"c\"}",
    "~",
];

fn run(entrypoint: &[&str], cmd: &[&str]) -> RunConfig {
    let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    RunConfig { entrypoint: text(entrypoint), cmd: text(cmd), ..RunConfig::default() }
}

#[test]
fn programs_get_the_words_of_entrypoint_and_cmd() {
    let odd: Vec<&str> = ["PROGRAM"].into_iter().chain(ODD).collect();
    for shell in shells() {
        let none: [&str; 0] = [];
        let all = |more: &[&str]| ODD.iter().chain(more).map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(given(&shell, &run(&odd, &[]), &none, &[]), (Some(7), all(&[])));
        assert_eq!(given(&shell, &run(&[], &odd), &none, &[]), (Some(7), all(&[])));
        assert_eq!(given(&shell, &run(&odd, &["c", "", "$X"]), &none, &[]), (Some(7), all(&["c", "", "$X"])));
        // Arguments take the place of CMD.
        assert_eq!(given(&shell, &run(&odd, &["c"]), &["d", ""], &[]), (Some(7), all(&["d", ""])));
        let (code, words) = given(&shell, &run(&[], &["c"]), &["PROGRAM", "d"], &[]);
        assert_eq!((code, words), (Some(7), vec!["d".to_owned()]));
        assert_eq!(given(&shell, &run(&[], &[]), &none, &[]), (Some(125), Vec::new()));
    }
}

#[test]
fn arguments_are_evaluated_only_where_they_ask_for_it() {
    for shell in shells() {
        let image = run(&["PROGRAM"], &["c"]);
        let literal: Vec<&str> = ODD.into_iter().filter(|word| !word.contains(['$', '`'])).collect();
        assert_eq!(
            given(&shell, &image, &literal, &[]),
            (Some(7), literal.iter().map(|&word| word.into()).collect())
        );
        let many: Vec<String> = (0..25).map(|number| format!("{number}$X")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let expected: Vec<String> = (0..25).map(|number| format!("{number}a  b")).collect();
        assert_eq!(given(&shell, &image, &many, &[]), (Some(7), expected));
        let (_, words) = given(&shell, &image, &["-$X", "`echo t`", "$(echo \"u  v\")", "\\$X"], &[]);
        assert_eq!(words, ["-a  b", "t", "u  v", "$X"]);
        // With --no-eval, all arrive as they are.
        for name in ["SINGULARITY_NO_EVAL", "APPTAINER_NO_EVAL"] {
            let (_, words) = given(&shell, &image, &ODD, &[(name, "1")]);
            assert_eq!(words, ODD);
        }
    }
}

#[test]
fn apptainer_knows_the_script_by_one_line() {
    let text = runscript(&run(&["a"], &["b"]));
    assert_eq!(text.lines().filter(|line| *line == "eval \"set ${SINGULARITY_OCI_RUN}\"").count(), 1);
}

#[test]
fn the_other_scripts_set_paths_and_run_in_every_shell() {
    for shell in shells() {
        let found = seen(&shell, scripts::LIBRARIES, &[]);
        assert!(found.contains(&("LD_LIBRARY_PATH".into(), "/.singularity.d/libs".into())));
        // dash has a prompt of its own from the beginning.
        assert!(found.iter().any(|(name, value)| name == "PS1" && !value.is_empty()));
        let found = seen(&shell, scripts::LIBRARIES, &[("LD_LIBRARY_PATH", "/a b"), ("PS1", "x ")]);
        assert!(found.contains(&("LD_LIBRARY_PATH".into(), "/a b:/.singularity.d/libs".into())));
        let path = |before: &[(&str, &str)]| {
            let found = seen(&shell, scripts::RUNTIME, before);
            assert!(!found.iter().any(|(name, _)| name.starts_with("SING_")));
            found.into_iter().find(|(name, _)| name == "PATH").unwrap().1
        };
        let (first, last) =
            (("SING_USER_DEFINED_PREPEND_PATH", "/p q"), ("SING_USER_DEFINED_APPEND_PATH", "/z"));
        assert_eq!(path(&[("PATH", "/a"), first, last]), "/p q:/a:/z");
        assert_eq!(path(&[("PATH", "/a"), first, ("SING_USER_DEFINED_PATH", "/only")]), "/only");
        for text in scripts::actions().map(|(_, text)| text).iter().map(String::as_str).chain([scripts::APPS])
        {
            let dir = tempfile::tempdir().unwrap();
            fs_err::write(dir.path().join("x"), text).unwrap();
            let status = Command::new(&shell).arg("-n").arg(dir.path().join("x")).status().unwrap();
            assert!(status.success(), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_value_is_read_as_anything_else(value in "[^\0]{0,12}", word in "['\"\\\\$`\r\n a!*]{0,10}") {
        for value in [value, word] {
            let found = seen(Path::new("/bin/sh"), &environment::script(&[format!("V={value}")]), &[]);
            prop_assert!(found.contains(&("V".into(), value.clone())), "{value:?}: {found:?}");
        }
    }
}

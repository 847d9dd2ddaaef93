//! The journal against kills, and against those who would have their lines believed.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn cache() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(fs_err::canonicalize(dir.path()).unwrap());
    (dir, layout)
}

fn verified(inode: u64) -> Verified {
    let file = Stamp { device: 1, inode, bytes: 3, modified: (5, 6), changed: (7, 8) };
    Verified { file, sha256: "a".repeat(64) }
}

/// Opens, notes these, and is killed.
fn interrupted(layout: &Layout, inodes: &[u64]) -> usize {
    let (journal, known) = Journal::open(layout).unwrap();
    for inode in inodes {
        journal.note(&verified(*inode));
    }
    known.len()
}

fn known(layout: &Layout) -> Vec<u64> {
    Journal::open(layout).unwrap().1.iter().map(|line| line.file.inode).collect()
}

#[test]
fn what_was_noted_is_known_until_a_check_ends() {
    let (_dir, layout) = cache();
    assert_eq!(interrupted(&layout, &[1, 2]), 0);
    assert_eq!(interrupted(&layout, &[3]), 2);
    let path = layout.verify().join("journal");
    let mode = |path: &Path| fs_err::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&layout.verify()), mode(&path)), (0o700, 0o600));
    let (journal, all) = Journal::open(&layout).unwrap();
    assert_eq!(all, BTreeSet::from([1, 2, 3].map(verified)));
    journal.finish().unwrap();
    assert!(!layout.verify().exists());
}

#[test]
fn a_torn_line_costs_that_line_only_and_garbage_is_passed_over() {
    let (_dir, layout) = cache();
    interrupted(&layout, &[1, 2]);
    let path = layout.verify().join("journal");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, &text[..text.len() - 20]).unwrap();
    assert_eq!(interrupted(&layout, &[3]), 1);
    assert_eq!(known(&layout), [1, 3]);
    let mut bytes = fs_err::read(&path).unwrap();
    bytes.extend(b"\0\0\0\n{\"file\": 1}\n[[[[[[[[[\n\xff\xfe\n");
    bytes.extend(serde_json::to_string(&Verified { sha256: "../x".into(), ..verified(9) }).unwrap().bytes());
    fs_err::write(&path, bytes).unwrap();
    assert_eq!(known(&layout), [1, 3]);
}

#[test]
fn what_somebody_else_could_have_written_is_not_believed() {
    let (dir, layout) = cache();
    let path = layout.verify().join("journal");
    let mode = |path: &Path, mode| fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    // For others to write, a second name of another file, a link, a pipe, another format, too long, too old: a new one is begun.
    let elsewhere = dir.path().join("elsewhere");
    let spoil: [&dyn Fn(); 7] = [
        &|| mode(&path, 0o620),
        &|| fs_err::hard_link(&path, &elsewhere).unwrap(),
        &|| {
            fs_err::rename(&path, &elsewhere).unwrap();
            fs_err::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        },
        &|| {
            fs_err::remove_file(&path).unwrap();
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        },
        &|| {
            let text = fs_err::read_to_string(&path).unwrap();
            fs_err::write(&path, text.replace("\"schema\":1", "\"schema\":2")).unwrap();
        },
        &|| fs_err::OpenOptions::new().write(true).open(&path).unwrap().set_len(MOST + 1).unwrap(),
        &|| {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(169)).unwrap();
        },
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        interrupted(&layout, &[1]);
        assert_eq!(known(&layout), [1], "{number}");
        spoil();
        assert_eq!(known(&layout), [0; 0], "{number}");
        let _ = fs_err::remove_file(&elsewhere);
    }
    if geteuid().is_root() {
        interrupted(&layout, &[1]);
        fs_err::os::unix::fs::lchown(&path, Some(54_321), None).unwrap();
        assert_eq!(known(&layout), [0; 0]);
    }
    // A folder that others can write to is used by nobody.
    mode(&layout.verify(), 0o770);
    assert!(Journal::open(&layout).is_none());
    fs_err::remove_dir_all(layout.verify()).unwrap();
    fs_err::os::unix::fs::symlink(dir.path(), layout.verify()).unwrap();
    assert!(Journal::open(&layout).is_none());
}

#[test]
fn what_was_changed_just_now_is_read_again() {
    let (_dir, layout) = cache();
    let (journal, _) = Journal::open(&layout).unwrap();
    let mut fresh = verified(1);
    fresh.file.changed.0 = journal.since - 1;
    journal.note(&fresh);
    fresh.file.changed.0 = journal.since - TICK - 1;
    fresh.file.inode = 2;
    journal.note(&fresh);
    assert_eq!(known(&layout), [2]);
}

#[test]
fn who_may_not_write_there_has_none() {
    let (_dir, layout) = cache();
    if !geteuid().is_root() {
        fs_err::set_permissions(layout.root(), PermissionsExt::from_mode(0o555)).unwrap();
        assert!(Journal::open(&layout).is_none());
    }
    assert!(Journal::open(&Layout::new(layout.root().join("none"))).is_none());
}

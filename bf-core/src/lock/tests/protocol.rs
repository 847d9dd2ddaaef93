//! Claims: who gets one, and what is left.

use std::sync::{Arc, Barrier};

use nix::errno::Errno;

use super::super::folder::Folder;
use super::super::record::{Record, SIZE};
use super::*;
use crate::report::{Exit, Explain};

#[test]
fn the_second_writer_is_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let first = SiteGuard::take(&layout).unwrap();
    first.check().unwrap();
    let error = SiteGuard::take(&layout).unwrap_err();
    let text = error.to_string();
    for part in [&std::process::id().to_string(), &crate::host::user(), &crate::host::name()] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!((error.exit(), error.code()), (Exit::Busy, "busy"));
    drop(first);
    let second = SiteGuard::take(&layout).unwrap();
    second.check().unwrap();
    assert_eq!(names(&layout), ["site.2"], "older claims and what was made on the way are removed");
}

#[test]
fn a_claim_can_be_read_by_people_and_has_one_length() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let guard = SiteGuard::take(&layout).unwrap();
    let read = || fs_err::read(layout.locks().join("site.1")).unwrap();
    let held: serde_json::Value = serde_json::from_slice(&read()).unwrap();
    assert_eq!(
        (&held["schema"], &held["generation"], &held["released"]),
        (&1.into(), &1.into(), &false.into())
    );
    assert_eq!(held["owner"]["pid"], std::process::id());
    drop(guard);
    let free: serde_json::Value = serde_json::from_slice(&read()).unwrap();
    assert_eq!(free["released"], true);
    assert_eq!(read().len(), SIZE);
    assert!(read().ends_with(b" \n"));
}

#[test]
fn of_many_takers_one_gets_it() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(dir.path());
        let barrier = Arc::new(Barrier::new(8));
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let (layout, barrier) = (layout.clone(), Arc::clone(&barrier));
                std::thread::spawn(move || {
                    barrier.wait();
                    let guard = now(&layout, &on("a"), Times::REAL);
                    barrier.wait(); // until all have tried
                    guard.is_ok()
                })
            })
            .collect();
        let got = takers.into_iter().filter_map(|taker| taker.join().unwrap().then_some(())).count();
        assert_eq!(got, 1);
    }
}

#[test]
fn a_link_whose_answer_was_lost_is_ours_and_a_taken_name_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    // Made, and then the server was asked again, or could not be.
    for (generation, lost) in [(1, "the name is taken"), (2, "no answer")] {
        let mut folder = Folder::of(&layout).unwrap();
        folder.link = match generation {
            1 => |from, to| std::fs::hard_link(from, to).and(Err(Errno::EEXIST.into())),
            _ => |from, to| std::fs::hard_link(from, to).and(Err(Errno::ETIMEDOUT.into())),
        };
        let record = Record::new(generation, on("a")).unwrap();
        assert!(folder.claim(&record).unwrap(), "{lost}");
        assert_eq!(folder.read(generation).unwrap().unwrap().record, Some(record));
        folder.link = |from, to| std::fs::hard_link(from, to);
        assert!(!folder.claim(&Record::new(generation, on("b")).unwrap()).unwrap());
        folder.link = |_, _| Err(Errno::EIO.into());
        assert!(folder.claim(&Record::new(generation, on("b")).unwrap()).is_err());
    }
    assert_eq!(names(&layout), ["site.1", "site.2"]);
}

#[test]
fn without_hard_links_the_name_is_made_exclusively() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let mut folder = Folder::of(&layout).unwrap();
    folder.link = |_, _| Err(Errno::EPERM.into());
    let guard = take::claim(&layout, &folder, 1, &on("a"), QUICK).unwrap().unwrap();
    guard.check().unwrap();
    assert!(take::claim(&layout, &folder, 1, &on("b"), QUICK).unwrap().is_none());
    guard.check().unwrap();
    drop(guard);
    take::claim(&layout, &folder, 2, &on("b"), QUICK).unwrap().unwrap().check().unwrap();
    assert_eq!(names(&layout), ["site.2"]);
}

#[test]
fn who_comes_late_with_an_old_number_withdraws() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let folder = Folder::of(&layout).unwrap();
    // He saw generation 1 free and was paused; others had 2 and 3, and 1 and 2 were removed.
    for _ in 0..2 {
        drop(now(&layout, &on("b"), QUICK).unwrap());
    }
    let third = now(&layout, &on("b"), QUICK).unwrap();
    assert_eq!(names(&layout), ["site.3"]);
    let late = take::claim(&layout, &folder, 2, &on("a"), QUICK).unwrap();
    assert!(late.is_none());
    assert_eq!(names(&layout), ["site.3"]);
    third.check().unwrap();
}

#[test]
fn what_a_killed_taker_left_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let folder = Folder::of(&layout).unwrap();
    // Killed before the link, while asking for the time; and an older version's file.
    for name in [".00ff.new", ".00ff.now", "site", "site.x"] {
        fs_err::write(layout.locks().join(name), "half").unwrap();
    }
    assert_eq!(folder.newest().unwrap(), None);
    let guard = now(&layout, &on("a"), QUICK).unwrap();
    // Young ones may be somebody's; those older than a lease are nobody's.
    assert!(names(&layout).contains(&".00ff.new".to_owned()));
    drop(guard);
    std::thread::sleep(QUICK.lease * 2);
    let _guard = now(&layout, &on("a"), QUICK).unwrap();
    assert_eq!(names(&layout), ["site", "site.2", "site.x"]);
}

#[test]
fn who_waits_gets_it_when_it_is_free_or_is_told_that_it_took_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let first = now(&layout, &on("a"), QUICK).unwrap();
    let (refused, told) = waiting(&layout, &on("b"), PATIENT, Patience::AtMost(Duration::from_millis(50)));
    let error = refused.unwrap_err();
    assert!(matches!(error, LockError::Busy { waited: Some(_), .. }), "{error:?}");
    assert!(error.to_string().contains("of waiting"), "{error}");
    assert!(matches!(told.as_slice(), [Notice::Held(Some(owner))] if owner.host == "a"), "{told:?}");
    let ended = std::thread::spawn(move || {
        std::thread::sleep(QUICK.lease * 3); // longer than a lease: it lives
        drop(first);
    });
    let (guard, told) = waiting(&layout, &on("b"), PATIENT, Patience::Endless);
    guard.unwrap().check().unwrap();
    assert!(!told.iter().any(|notice| matches!(notice, Notice::TakenOver(_))), "{told:?}");
    ended.join().unwrap();
}

#[test]
fn what_has_the_name_of_a_claim_and_is_none_is_told_or_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    fs_err::create_dir(layout.locks()).unwrap();
    for name in ["site.18446744073709551615", "site.18446744073709551614", "site.007", "site.+9"] {
        fs_err::write(layout.locks().join(name), "").unwrap();
    }
    drop(SiteGuard::take(&layout).unwrap());
    assert!(layout.locks().join("site.1").exists());
    for make in [
        |path: &Path| fs_err::create_dir(path).unwrap(),
        |path: &Path| {
            fs_err::remove_dir(path).unwrap();
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        },
    ] {
        make(&layout.locks().join("site.9"));
        let failure = crate::report::Failure::from(SiteGuard::take(&layout).unwrap_err());
        assert_eq!(failure.exit, Exit::Invalid);
        assert!(failure.message.contains("site.9 is a") && failure.hint.is_some(), "{failure}");
    }
}

#[test]
fn a_lock_whose_folder_is_gone_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let guard = SiteGuard::take(&layout).unwrap();
    fs_err::remove_dir_all(layout.locks()).unwrap();
    assert!(matches!(guard.check(), Err(LockError::Lost { by: None, .. })));
}

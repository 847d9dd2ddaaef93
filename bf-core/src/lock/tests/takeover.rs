//! Takeovers: of the dead at once, of the silent after a while, and what happens to who was only paused.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use super::super::folder::Folder;
use super::super::record::Record;
use super::*;
use crate::publish::{Content, Policy, PublishError, Publisher};
use crate::report::{Exit, Failure};
use crate::site::Part;

/// A process of this host that was there and is gone.
fn dead() -> Owner {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    Owner { pid: child.id(), started: 1, ..Owner::me() }
}

/// Writes a claim as somebody did who then died, so long ago.
fn left_by(layout: &Layout, owner: Owner, generation: u64, age: Duration) {
    let folder = Folder::of(layout).unwrap();
    assert!(folder.claim(&Record::new(generation, owner).unwrap()).unwrap());
    set_age(layout, generation, age);
}

/// Both are times of the filesystem.
fn set_age(layout: &Layout, generation: u64, age: Duration) {
    let path = layout.locks().join(format!("site.{generation}"));
    let written = fs_err::metadata(&path).unwrap().modified().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(written - age).unwrap();
}

#[test]
fn a_dead_process_of_this_host_is_followed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    left_by(&layout, dead(), 7, Duration::ZERO);
    let begun = Instant::now();
    let guard = SiteGuard::take(&layout).unwrap();
    assert!(begun.elapsed() < Times::REAL.renew);
    guard.check().unwrap();
    assert_eq!(names(&layout), ["site.8"]);
}

#[test]
fn a_dead_process_of_another_host_is_followed_after_its_lease() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let begun = Instant::now();
    left_by(&layout, Owner { host: "gone".into(), ..dead() }, 1, Duration::ZERO);
    let error = now(&layout, &on("b"), Times::REAL).unwrap_err();
    assert!(error.to_string().contains("on gone"), "{error}");
    let (guard, told) = waiting(&layout, &on("b"), QUICK, Patience::Endless);
    guard.unwrap().check().unwrap();
    assert!(begun.elapsed() >= QUICK.lease, "{:?}", begun.elapsed());
    assert!(matches!(told.last(), Some(Notice::TakenOver(Some(owner))) if owner.host == "gone"), "{told:?}");
}

#[test]
fn an_old_claim_is_watched_before_it_is_taken_over_also_by_who_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    left_by(&layout, on("gone"), 1, Duration::from_hours(1));
    let begun = Instant::now();
    let mut told = Vec::new();
    take::take(&layout, &on("b"), QUICK, Patience::None, &mut |notice| told.push(notice.clone())).unwrap();
    assert!(begun.elapsed() >= QUICK.watch(), "{:?}", begun.elapsed());
    assert!(matches!(told.as_slice(), [Notice::Silent(..), Notice::TakenOver(_)]), "{told:?}");
}

/// Attributes that are cached, a file server whose times are those of its clients: a claim looks an hour old or an hour young.
#[test]
fn wrong_times_of_files_neither_end_a_living_lease_nor_save_a_dead_one() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let lives = now(&layout, &on("a"), PAUSED).unwrap();
    let folder = Folder::of(&layout).unwrap();
    let record = folder.read(1).unwrap().unwrap().record.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let beats = std::thread::spawn({
        let (layout, folder, is_over) = (layout.clone(), folder.clone(), Arc::clone(&is_over));
        move || {
            for beat in 1.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                folder.rewrite(&Record { beat, ..record.clone() }).unwrap();
                set_age(&layout, 1, Duration::from_hours(1));
                std::thread::sleep(QUICK.renew / 2);
            }
        }
    });
    let error = now(&layout, &on("b"), PATIENT).unwrap_err();
    assert!(matches!(error, LockError::Busy { .. }), "{error}");
    let (refused, _) = waiting(&layout, &on("b"), PATIENT, Patience::AtMost(PATIENT.watch() + QUICK.lease));
    assert!(matches!(refused.unwrap_err(), LockError::Busy { .. }));
    lives.check().unwrap();
    is_over.store(true, Ordering::Relaxed);
    beats.join().unwrap();
    // Nobody counts any more, and the claim is from the future.
    let file = std::fs::OpenOptions::new().write(true).open(layout.locks().join("site.1")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_hours(1)).unwrap();
    assert!(now(&layout, &on("b"), Times::REAL).is_err());
    let begun = Instant::now();
    waiting(&layout, &on("b"), QUICK, Patience::Endless).0.unwrap();
    assert!(begun.elapsed() >= QUICK.watch_without_clock());
}

#[test]
fn a_claim_without_content_is_followed_when_its_lease_has_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    Folder::of(&layout).unwrap();
    fs_err::write(layout.locks().join("site.4"), "").unwrap(); // its taker died where there are no hard links
    let error = now(&layout, &on("b"), Times::REAL).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    waiting(&layout, &on("b"), QUICK, Patience::Endless).0.unwrap().check().unwrap();
    assert!(names(&layout).contains(&"site.5".to_owned()));
}

#[test]
fn who_was_paused_publishes_nothing_and_is_told_who_took_over() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let paused = now(&layout, &on("a"), PAUSED).unwrap();
    let publisher = Publisher::new(&paused, Policy::default()).unwrap();
    let stage = publisher.stage(Part::Models).unwrap();
    let staged = stage.path().join("file");
    fs_err::write(&staged, "of the old holder").unwrap();

    let (taker, _) = waiting(&layout, &on("b"), QUICK, Patience::Endless);
    let taker = taker.unwrap();
    // Not even before the taker has cleaned up.
    let to = layout.models().join("file");
    let lost = |error: PublishError| {
        let failure = Failure::from(error);
        assert_eq!((failure.exit, failure.code), (Exit::Busy, "lock_lost"));
        assert!(failure.message.contains("on b") && failure.message.contains("took over"), "{failure}");
    };
    lost(publisher.publish(&staged, &to, Content::Model).unwrap_err());
    let second = Publisher::new(&taker, Policy::default()).unwrap();
    assert!(!staged.exists());
    second.file(Part::Top, &layout.site_yaml(), b"theirs").unwrap();
    lost(publisher.publish(&staged, &to, Content::Model).unwrap_err());
    lost(publisher.file(Part::Top, &layout.site_yaml(), b"mine").unwrap_err());
    lost(publisher.link(Part::Images, &layout.image_link("a.sif"), Path::new("b")).unwrap_err());
    lost(publisher.remove(Part::Top, &layout.site_yaml()).unwrap_err());
    lost(publisher.folder(&layout.models().join("new")).unwrap_err());
    lost(publisher.stage(Part::Models).unwrap_err());
    lost(Publisher::new(&paused, Policy::default()).unwrap_err());
    assert_eq!(fs_err::read_to_string(layout.site_yaml()).unwrap(), "theirs");
    assert!(!to.exists() && !layout.models().join("new").exists());
    second.file(Part::Top, &layout.site_yaml(), b"still theirs").unwrap();
    // The end of the old holder frees nothing.
    drop(stage);
    drop(paused);
    taker.check().unwrap();
    assert!(now(&layout, &on("c"), Times::REAL).is_err());
}

type Act = fn(&Publisher<'_>) -> Result<(), PublishError>;

thread_local! {
    /// Who took over while the other one was paused.
    static TAKER: RefCell<Option<SiteGuard>> = const { RefCell::new(None) };
    /// Where, and at the how manieth look from now.
    static PAUSE: RefCell<Option<(Layout, u32)>> = const { RefCell::new(None) };
}

/// A pause right after a look: somebody takes over and publishes.
fn pause() {
    PAUSE.with_borrow_mut(|pause| {
        let Some((layout, looks)) = pause else { return };
        *looks -= 1;
        if *looks == 0 {
            let taker = waiting(layout, &on("b"), QUICK, Patience::Endless).0.unwrap();
            let publisher = Publisher::new(&taker, Policy::default()).unwrap();
            publisher.file(Part::Top, &layout.site_yaml(), b"theirs").unwrap();
            TAKER.set(Some(taker));
            *pause = None;
        }
    });
}

#[test]
fn the_moment_between_the_look_and_the_rename_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    // The first look is that before the staging folder, the last that before the rename.
    let acts: [(u32, Act); 3] = [
        (2, |publisher| publisher.file(Part::Top, &publisher.layout().site_yaml(), b"mine")),
        (2, |publisher| {
            publisher.link(Part::Images, &publisher.layout().image_link("a.sif"), Path::new("b"))
        }),
        (2, |publisher| publisher.remove(Part::Top, &publisher.layout().site_yaml())),
    ];
    for (looks, act) in acts {
        let mut paused = now(&layout, &on("a"), PAUSED).unwrap();
        paused.after_check = Some(pause);
        let publisher = Publisher::new(&paused, Policy::default()).unwrap();
        publisher.file(Part::Top, &layout.site_yaml(), b"old").unwrap();
        PAUSE.set(Some((layout.clone(), looks)));
        let failure = Failure::from(act(&publisher).unwrap_err());
        assert_eq!(failure.code, "lock_lost", "{failure}");
        assert!(TAKER.with_borrow(Option::is_some), "it was paused");
        assert_eq!(fs_err::read_to_string(layout.site_yaml()).unwrap(), "theirs");
        assert!(fs_err::symlink_metadata(layout.image_link("a.sif")).is_err());
        TAKER.set(None);
    }
}

#[test]
fn a_taker_who_dies_half_way_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let first = now(&layout, &on("a"), PAUSED).unwrap();
    let staged = Publisher::new(&first, Policy::default()).unwrap().stage(Part::Models).unwrap();
    // He had his claim, but had removed neither the older one nor what was staged, or only moved it.
    left_by(&layout, dead(), 2, Duration::ZERO);
    let half = layout.staging(Part::Models).join("2-00ff/1234/left/inner");
    fs_err::create_dir_all(&half).unwrap();
    let guard = now(&layout, &on("b"), QUICK);
    let guard = guard.or_else(|_| waiting(&layout, &on("b"), QUICK, Patience::Endless).0).unwrap();
    Publisher::new(&guard, Policy::default()).unwrap();
    assert_eq!(names(&layout), ["site.3"]);
    assert_eq!(fs_err::read_dir(layout.staging(Part::Models)).unwrap().count(), 0);
    assert!(!staged.path().exists());
    let error = first.check().unwrap_err();
    assert!(error.to_string().contains("on b"), "{error}");
}

#[test]
fn a_lock_whose_folder_was_removed_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let first = now(&layout, &on("a"), QUICK).unwrap();
    fs_err::remove_dir_all(layout.locks()).unwrap();
    fs_err::create_dir(layout.locks()).unwrap();
    let error = first.check().unwrap_err();
    assert!(error.to_string().ends_with("its lock was removed"), "{error}");
    // The next one begins to count anew, at the very same number.
    let second = now(&layout, &on("b"), QUICK).unwrap();
    assert!(matches!(first.check(), Err(LockError::Lost { .. })));
    drop(first);
    second.check().unwrap();
    assert!(now(&layout, &on("c"), Times::REAL).is_err());
}

//! The order of the work: what is quick one after the other, then what takes time, several at once.
//!
//! What takes time is made in a staging folder by a thread of its own, which touches nothing else of the cache. Publishing it and
//! writing it down in site.lock is done here, one after the other, by the thread that holds the lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use bf_core::progress::{Display, News};
use bf_core::publish::{Downloads, PublishError, Publisher, Stage};
use bf_core::report::Failure;
use bf_core::site::{Layout, Locked, LockedEngine, LockedImage, LockedRevision, Part};

use super::{entered, write_lock};
use crate::drift::Mend;
use crate::image::Account;
use crate::import::{NewModel, Source};
use crate::plan::{Action, Change, Outcome, Skip, Step, Task};
use crate::{drift, engine, image, import, locked, space, toolkit};

/// What is made at once of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// What comes over the network.
    Fetch,
    /// What is copied from disk to disk, which more at once would not make faster.
    Copy,
}

impl Lane {
    fn limit(self) -> usize {
        match self {
            Self::Fetch => 4,
            Self::Copy => 2,
        }
    }

    /// Where a task that takes time belongs, and the part of the cache it is made in.
    fn of(task: &Task) -> Option<(Self, Part)> {
        Some(match task {
            Task::Image(..) => (Self::Fetch, Part::Images),
            Task::Engine(..) => (Self::Fetch, Part::Engines),
            Task::ImageFile(..) => (Self::Copy, Part::Images),
            Task::Model(new) if matches!(new.source, Source::Hub(_)) => (Self::Fetch, Part::Models),
            Task::Model(_) => (Self::Copy, Part::Models),
            _ => return None,
        })
    }
}

/// How often the bytes of what a program writes are counted, at most: that is for people, and takes time on a network filesystem.
const COUNTED: Duration = Duration::from_secs(2);
const SHARE: u32 = 20;

/// What was made and is to be published.
enum Made {
    Image(String, LockedImage, Option<Account>),
    ImageKept(String, LockedImage),
    ImageFile(String, Box<image::Source>, LockedImage),
    Model(Box<NewModel>, LockedRevision),
    Engine(String, LockedEngine),
    Nothing,
}

/// A task that a thread is at.
struct Begun {
    action: Action,
    lane: Lane,
    stage: Stage,
    exact: Option<String>,
    /// Where what it fetches is kept until it is published.
    downloads: Option<Downloads>,
}

/// How everything ended, by its place in the plan.
type Ended = BTreeMap<usize, (Action, Option<Failure>)>;

/// Carries out all steps, and gives what became of them, in the order of the plan.
pub(super) fn carry_out(
    publisher: &Publisher<'_>,
    locked: &mut Locked,
    steps: Vec<Step>,
    display: &Display,
) -> Vec<(Action, Option<Failure>)> {
    display.expect(steps.iter().filter(|step| step.task != Task::Keep).count());
    let mut work = Work { publisher, locked, display, ended: Ended::new() };
    let (mut slow, mut last) = (Vec::new(), Vec::new());
    for (number, step) in steps.into_iter().enumerate() {
        match (&step.task, Lane::of(&step.task)) {
            (_, Some((lane, part))) => slow.push((number, step, lane, part)),
            // What users read of the site comes when all that it names is there.
            (Task::Site(_), _) => last.push((number, step)),
            _ => work.at_once(number, step),
        }
    }
    work.side_by_side(slow);
    for (number, step) in last {
        work.at_once(number, step);
    }
    work.ended.into_values().collect()
}

struct Work<'a, 'p> {
    publisher: &'a Publisher<'p>,
    locked: &'a mut Locked,
    display: &'a Display,
    ended: Ended,
}

impl Work<'_, '_> {
    fn at_once(&mut self, number: usize, step: Step) {
        if step.task != Task::Keep {
            start(self.display, number, &step.action);
        }
        let planned = matches!(step.task, Task::Fail(_)); // which says of what there is too little
        let result = self.quick(number, step.task).map(|()| None).map_err(|failure| {
            if planned { failure } else { space::explained(self.publisher.layout(), &step.action, failure) }
        });
        self.end(number, step.action, result);
    }

    /// Does what takes no time.
    fn quick(&mut self, number: usize, task: Task) -> Result<(), Failure> {
        let (publisher, layout) = (self.publisher, self.publisher.layout());
        match task {
            Task::Mend(mends) => {
                if let Some(Mend::Record(..)) = mends.first() {
                    self.record(&mends);
                    write_lock(publisher, self.locked)?;
                }
                drift::mend(publisher, &mends, &|text| say(self.display, number, text))?;
                self.record(&mends);
            }
            Task::Fail(failure) => return Err(failure),
            Task::Specs(text) => publisher.file(Part::Top, &layout.resource_specs(), text.as_bytes())?,
            Task::Site(text) => publisher.file(Part::Top, &layout.site_yaml(), text.as_bytes())?,
            Task::Toolkit(beside, relink) => toolkit::publish(publisher, self.locked, &beside, relink)?,
            Task::ToolkitLink => toolkit::link(publisher, self.locked)?,
            Task::ImageLink(name, image) => {
                image::link(publisher, &image)?;
                image::enter(self.locked, name, image);
            }
            Task::Keep | Task::Engine(..) | Task::Model(..) | Task::Image(..) | Task::ImageFile(..) => {
                return Ok(());
            }
        }
        write_lock(publisher, self.locked)
    }

    /// Writes down for whom models are by now.
    fn record(&mut self, mends: &[Mend]) {
        for mend in mends {
            if let Mend::Record(name, access) = mend
                && let Some(own) = self.locked.models.get_mut(name)
            {
                own.access = access.clone();
            }
        }
    }

    /// Makes all of it, in the order of the plan where not everything can be made at once, and publishes each when it is made.
    fn side_by_side(&mut self, mut waiting: Vec<(usize, Step, Lane, Part)>) {
        let (sender, receiver) = mpsc::channel();
        let (layout, display) = (self.publisher.layout(), self.display);
        thread::scope(|scope| {
            let mut begun: BTreeMap<usize, Begun> = BTreeMap::new();
            let mut pause = COUNTED;
            loop {
                let at_work = |begun: &BTreeMap<usize, Begun>, lane| {
                    begun.values().filter(|begun| begun.lane == lane).count()
                };
                while let Some(next) =
                    waiting.iter().position(|(_, _, lane, _)| at_work(&begun, *lane) < lane.limit())
                {
                    let (number, Step { action, task, exact, .. }, lane, part) = waiting.remove(next);
                    start(display, number, &action);
                    match self.place(part, &task) {
                        Ok((stage, downloads)) => {
                            let kept = downloads.as_ref().map(Downloads::path);
                            spawn(scope, layout, display, (number, task, stage.path(), kept), sender.clone());
                            begun.insert(number, Begun { action, lane, stage, exact, downloads });
                        }
                        Err(error) => {
                            let failure = space::explained(layout, &action, error.into());
                            self.end(number, action, Err(failure));
                        }
                    }
                }
                if begun.is_empty() {
                    break;
                }
                match receiver.recv_timeout(pause) {
                    Ok((number, made)) => {
                        if let Some(begun) = begun.remove(&number) {
                            self.publish(number, begun, made);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) if display.counts() => {
                        let since = Instant::now();
                        for (number, begun) in begun
                            .iter()
                            .filter(|(_, begun)| begun.lane == Lane::Fetch && begun.downloads.is_none())
                        {
                            let written = image::extent(begun.stage.path()).1;
                            display.tell(*number, &News::Reached(written));
                        }
                        pause = COUNTED.max(since.elapsed() * SHARE);
                    }
                    Err(_) => {}
                }
            }
        });
    }

    /// A folder to make it in, and one for what it fetches, which stays when it fails.
    fn place(&self, part: Part, task: &Task) -> Result<(Stage, Option<Downloads>), PublishError> {
        let downloads = match task {
            Task::Image(_, fetch) if fetch.maker.keeps() => {
                Some(self.publisher.downloads(part, &fetch.reference.sif_name())?)
            }
            Task::Model(new) if matches!(new.source, Source::Hub(_)) => {
                Some(self.publisher.downloads(part, &new.repo.folder_name())?)
            }
            _ => None,
        };
        Ok((self.publisher.stage(part)?, downloads))
    }

    /// Publishes what a thread has made.
    fn publish(&mut self, number: usize, begun: Begun, made: Result<Made, Failure>) {
        let Begun { mut action, stage, exact, downloads, .. } = begun;
        let account = match &made {
            Ok(Made::Image(_, _, account)) => account.clone(),
            _ => None,
        };
        let result = made
            .and_then(|made| {
                same(&action, &made, exact.as_deref())?;
                self.enter(stage.path(), made)
            })
            // While what was made still takes its room.
            .map_err(|failure| space::explained(self.publisher.layout(), &action, failure));
        drop(stage);
        if let (Ok(None), Some(account)) = (&result, account) {
            action.detail = format!("{}; {}", action.detail, account.done());
            action.bytes = Some(account.outline.bytes);
        }
        // What cannot be removed is no reason to say that the image is not there: the next run takes it over.
        if let (Ok(_), Some(downloads)) = (&result, downloads) {
            let _ = downloads.remove();
        }
        self.end(number, action, result);
    }

    /// Gives what was kept, and why, where it turned out that nothing had to be changed.
    fn enter(&mut self, stage: &Path, made: Made) -> Result<Option<String>, Failure> {
        let publisher = self.publisher;
        let kept = match made {
            Made::ImageKept(name, image) => {
                let why = format!("{} is what the registry has", image.digest12());
                image::link(publisher, &image)?;
                image::enter(self.locked, name, image);
                Some(why)
            }
            Made::Image(name, image, _) => {
                let put = image::publish(publisher, self.locked, stage, image)?;
                entered(self.locked, name, put)
            }
            Made::ImageFile(name, source, image) => {
                let put = image::publish_import(publisher, self.locked, &source, stage, image)?;
                entered(self.locked, name, put)
            }
            Made::Model(new, made) => {
                new.publish(publisher, self.locked, stage, made)?;
                write_lock(publisher, self.locked)?;
                // Only now nothing can be lost by it.
                new.leave()?;
                None
            }
            Made::Engine(id, engine) => {
                engine::publish(publisher, &id, stage, &engine)?;
                self.locked.engines.insert(id, engine);
                None
            }
            Made::Nothing => None,
        };
        write_lock(publisher, self.locked)?;
        Ok(kept)
    }

    fn end(&mut self, number: usize, mut action: Action, result: Result<Option<String>, Failure>) {
        let failure = match result {
            Err(failure) => {
                action.fail(&failure);
                self.display.fail(number, &failure.message);
                Some(failure)
            }
            Ok(kept) => {
                match kept {
                    Some(kept) => {
                        (action.change, action.detail) = (Change::Keep, kept);
                        action.skip(Skip::Unchanged);
                    }
                    None if action.state == Outcome::Planned => action.state = Outcome::Done,
                    None => {}
                }
                self.display.finish(number);
                None
            }
        };
        self.ended.insert(number, (action, failure));
    }
}

fn start(display: &Display, number: usize, action: &Action) {
    display.start(number, (action.kind, &action.name), action.bytes, action.change.name());
}

fn say(display: &Display, number: usize, text: &str) {
    display.tell(number, &News::Says(text.to_owned()));
}

/// Lets a thread make what `task` asks for in a staging folder.
fn spawn<'s>(
    scope: &'s Scope<'s, '_>,
    layout: &'s Layout,
    display: &'s Display,
    (number, task, stage, downloads): (usize, Task, &Path, Option<&Path>),
    sender: Sender<(usize, Result<Made, Failure>)>,
) {
    let (stage, downloads) = (stage.to_owned(), downloads.map(Path::to_owned));
    scope.spawn(move || {
        let made = make(layout, task, (&stage, downloads.as_deref()), number, display);
        // Who waits for it waits until all are there.
        let _ = sender.send((number, made));
    });
}

fn make(
    layout: &Layout,
    task: Task,
    (stage, downloads): (&Path, Option<&Path>),
    number: usize,
    display: &Display,
) -> Result<Made, Failure> {
    let tell = |text: &str| say(display, number, text);
    let news = |news: &News| display.tell(number, news);
    Ok(match task {
        Task::Image(name, fetch) => {
            let tell = image::Tell { say: &tell, news: &news };
            let downloads = downloads.unwrap_or(stage);
            match image::pull(&fetch, stage, downloads, &tell)? {
                (image::Pulled::Made(image), account) => Made::Image(name, image, account),
                (image::Pulled::Same(image), _) => Made::ImageKept(name, image),
            }
        }
        Task::ImageFile(name, source) => {
            let image = image::import(layout, &source, stage)?;
            Made::ImageFile(name, Box::new(source), image)
        }
        Task::Model(new) => {
            let tell = import::Tell { say: &tell, add: &|bytes| news(&News::More(bytes)), news: &news };
            let made = new.make(layout, stage, downloads.unwrap_or(stage), &tell)?;
            Made::Model(new, made)
        }
        Task::Engine(id, native, interpreter) => {
            let engine = engine::make(&id, &native, &interpreter, stage, &tell)?;
            Made::Engine(id, engine)
        }
        _ => Made::Nothing,
    })
}

/// Refuses what is not what site.lock has, where it must be.
fn same(action: &Action, made: &Made, exact: Option<&str>) -> Result<(), Failure> {
    let own = match made {
        Made::Image(_, image, _) | Made::ImageFile(_, _, image) => &image.sha256,
        Made::Model(_, made) => &made.commit,
        _ => return Ok(()),
    };
    exact.map_or(Ok(()), |exact| locked::same(action, own, exact))
}

//! All work that is going on, and how far each is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::News;
use super::rate::Rate;

/// What is going on.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// How much work there is, in things that are named.
    pub(super) all: usize,
    /// How much of it has ended.
    pub(super) ended: usize,
    /// By its number in the plan.
    pub(super) running: BTreeMap<usize, Work>,
}

/// One thing that takes time.
#[derive(Debug)]
pub(super) struct Work {
    /// `model`, `image`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// Bytes that are there, of all parts.
    pub(super) bytes: u64,
    pub(super) total: Option<u64>,
    /// What is being done.
    pub(super) says: String,
    /// Why it does not go on. Gone when something comes.
    pub(super) waits: Option<String>,
    /// Parts on their way.
    pub(super) parts: BTreeMap<Arc<str>, Part>,
    /// Bytes of parts that are there.
    there: BTreeMap<Arc<str>, u64>,
    pub(super) rate: Rate,
    /// When the whole was told last, as an event and as a line, and how many bytes the line said.
    pub(super) told: Duration,
    pub(super) said: (Duration, u64),
}

/// A part on its way.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) bytes: u64,
    pub(super) total: u64,
    pub(super) rate: Rate,
    /// When it was told last.
    pub(super) told: Duration,
}

impl Work {
    pub(super) fn new(kind: &'static str, name: &str, total: Option<u64>, says: &str, now: Duration) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            bytes: 0,
            total,
            says: says.to_owned(),
            waits: None,
            parts: BTreeMap::new(),
            there: BTreeMap::new(),
            rate: Rate::begun(now),
            told: now,
            said: (now, 0),
        }
    }

    /// Takes in what happened.
    pub(super) fn take(&mut self, news: &News, now: Duration) {
        match news {
            News::Says(text) => self.says.clone_from(text),
            News::Waits(text) => self.waits = Some(text.clone()),
            News::Total(bytes) => self.total = Some(*bytes),
            News::More(bytes) => self.come(*bytes, now),
            News::Reached(bytes) => {
                self.come(bytes.saturating_sub(self.bytes), now);
                self.bytes = *bytes;
            }
            News::PartBegins { part, total, there } => {
                let before = self.there.remove(part).or_else(|| Some(self.parts.get(part)?.bytes));
                self.bytes = self.bytes.saturating_sub(before.unwrap_or_default()).saturating_add(*there);
                let rate = Rate::begun(now);
                self.parts.insert(Arc::clone(part), Part { bytes: *there, total: *total, rate, told: now });
            }
            News::PartReached { part, bytes, total } => self.reach(part, *bytes, *total, now),
            News::PartRestarts { part, .. } => {
                if let Some(own) = self.parts.get_mut(part) {
                    self.bytes = self.bytes.saturating_sub(own.bytes);
                    own.bytes = 0;
                    self.said.1 = self.said.1.min(self.bytes);
                }
            }
            News::PartEnds { part, total } => {
                // One that began when it was all there has nothing more to come.
                self.reach(part, *total, *total, now);
                self.parts.remove(part);
                self.there.insert(Arc::clone(part), *total);
            }
        }
    }

    fn reach(&mut self, part: &Arc<str>, bytes: u64, total: u64, now: Duration) {
        let begun = || Part { bytes: 0, total, rate: Rate::begun(now), told: now };
        let own = self.parts.entry(Arc::clone(part)).or_insert_with(begun);
        // Threads tell of one file, and the later may come first.
        let more = bytes.saturating_sub(own.bytes);
        own.bytes += more;
        own.total = total;
        own.rate.add(now, more);
        self.come(more, now);
    }

    fn come(&mut self, bytes: u64, now: Duration) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.rate.add(now, bytes);
        if bytes > 0 {
            self.waits = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_all_parts_and_begin_anew_with_their_part() {
        let mut work = Work::new("image", "a", None, "", Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut take = |news: News| {
            now += Duration::from_secs(1);
            work.take(&news, now);
            (work.bytes, work.parts.len(), work.rate.per_second(now).is_some())
        };
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let begins = |part: &Arc<str>, there| News::PartBegins { part: Arc::clone(part), total: 30, there };
        let ends = |part: &Arc<str>| News::PartEnds { part: Arc::clone(part), total: 30 };
        let reaches = |part: &Arc<str>, bytes| News::PartReached { part: Arc::clone(part), bytes, total: 30 };
        assert_eq!(take(begins(&a, 20)), (20, 1, false), "what was there did not come");
        assert_eq!(take(reaches(&a, 25)), (25, 1, true));
        assert_eq!(take(reaches(&a, 22)).0, 25);
        assert_eq!(take(ends(&b)).0, 55);
        assert_eq!(take(News::PartRestarts { part: Arc::clone(&a), reason: "damaged".into() }).0, 30);
        assert_eq!(take(ends(&a)).0, 60);
        // What was there is looked at once more, and found wrong.
        assert_eq!((take(begins(&a, 30)).0, take(begins(&a, 0)).0), (60, 30));
        assert_eq!(take(ends(&a)), (60, 0, true));
    }

    #[test]
    fn nothing_is_waited_for_any_more_when_something_comes() {
        let mut work = Work::new("model", "a", Some(9), "", Duration::ZERO);
        work.take(&News::Waits("waiting".into()), Duration::ZERO);
        work.take(&News::Says("more".into()), Duration::ZERO);
        assert!(work.waits.is_some());
        work.take(&News::More(1), Duration::ZERO);
        assert_eq!(work.waits, None);
    }
}

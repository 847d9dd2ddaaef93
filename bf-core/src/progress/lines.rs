//! The lines of a log, where nobody sees one that changes: what begins, what ends, and how far it is from time to time.

use std::time::Duration;

use super::News;
use super::board::Work;
use super::screen::amount;
use crate::report::human_bytes;

/// Parts that are shorter than this, in bytes, come and go without a line.
const SMALL: u64 = 1_000_000;

/// How far it is is said after so many hundredths more, but not more often than that.
const STEP: u64 = 10;
const OFTEN: Duration = Duration::from_secs(1);

/// And after such a time, if there is a hundredth more; and after such a time whatever there is.
const SELDOM: Duration = Duration::from_secs(10);
const RARELY: Duration = Duration::from_mins(1);

/// What is said of what has happened to `work`, which has taken it in: a line without its end.
pub(super) fn line(work: &mut Work, news: &News, now: Duration) -> Option<String> {
    let text = match news {
        News::Says(text) | News::Waits(text) => text.clone(),
        News::PartBegins { part, total, there } if *total >= SMALL => match there {
            0 => format!("{part}: {}", human_bytes(*total)),
            there => {
                format!("{part}: {}, {} of it are there already", human_bytes(*total), human_bytes(*there))
            }
        },
        News::PartRestarts { part, reason } => format!("{part} is fetched again: {reason}"),
        News::PartEnds { part, total } if *total >= SMALL => format!("{part}: done"),
        _ => amount_if_due(work, now)?,
    };
    Some(format!("{}: {text}", work.name))
}

fn amount_if_due(work: &mut Work, now: Duration) -> Option<String> {
    let (at, bytes) = work.said;
    let (since, more) = (now.saturating_sub(at), work.bytes.saturating_sub(bytes));
    let percent = |hundredths: u64| match work.total {
        Some(total) if total > 0 => u128::from(more) * 100 >= u128::from(total) * u128::from(hundredths),
        _ => hundredths < STEP,
    };
    let is_due =
        more > 0 && (since >= OFTEN && percent(STEP) || since >= SELDOM && percent(1) || since >= RARELY);
    is_due.then(|| {
        work.said = (now, work.bytes);
        amount(work, now)
    })
}

/// That it has ended: `model org/name: done, 3.0 GB`.
pub(super) fn ended(work: &Work, is_done: bool) -> String {
    let Work { kind, name, bytes, .. } = work;
    match (is_done, bytes) {
        (true, 0) => format!("{kind} {name}: done"),
        (true, bytes) => format!("{kind} {name}: done, {}", human_bytes(*bytes)),
        (false, _) => format!("{kind} {name}: failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn a_log_says_what_begins_and_ends_and_is_no_flood() {
        let mut work = Work::new("model", "org/a", Some(200 * MB), "", Duration::ZERO);
        let mut said = Vec::new();
        let mut tell = |milliseconds: u64, news: News| {
            let now = Duration::from_millis(milliseconds);
            work.take(&news, now);
            said.extend(line(&mut work, &news, now).map(|line| format!("{milliseconds:>5} {line}")));
        };
        tell(0, News::Says("200.0 MB in 52 files".into()));
        for small in 0..50 {
            let part: std::sync::Arc<str> = format!("small-{small}").into();
            tell(small, News::PartBegins { part: part.clone(), total: 500, there: 0 });
            tell(small, News::PartEnds { part, total: 500 });
        }
        let [one, two]: [std::sync::Arc<str>; 2] = ["a.safetensors".into(), "b.safetensors".into()];
        tell(60, News::PartBegins { part: one.clone(), total: 150 * MB, there: 0 });
        tell(60, News::PartBegins { part: two.clone(), total: 50 * MB, there: 30 * MB });
        for megabyte in 1..=150 {
            let news = News::PartReached { part: one.clone(), bytes: megabyte * MB, total: 150 * MB };
            tell(60 + megabyte * 40, news);
        }
        tell(6_100, News::PartEnds { part: one, total: 150 * MB });
        tell(6_200, News::waiting(Duration::from_secs(3), "hub", "busy"));
        tell(6_201, News::waiting(Duration::from_secs(6), "hub", "busy"));
        tell(6_300, News::PartRestarts { part: two.clone(), reason: "it was wrong".into() });
        // So slowly that nothing is a tenth of it.
        for second in 10..=80 {
            let bytes = (second - 9) * 300_000;
            tell(second * 1000, News::PartReached { part: two.clone(), bytes, total: 50 * MB });
        }
        let golden = [
            "    0 org/a: 200.0 MB in 52 files",
            "   60 org/a: a.safetensors: 150.0 MB",
            "   60 org/a: b.safetensors: 50.0 MB, 30.0 MB of it are there already",
            " 1020 org/a: 27% of 200.0 MB, 22.3 MB/s, 7 s left",
            " 2020 org/a: 39% of 200.0 MB, 22.6 MB/s, 6 s left",
            " 3020 org/a: 52% of 200.0 MB, 23.1 MB/s, 5 s left",
            " 4020 org/a: 64% of 200.0 MB, 23.4 MB/s, 4 s left",
            " 5020 org/a: 77% of 200.0 MB, 23.7 MB/s, 2 s left",
            " 6020 org/a: 89% of 200.0 MB, 24.0 MB/s, 1 s left",
            " 6100 org/a: a.safetensors: done",
            " 6200 org/a: waiting 3 s for hub: busy",
            " 6201 org/a: waiting 6 s for hub: busy",
            " 6300 org/a: b.safetensors is fetched again: it was wrong",
        ];
        assert_eq!(said[..golden.len()], golden, "{said:#?}");
        assert_eq!(said.len() - golden.len(), 7, "{said:#?}");
        assert_eq!(ended(&work, true), "model org/a: done, 171.3 MB");
        assert_eq!(ended(&work, false), "model org/a: failed");
    }

    #[test]
    fn what_is_slow_is_said_to_go_on() {
        let mut work = Work::new("engine", "e", None, "", Duration::ZERO);
        let mut times = Vec::new();
        for second in 1..=200 {
            let (news, now) = (News::More(1), Duration::from_secs(second));
            work.take(&news, now);
            times.extend(line(&mut work, &news, now).map(|_| second));
        }
        assert_eq!(times.len(), 20, "{times:?}");
        let mut large = Work::new("model", "m", Some(1_000_000), "", Duration::ZERO);
        let mut times = Vec::new();
        for second in 1..=200 {
            let (news, now) = (News::More(1), Duration::from_secs(second));
            large.take(&news, now);
            times.extend(line(&mut large, &news, now).map(|_| second));
        }
        assert_eq!(times, [60, 120, 180]);
    }
}

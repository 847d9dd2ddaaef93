//! Events for programs, one JSON document a line: `docs/formats.md`, "Events".

use std::time::Duration;

use serde::Serialize;

use super::News;
use super::board::Work;
use crate::host;

/// How often the bytes of one thing, or of one part of it, are told.
const OFTEN: Duration = Duration::from_millis(500);

#[derive(Debug, Serialize)]
struct Event<'a> {
    event: &'static str,
    kind: &'a str,
    name: &'a str,
    /// The part that it is about; without one it is about the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    bytes: u64,
    total: Option<u64>,
    /// Bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    at: String,
}

/// The event of a whole thing: `started`, `finished`, `failed`.
pub(super) fn whole(event: &'static str, work: &Work, message: Option<&str>, now: Duration) -> String {
    text(&Event {
        event,
        kind: work.kind,
        name: &work.name,
        file: None,
        bytes: work.bytes,
        total: work.total,
        rate: work.rate.per_second(now),
        message,
        at: host::now(),
    })
}

/// The events of what has happened to `work`, which has taken it in.
pub(super) fn of(work: &mut Work, news: &News, now: Duration) -> Vec<String> {
    let mut events = Vec::new();
    let own = match news {
        News::Says(text) | News::Waits(text) => {
            events.push(whole("progress", work, Some(text), now));
            None
        }
        News::PartBegins { part, total, there } => Some(("started", part, *there, *total, None)),
        News::PartRestarts { part, reason } => {
            let total = work.parts.get(part).map_or(0, |part| part.total);
            Some(("progress", part, 0, total, Some(reason.as_str())))
        }
        News::PartReached { part, total, .. } => work
            .parts
            .get_mut(part)
            .and_then(|own| due(&mut own.told, now).then_some(("progress", part, own.bytes, *total, None))),
        News::PartEnds { part, total } => Some(("finished", part, *total, *total, None)),
        News::Total(_) | News::More(_) | News::Reached(_) => None,
    };
    if let Some((event, part, bytes, total, message)) = own {
        events.push(text(&Event {
            event,
            kind: work.kind,
            name: &work.name,
            file: Some(part),
            bytes,
            total: Some(total),
            rate: work.parts.get(part).and_then(|part| part.rate.per_second(now)),
            message,
            at: host::now(),
        }));
    }
    let moves = !matches!(news, News::Says(_) | News::Waits(_) | News::Total(_));
    if moves && due(&mut work.told, now) {
        events.push(whole("progress", work, None, now));
    }
    events
}

fn due(told: &mut Duration, now: Duration) -> bool {
    let is_due = now.saturating_sub(*told) >= OFTEN;
    if is_due {
        *told = now;
    }
    is_due
}

fn text(event: &Event<'_>) -> String {
    // Numbers and texts can always be written.
    serde_json::to_string(event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_of_the_whole_or_of_a_file_and_a_wait_is_never_left_out() {
        let mut work = Work::new("model", "org/a", None, "", Duration::ZERO);
        let mut tell = |milliseconds, news: News| {
            let now = Duration::from_millis(milliseconds);
            work.take(&news, now);
            of(&mut work, &news, now)
                .iter()
                .map(|text| {
                    let mut event: serde_json::Value = serde_json::from_str(text).unwrap();
                    assert!(event["at"].as_str().unwrap().ends_with('Z'));
                    event.as_object_mut().unwrap().remove("at");
                    event.to_string()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(tell(0, News::Total(9_000)), [""; 0]);
        let part: std::sync::Arc<str> = "x\n.bin".into();
        let started =
            r#"{"event":"started","kind":"model","name":"org/a","file":"x\n.bin","bytes":10,"total":9000}"#;
        assert_eq!(tell(1, News::PartBegins { part: part.clone(), total: 9_000, there: 10 }), [started]);
        let reached = |bytes| News::PartReached { part: part.clone(), bytes, total: 9_000 };
        assert_eq!(tell(2, reached(20)), [""; 0], "at most twice a second");
        let both = tell(1_002, reached(1_010));
        assert_eq!(
            both,
            [
                r#"{"event":"progress","kind":"model","name":"org/a","file":"x\n.bin","bytes":1010,"total":9000,"rate":999}"#,
                r#"{"event":"progress","kind":"model","name":"org/a","bytes":1010,"total":9000,"rate":998}"#,
            ]
        );
        for wait in [1, 2] {
            let told = tell(1_003, News::waiting(Duration::from_secs(wait), "hub", "busy"));
            assert!(told[0].contains(&format!(r#""message":"waiting {wait} s for hub: busy""#)), "{told:?}");
        }
        let restarted = tell(1_004, News::PartRestarts { part: part.clone(), reason: "damaged".into() });
        assert!(
            restarted[0]
                .contains(r#""file":"x\n.bin","bytes":0,"total":9000,"rate":999,"message":"damaged""#),
            "{restarted:?}"
        );
        let ended = tell(1_005, News::PartEnds { part, total: 9_000 });
        assert!(
            ended[0].starts_with(r#"{"event":"finished","kind":"model","name":"org/a","file":"#),
            "{ended:?}"
        );
    }
}

//! Each fault does what it says, where and as often as it says.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;
use crate::hub::{Fault, Place, Rule};

const SOME: usize = 30_000;

/// The big file with a fault in force.
fn faulty(rule: impl Into<Rule>, headers: &[(&str, &str)]) -> Answer {
    let (hub, _) = hub();
    hub.fault(rule);
    let answer = get(&place(&hub, BIG), headers);
    assert_eq!(hub.struck(), 1);
    answer
}

fn announced(answer: &Answer) -> usize {
    answer.header("content-length").unwrap().parse().unwrap()
}

#[test]
fn another_answer_comes_in_its_place() {
    for (fault, status, name, value) in [
        (Fault::status(503), 503, "content-type", "application/json; charset=utf-8"),
        (Fault::busy(3), 429, "retry-after", "3"),
        (Fault::html(), 200, "content-type", "text/html; charset=utf-8"),
        (Fault::expired(), 403, "content-type", "application/xml"),
        (Fault::missing(), 404, "x-error-code", "EntryNotFound"),
        (Fault::elsewhere(302, "http://elsewhere/x"), 302, "location", "http://elsewhere/x"),
    ] {
        let answer = faulty(fault.at(Place::Cdn), &[]);
        assert_eq!((answer.status, answer.header(name)), (status, Some(value)));
        assert_eq!(announced(&answer), answer.body.len());
    }
    assert!(faulty(Fault::html().at(Place::Cdn), &[]).text().contains("<h1>Please sign in</h1>"));
}

#[test]
fn a_connection_ends_where_it_should() {
    let all = content().to_vec();
    let answer = faulty(Fault::Drop(SOME as u64), &[]);
    assert_eq!((answer.status, announced(&answer)), (200, LENGTH));
    assert!(answer.body == all[..SOME]);
    let part = faulty(Fault::Drop(SOME as u64), &[("Range", "bytes=50000-")]);
    assert_eq!((part.status, announced(&part)), (206, LENGTH - 50_000));
    assert!(part.body == all[50_000..50_000 + SOME]);
    // Who asks for less than that does not notice.
    let (hub, _) = hub();
    hub.fault(Fault::Drop(SOME as u64).at(Place::Cdn));
    assert_eq!(get(&place(&hub, BIG), &[("Range", "bytes=0-99")]).body.len(), 100);
    get(&place(&hub, BIG), &[]);
    assert_eq!((hub.struck(), hub.cdn_bytes()), (1, 100 + SOME as u64), "just what arrived");
}

#[test]
fn a_body_is_shorter_than_the_file_and_says_so() {
    let answer = faulty(Fault::Shorten(7).at(Place::Cdn), &[]);
    assert_eq!((answer.status, announced(&answer), answer.body.len()), (200, LENGTH - 7, LENGTH - 7));
    assert!(answer.body == content().to_vec()[..LENGTH - 7]);
}

#[test]
fn one_bit_of_one_byte_is_wrong_wherever_the_body_begins() {
    let all = content().to_vec();
    for (range, begin, end) in
        [("bytes=0-", 0, LENGTH), ("bytes=29999-", 29_999, LENGTH), ("bytes=30000-30000", SOME, SOME + 1)]
    {
        let answer = faulty(Fault::Flip(SOME as u64), &[("Range", range)]);
        let wrong: Vec<usize> = (begin..end).filter(|at| answer.body[at - begin] != all[*at]).collect();
        assert_eq!(wrong, [SOME], "{range}");
        assert_eq!((answer.body[SOME - begin] ^ all[SOME]).count_ones(), 1);
    }
    let (hub, _) = hub();
    hub.fault(Fault::Flip(SOME as u64));
    assert!(get(&place(&hub, BIG), &[("Range", "bytes=30001-")]).body == all[SOME + 1..]);
    assert_eq!(hub.struck(), 0, "that byte was not sent");
}

#[test]
fn the_last_byte_of_a_file_on_disk_is_wrong_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    content().write_to(&path);
    let hub = Hub::start();
    hub.publish(Repo::new(ID).file(BIG, Content::file(&path)));
    let all = content().to_vec();
    assert!(get(&place(&hub, BIG), &[]).body == all);
    hub.fault(Fault::Flip(LENGTH as u64 - 1));
    let body = get(&place(&hub, BIG), &[]).body;
    assert!(body[..LENGTH - 1] == all[..LENGTH - 1] && body[LENGTH - 1] == all[LENGTH - 1] ^ 1);
}

#[test]
fn a_connection_falls_silent_and_stays() {
    let (hub, _) = hub();
    hub.fault(Fault::Stall(SOME as u64).times(1));
    let url = place(&hub, BIG);
    let (address, target) = parted(&url);
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    let body =
        |all: &[u8]| all.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| all.len() - at - 4);
    while body(&all) < SOME {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0);
        all.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(body(&all), SOME);
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let kind = stream.read(&mut buffer).map_err(|error| error.kind());
    assert!(matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{kind:?}");
    assert_eq!(get(&url, &[]).body.len(), LENGTH, "others are served");
    // With the hub it ends.
    drop(hub);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
}

#[test]
fn ranges_are_misunderstood() {
    let all = content().to_vec();
    let range = [("Range", "bytes=50000-")];
    let ignored = faulty(Fault::IgnoreRange, &range);
    assert_eq!((ignored.status, ignored.header("content-range")), (200, None));
    assert!(ignored.body == all);
    let wrong = faulty(Fault::WrongRange, &range);
    assert_eq!((wrong.status, wrong.header("content-range")), (206, Some("bytes 0-49999/100000")));
    assert!(wrong.body == all[..50_000]);
    let (hub, _) = hub();
    hub.fault(Fault::IgnoreRange);
    assert!(get(&place(&hub, BIG), &[]).body == all);
    assert_eq!(hub.struck(), 0, "nobody asked for a range");
}

#[test]
fn a_header_says_something_else_or_nothing() {
    let (hub, _) = hub();
    hub.fault(Fault::header("X-Linked-Etag", "\"../../x\"").at(Place::Resolve).times(1));
    assert_eq!(head(&hub.url(ID, "main", BIG)).header("x-linked-etag"), Some("\"../../x\""));
    hub.fault(Fault::without("x-linked-size").at(Place::Resolve).times(1));
    assert_eq!(head(&hub.url(ID, "main", BIG)).header("x-linked-size"), None);
    assert!(head(&hub.url(ID, "main", BIG)).header("x-linked-size").is_some());
    hub.fault(Fault::header("Content-Length", "5").at(Place::Cdn));
    assert_eq!(announced(&head(&place(&hub, BIG))), 5);
}

#[test]
fn a_rule_holds_where_and_as_often_as_it_says() {
    let (hub, _) = hub();
    let api = format!("{}/api/models/{ID}", hub.endpoint());
    let urls =
        [api, hub.url(ID, "main", BIG), hub.url(ID, "main", SMALL), place(&hub, BIG), place(&hub, SMALL)];
    let fails = |url: &String| get(url, &[]).status == 503;
    let failing = || urls.iter().map(fails).collect::<Vec<_>>();
    let (yes, no) = (true, false);
    for (rule, expected) in [
        (Rule::from(Fault::status(503)), [yes; 5]),
        (Fault::status(503).at(Place::Api), [yes, no, no, no, no]),
        (Fault::status(503).at(Place::Resolve), [no, yes, yes, no, no]),
        (Fault::status(503).at(Place::Cdn).at(Place::Cache), [no, no, no, yes, yes]),
        (Fault::status(503).path(BIG), [no, yes, no, yes, no]),
        (Fault::status(503).path("/api/models/"), [yes, no, no, no, no]),
        (Fault::status(503).at(Place::Api).method("HEAD"), [no; 5]),
        (Fault::status(503).times(2), [yes, yes, no, no, no]),
        (Fault::status(503).times(2).after(1), [no, yes, yes, no, no]),
    ] {
        hub.fault(rule);
        assert_eq!(failing(), expected);
        hub.heal();
    }
    assert_eq!(failing(), [no; 5]);
    // Of several the first one, until it is used up.
    hub.fault(Fault::status(500).times(1));
    hub.fault(Fault::status(503).times(1));
    let statuses: Vec<u16> = (0..3).map(|_| get(&urls[0], &[]).status).collect();
    assert_eq!(statuses, [500, 503, 200]);
}

#[test]
fn answers_begin_late_and_come_slowly() {
    let (hub, _) = hub();
    let url = place(&hub, BIG);
    hub.latency(Duration::from_millis(150));
    let begun = Instant::now();
    head(&url);
    assert!(begun.elapsed() >= Duration::from_millis(150));
    hub.latency(Duration::ZERO);
    hub.rate(Some(2 * LENGTH as u64));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(get(&url, &[]).body.len(), LENGTH));
        }
    });
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[test]
fn who_goes_away_has_taken_about_what_is_counted() {
    const TAKEN: usize = 2_000_000;
    let hub = Hub::start();
    hub.publish(Repo::new(ID).file(BIG, Content::noise(1, 64 << 20)));
    let url = place(&hub, BIG);
    hub.rate(Some(10_000_000));
    let (address, target) = parted(&url);
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let (mut taken, mut buffer) = (0, vec![0; 1 << 16]);
    while taken < TAKEN {
        taken += stream.read(&mut buffer).unwrap();
    }
    hub.rate(Some(0));
    // Its head is not counted.
    while taken < usize::try_from(hub.cdn_bytes()).unwrap() {
        taken += stream.read(&mut buffer).unwrap();
    }
    drop(stream);
    hub.rate(Some(10_000_000));
    let ended = || (hub.connections() == 0).then_some(());
    crate::eventually("the end of the answer", Duration::from_secs(30), ended);
    let counted = usize::try_from(hub.cdn_bytes()).unwrap();
    assert!(counted.abs_diff(taken) <= 1 << 15, "{taken} taken, {counted} counted");
}

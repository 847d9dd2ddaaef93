//! The hub itself: its two origins, who may read what, and which answer a request gets.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::fault::{Fault, Place, Rule, Rules};
use super::repo::{Repo, Stored};
use super::rights::{Users, bad_token, refusal, refused, unknown};
use super::seen::Seen;
use super::send::{Damage, Next, send};
use super::wire::{Ask, Bend, Body, Reply, encoded};
use super::{api, cdn, resolve};
use crate::pace::Pace;

/// So many entries of a tree are told at once.
const PAGE: usize = 1000;
/// Words that follow the id of a repository.
const WORDS: [&str; 5] = ["revision", "tree", "paths-info", "refs", "commits"];

/// A hub. It ends with the test.
#[derive(Debug)]
pub struct Hub {
    address: SocketAddr,
    cdn: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    origin: String,
    cdn: String,
    state: Mutex<State>,
    rules: Rules,
    pace: Pace,
    /// With the bytes of each answer so far.
    seen: Mutex<Vec<(Seen, Arc<AtomicU64>)>>,
    open: Mutex<BTreeMap<u64, TcpStream>>,
    opened: AtomicU64,
    ended: AtomicBool,
}

#[derive(Debug)]
struct State {
    repos: Vec<Stored>,
    users: Users,
    page: usize,
    lasts: Duration,
    latency: Duration,
}

impl Hub {
    /// An empty hub on this machine.
    pub fn start() -> Self {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// The same on another of this machine's addresses.
    pub fn start_at(ip: IpAddr) -> Self {
        let listen = || TcpListener::bind((ip, 0)).expect("a port");
        let (hub, cdn) = (listen(), listen());
        let of = |listener: &TcpListener| listener.local_addr().expect("its address");
        let (address, other) = (of(&hub), of(&cdn));
        let shared = Arc::new(Shared {
            origin: format!("http://{address}"),
            cdn: format!("http://{other}"),
            state: Mutex::new(State {
                repos: Vec::new(),
                users: Users::new(),
                page: PAGE,
                lasts: Duration::from_hours(1),
                latency: Duration::ZERO,
            }),
            rules: Rules::default(),
            pace: Pace::new(None),
            seen: Mutex::default(),
            open: Mutex::default(),
            opened: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        for (listener, is_cdn) in [(hub, false), (cdn, true)] {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.listen(&listener, is_cdn));
        }
        Self { address, cdn: other, shared }
    }

    /// `http://127.0.0.1:PORT`, for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.shared.origin
    }

    /// The origin of big files, `http://127.0.0.1:PORT`.
    pub fn cdn(&self) -> &str {
        &self.shared.cdn
    }

    /// The address to resolve a file of a repository at.
    pub fn url(&self, id: &str, revision: &str, path: &str) -> String {
        let revision = encoded(revision).replace('/', "%2F");
        format!("{}/{id}/resolve/{revision}/{}", self.endpoint(), encoded(path))
    }

    /// Publishes a repository, or a new commit of it; returns the commit. Hashes all its big files.
    pub fn publish(&self, repo: Repo) -> String {
        for entry in &repo.files {
            entry.oid();
        }
        let mut state = self.state();
        if let Some(stored) = state.repos.iter_mut().find(|stored| stored.id == repo.id) {
            return stored.commit(repo);
        }
        let mut stored = Stored {
            id: repo.id.clone(),
            access: repo.access,
            formerly: Vec::new(),
            card: repo.card.clone(),
            refs: BTreeMap::new(),
            commits: BTreeMap::new(),
        };
        let commit = stored.commit(repo);
        state.repos.push(stored);
        commit
    }

    /// A token of a new user, who has access to these gated and private repositories.
    pub fn token(&self, name: &str, repos: &[&str]) -> String {
        let token = format!("hf_{name}TokenOfTheTests");
        let open = repos.iter().map(|id| (*id).to_owned()).collect();
        self.state().users.insert(token.clone(), open);
        token
    }

    /// Tells so many entries of a tree at once (1000).
    pub fn page_size(&self, entries: usize) {
        self.state().page = entries.max(1);
    }

    /// Addresses of big files are valid for so long, in whole seconds (an hour).
    pub fn signatures_last(&self, time: Duration) {
        self.state().lasts = time;
    }

    /// Each answer of either origin begins so much later.
    pub fn latency(&self, time: Duration) {
        self.state().latency = time;
    }

    /// So many bytes of bodies a second, of all connections together, also of answers that have begun with a rate. With 0 they stand
    /// still, so that a client can come to have all that was sent.
    pub fn rate(&self, bytes: Option<u64>) {
        self.shared.pace.set(bytes);
    }

    /// Lets something go wrong. Of several rules that fit, the first one counts.
    pub fn fault(&self, rule: impl Into<Rule>) {
        self.shared.rules.add(rule.into());
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.shared.rules.clear();
    }

    /// How often something went wrong.
    pub fn struck(&self) -> u64 {
        self.shared.rules.struck()
    }

    /// All requests whose answers have begun, in that order.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.shared.seen.lock().expect("the requests");
        seen.iter().map(|(one, bytes)| Seen { bytes: bytes.load(SeqCst), ..one.clone() }).collect()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.seen.lock().expect("the requests").clear();
    }

    /// Bytes of big files that were sent so far; see [`Seen::bytes`] for what that says of answers that were broken off.
    pub fn cdn_bytes(&self) -> u64 {
        let is_file = |one: &Seen| one.place == Place::Cdn && one.status < 300;
        self.seen().iter().filter(|one| is_file(one)).map(|one| one.bytes).sum()
    }

    /// Whether a token ever reached the origin of big files.
    pub fn token_at_cdn(&self) -> bool {
        self.seen().iter().any(|one| one.place == Place::Cdn && one.token)
    }

    /// Connections that are open, of either origin. Once there are none, nothing is counted any more.
    pub fn connections(&self) -> usize {
        self.shared.open.lock().expect("the connections").len()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().expect("the state")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.shared.pace.set(None);
        for address in [self.address, self.cdn] {
            // It wakes up, and sees that it has ended.
            let _ = TcpStream::connect(address);
        }
        for stream in self.shared.open.lock().expect("the connections").values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn listen(self: Arc<Self>, listener: &TcpListener, is_cdn: bool) {
        for stream in listener.incoming().flatten() {
            if self.ended.load(SeqCst) {
                return;
            }
            let shared = Arc::clone(&self);
            std::thread::spawn(move || {
                let number = shared.opened.fetch_add(1, SeqCst);
                if let Ok(own) = stream.try_clone() {
                    shared.open.lock().expect("the connections").insert(number, own);
                }
                // How a client ends a connection is its own affair.
                let _ = shared.serve(&stream, is_cdn);
                let _ = stream.shutdown(Shutdown::Both);
                shared.open.lock().expect("the connections").remove(&number);
            });
        }
    }

    fn serve(&self, stream: &TcpStream, is_cdn: bool) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut from = BufReader::new(stream);
        while let Some(mut ask) = Ask::read(&mut from)? {
            let at = Instant::now();
            let latency = self.state.lock().expect("the state").latency;
            std::thread::sleep(latency);
            let place = place(&mut ask, is_cdn);
            let (reply, damage) = self.reply(place, &ask);
            let is_head = ask.method == "HEAD";
            let is_last = ask.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let bytes = self.note(at, place, ask, reply.status);
            let next = send(stream, &reply, is_head, damage, &self.pace, &bytes)?;
            if is_last || next == Next::Ends {
                break;
            }
        }
        Ok(())
    }

    /// Remembers a request, before its answer begins; returns where the bytes of that are counted.
    fn note(&self, at: Instant, place: Place, ask: Ask, status: u16) -> Arc<AtomicU64> {
        let text = |name: &str| ask.header(name).map(str::to_owned);
        let bytes = Arc::new(AtomicU64::new(0));
        let seen = Seen {
            at,
            place,
            range: text("range"),
            token: text("authorization").is_some(),
            agent: text("user-agent").unwrap_or_default(),
            status,
            bytes: 0,
            method: ask.method,
            target: ask.target,
            file: ask.file,
        };
        self.seen.lock().expect("the requests").push((seen, Arc::clone(&bytes)));
        bytes
    }

    /// The answer, and what goes wrong with it.
    fn reply(&self, place: Place, ask: &Ask) -> (Reply, Damage) {
        let rules = &self.rules;
        let instead = rules.strike(place, ask, |fault| match fault {
            Fault::Answer(reply) => Some(reply.clone()),
            _ => None,
        });
        if let Some(reply) = instead {
            return (reply, Damage::default());
        }
        let has_range = ask.header("range").is_some() && matches!(place, Place::Cache | Place::Cdn);
        let bend = rules.strike(place, ask, |fault| match fault {
            Fault::IgnoreRange if has_range => Some(Bend::Ignored),
            Fault::WrongRange if has_range => Some(Bend::Wrong),
            _ => None,
        });
        let mut reply = self.route(place, ask, bend.unwrap_or(Bend::Not));
        let header = rules.strike(place, ask, |fault| match fault {
            Fault::Header(name, value) => Some((name.clone(), value.clone())),
            _ => None,
        });
        match header {
            Some((name, Some(value))) => reply = reply.header(&name, &value),
            Some((name, None)) => reply.remove(&name),
            None => {}
        }
        let damage = self.damage(place, ask, &mut reply);
        (reply, damage)
    }

    fn damage(&self, place: Place, ask: &Ask, reply: &mut Reply) -> Damage {
        let length = reply.body.length();
        if ask.method == "HEAD" || reply.status >= 300 {
            return Damage::default();
        }
        let shorter = self.rules.strike(place, ask, |fault| match fault {
            Fault::Shorten(count) if *count <= length => Some(length - count),
            _ => None,
        });
        match (&mut reply.body, shorter) {
            (Body::Part { length, .. }, Some(shorter)) => *length = shorter,
            (Body::Bytes(bytes), Some(shorter)) => bytes.truncate(usize::try_from(shorter).unwrap_or(0)),
            _ => {}
        }
        let first = if let Body::Part { at, .. } = reply.body { at } else { 0 };
        Damage {
            drop: self.rules.strike(place, ask, |fault| match fault {
                Fault::Drop(count) if *count < length => Some(*count),
                _ => None,
            }),
            stall: self.rules.strike(place, ask, |fault| match fault {
                Fault::Stall(count) if *count < length => Some(*count),
                _ => None,
            }),
            flip: self.rules.strike(place, ask, |fault| match fault {
                Fault::Flip(byte) if (first..first + length).contains(byte) => Some(*byte),
                _ => None,
            }),
        }
    }

    /// The answer when nothing goes wrong.
    fn route(&self, place: Place, ask: &Ask, bend: Bend) -> Reply {
        let state = self.state.lock().expect("the state");
        if place == Place::Cdn {
            let all = || state.repos.iter().flat_map(|repo| repo.commits.values()).flatten();
            let find = |hash: &str| all().find(|entry| entry.big && entry.content.sha256() == hash);
            return cdn::answer(ask, bend, |hash| find(hash).map(|entry| entry.content.clone()));
        }
        if let Some(refusal) = bad_token(ask, &state.users) {
            return refusal;
        }
        let words = ask.segments();
        if words == ["api", "whoami-v2"] {
            return ask.token().map_or_else(
                || refused(401, "", "Invalid username or password."),
                |_| Reply::json(200, &json!({"type": "user", "name": "tester", "orgs": [], "auth": {}})),
            );
        }
        let (before, id_length) = match place {
            Place::Api => (2, id_length(&words, &WORDS)),
            Place::Cache => (3, Some(2)),
            _ => (0, words.iter().take(3).position(|word| word == "resolve")),
        };
        let Some(id) = id_length.and_then(|length| words.get(before..before + length)) else {
            return refused(404, "", "Sorry, we can't find the page you are looking for.");
        };
        let (given, rest) = (id.join("/"), &words[before + id.len()..]);
        let Some(repo) = state.repos.iter().find(|repo| repo.id == given) else {
            let other =
                |repo: &&Stored| repo.id.eq_ignore_ascii_case(&given) || repo.formerly.contains(&given);
            let Some(repo) = state.repos.iter().find(other) else { return unknown(ask) };
            return renamed(ask, before, id.len(), &repo.id);
        };
        if let Some(refusal) = refusal(ask, repo, &state.users, place != Place::Api) {
            return refusal;
        }
        match (place, rest) {
            (Place::Resolve, [_, revision, path @ ..]) => {
                resolve::resolve(repo, revision, &path.join("/"), &self.cdn, state.lasts.as_secs())
            }
            (Place::Cache, [commit, path @ ..]) => resolve::cached(ask, repo, commit, &path.join("/"), bend),
            _ => api::answer(ask, repo, rest, &self.origin, state.page),
        }
    }
}

/// Where a request arrives; notes in it the file that it is about.
fn place(ask: &mut Ask, is_cdn: bool) -> Place {
    let words = ask.segments();
    let from = |at: usize| words.get(at..).map(|rest| rest.join("/"));
    let (place, file) = if is_cdn {
        (Place::Cdn, ask.query("for"))
    } else if words.starts_with(&["api".into(), "resolve-cache".into()]) {
        (Place::Cache, from(6))
    } else if let Some(at) = words.iter().take(3).position(|word| word == "resolve") {
        (Place::Resolve, from(at + 2))
    } else {
        (Place::Api, None)
    };
    ask.file = file;
    place
}

/// Of how many parts the id is that begins at the third: before one of the words, or all the rest.
fn id_length(words: &[String], known: &[&str]) -> Option<usize> {
    let is_known = |at: usize| words.get(at).is_some_and(|word| known.contains(&word.as_str()));
    (words.len() > 2 && words[1] == "models").then(|| if is_known(3) { 1 } else { 2.min(words.len() - 2) })
}

/// Leads to the same under the right id.
fn renamed(ask: &Ask, before: usize, parts: usize, id: &str) -> Reply {
    let raw: Vec<&str> = ask.target.trim_start_matches('/').split('/').collect();
    // With no more than the id, the last part has the query.
    let query = raw.get(before + parts).is_none().then(|| ask.target.split_once('?')).flatten();
    let query = query.map_or_else(String::new, |(_, query)| format!("?{query}"));
    let rest = raw.get(before + parts..).unwrap_or_default();
    let words: Vec<&str> = raw[..before].iter().copied().chain([id]).chain(rest.iter().copied()).collect();
    let place = format!("/{}{query}", words.join("/"));
    Reply::text(307, &format!("Temporary Redirect. Redirecting to {place}")).header("Location", &place)
}

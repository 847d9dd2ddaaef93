//! What goes wrong: where, with which file, and how often.

use std::sync::Mutex;

use serde_json::json;

use super::wire::{Ask, Reply};

/// Where a request arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `/api/...`: what there is.
    Api,
    /// `/ORG/NAME/resolve/...`: where a file is.
    Resolve,
    /// `/api/resolve-cache/...`: small files themselves.
    Cache,
    /// The other origin: big files themselves.
    Cdn,
}

/// What goes wrong with one answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Another answer comes; see [`Fault::status`], [`Fault::busy`], [`Fault::html`], [`Fault::expired`], [`Fault::missing`], [`Fault::elsewhere`].
    Answer(Reply),
    /// The connection ends after so many bytes of the body, if it has more.
    Drop(u64),
    /// The body, and the length that is announced, are so many bytes shorter than they should be.
    Shorten(u64),
    /// One bit of the byte at this place of the file is another one, if that byte is sent.
    Flip(u64),
    /// Nothing comes after so many bytes of the body, and the connection stays open.
    Stall(u64),
    /// A range is asked for, and all comes, with 200.
    IgnoreRange,
    /// A range is asked for, and as many bytes of the file's beginning come, with 206.
    WrongRange,
    /// This header says something else, or with no text is left out.
    Header(String, Option<String>),
}

/// When it happens. By default: everywhere, with each request, always.
#[derive(Debug, Clone)]
pub struct Rule {
    fault: Fault,
    places: Vec<Place>,
    path: Option<String>,
    method: Option<&'static str>,
    left: Option<u32>,
    spared: u32,
}

impl Fault {
    /// This status, as 503, with a sentence.
    pub fn status(status: u16) -> Self {
        Self::Answer(Reply::json(status, &json!({"error": "something is wrong here"})))
    }

    /// 429: come back after so many seconds.
    pub fn busy(seconds: u32) -> Self {
        let reply = Reply::json(429, &json!({"error": "too many requests"}));
        Self::Answer(reply.header("Retry-After", &seconds.to_string()))
    }

    /// A page for people, with 200, as a portal of a network gives it.
    pub fn html() -> Self {
        let page = "<!doctype html><html><body><h1>Please sign in</h1></body></html>";
        Self::Answer(Reply::text(200, page).header("Content-Type", "text/html; charset=utf-8"))
    }

    /// As if the signature of the address were too old.
    pub fn expired() -> Self {
        Self::Answer(super::cdn::denied("Request has expired"))
    }

    /// The file is not there, though the listing has it.
    pub fn missing() -> Self {
        Self::Answer(super::rights::refused(404, "EntryNotFound", "Entry not found"))
    }

    /// What is asked for is at another address.
    pub fn elsewhere(status: u16, url: &str) -> Self {
        Self::Answer(Reply::text(status, "").header("Location", url))
    }

    /// A header says this.
    pub fn header(name: &str, value: &str) -> Self {
        Self::Header(name.into(), Some(value.into()))
    }

    /// A header is left out.
    pub fn without(name: &str) -> Self {
        Self::Header(name.into(), None)
    }

    /// Only there; once more: there too.
    pub fn at(self, place: Place) -> Rule {
        Rule::from(self).at(place)
    }

    /// Only with this file, or with addresses that have this text.
    pub fn path(self, path: &str) -> Rule {
        Rule::from(self).path(path)
    }

    /// So many times, then never again.
    pub fn times(self, count: u32) -> Rule {
        Rule::from(self).times(count)
    }
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Self {
        Self { fault, places: Vec::new(), path: None, method: None, left: None, spared: 0 }
    }
}

impl Rule {
    /// Only there; once more: there too.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Only with this file, or with addresses that have this text.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Only with this method.
    #[must_use]
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// So many times, then never again.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.left = Some(count);
        self
    }

    /// Not with the first so many requests that it fits.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.spared = count;
        self
    }

    fn fits(&self, place: Place, ask: &Ask) -> bool {
        (self.places.is_empty() || self.places.contains(&place))
            && self.left != Some(0)
            && self.method.is_none_or(|method| method == ask.method)
            && self.path.as_ref().is_none_or(|path| {
                ask.file.as_ref().map_or_else(|| ask.target.contains(path), |file| file == path)
            })
    }
}

/// All rules that are in force.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Mutex<Vec<Rule>>,
    struck: Mutex<u64>,
}

impl Rules {
    pub(super) fn add(&self, rule: Rule) {
        self.rules.lock().expect("the rules").push(rule);
    }

    pub(super) fn clear(&self) {
        self.rules.lock().expect("the rules").clear();
    }

    /// How often something went wrong.
    pub(super) fn struck(&self) -> u64 {
        *self.struck.lock().expect("the count")
    }

    /// What the first rule that fits makes of this request, if anything; only then does it count.
    pub(super) fn strike<T>(
        &self,
        place: Place,
        ask: &Ask,
        effect: impl Fn(&Fault) -> Option<T>,
    ) -> Option<T> {
        let mut rules = self.rules.lock().expect("the rules");
        for rule in rules.iter_mut().filter(|rule| rule.fits(place, ask)) {
            let Some(found) = effect(&rule.fault) else { continue };
            if rule.spared > 0 {
                rule.spared -= 1;
                continue;
            }
            rule.left = rule.left.map(|left| left - 1);
            *self.struck.lock().expect("the count") += 1;
            return Some(found);
        }
        None
    }
}

//! `network:` of site.yaml: where services listen and how they are reached.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::forms::{HOST, name};
use crate::shape::{By, Fault, Format, Key, Map, Shape, View};

/// Where services listen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkRules {
    /// The ports to listen at; `None`: any free one.
    pub ports: Option<Ports>,
    /// The network interface whose address is tried first.
    pub interface: Option<String>,
    /// How other machines name a node, with `{node}` for its own name.
    pub hostname: Option<String>,
}

/// A range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// The first, 1024 or above.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl Ports {
    /// Whether a port is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl std::fmt::Display for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for Ports {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let port = |text: &str| -> Option<u16> {
            text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let invalid = |why: &str| {
            Fault::new("invalid_ports", format!("`{text}` {why}")).with_hint("write it as 8000-8999")
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Some(first), Some(last)) = (port(first.trim()), port(last.trim())) else {
            return Err(invalid("is no range of ports, which go up to 65535"));
        };
        if first < 1024 {
            return Err(invalid("has ports below 1024, which are for root"));
        }
        if last < first {
            return Err(invalid("ends before it begins"));
        }
        Ok(Self { first, last })
    }
}

static INTERFACE: Format = name("the name of a network interface", &["ib0"]);

static PORTS: Format = Format {
    is: "a range of ports",
    examples: &["8000-8999"],
    is_number: true,
    check: |_, text| text.parse::<Ports>().map(drop),
};

pub(super) static MAP: Map = Map::of(
    "`network`",
    &[
        Key::new("ports", Shape::Format(&PORTS), "The ports that services listen at")
            .or("any free one")
            .by(By::User),
        Key::new(
            "interface",
            Shape::Format(&INTERFACE),
            "The network interface of a node whose address is tried first",
        )
        .or("that of the node's name")
        .by(By::User),
        Key::new("hostname", Shape::Format(&HOST), "How other machines name a node").by(By::Nobody),
    ],
);

pub(super) fn read(view: View<'_>) -> NetworkRules {
    NetworkRules {
        ports: view.parsed("ports"),
        interface: view.text("interface"),
        hostname: view.text("hostname"),
    }
}

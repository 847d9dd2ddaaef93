//! The API key of a service, and the proof that a listener knows it without either side saying it.

use std::fmt;
use std::io;
use std::path::Path;

use bf_core::digest::hex;
use bf_core::report::{Exit, Failure};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// An API key. Never shown by `Debug`, never in arguments, logs or URLs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    /// A new one: 256 random bits.
    pub(crate) fn random() -> Result<Self, Failure> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(hex(&bytes)))
    }

    /// One that the user chose. It travels in a header: printable ASCII without blanks, 16 to 512 characters.
    pub(crate) fn chosen(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if (16..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        let message = "the API key must be 16 to 512 printable ASCII characters without blanks";
        Err(Failure::new(Exit::Invalid, "key_invalid", message)
            .with_hint("leave it out: a random key is made for each service"))
    }

    /// Reads a key file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs_err::read_to_string(path).map_err(|error| {
            let hint = "only the service's owner can read its key; ask them for a key of your own";
            let failure = Failure::from(error);
            if failure.exit == Exit::Permission { failure.with_hint(hint) } else { failure }
        })?;
        Self::chosen(&text)
    }

    /// Its text, for a header or a key file.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this key, in a time that does not depend on where they differ.
    pub(crate) fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

/// What a listener that knows `key` answers to the challenge `nonce`: HMAC-SHA256 over a label, the service, the port that
/// the listener has bound and the nonce, as hex.
///
/// With the port in it, a stranger who took over a port cannot pass a challenge on to the real service elsewhere.
pub(crate) fn proof(key: &Key, service: &str, port: u16, nonce: &str) -> String {
    // HMAC takes keys of any length: this cannot fail. The empty proof of the other branch proves nothing to anybody.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.0.as_bytes()) else { return String::new() };
    for part in ["blackfish-challenge-1", service, &port.to_string(), nonce] {
        mac.update(part.as_bytes());
        mac.update(b"\0");
    }
    hex(&mac.finalize().into_bytes())
}

/// Whether two proofs are the same and not empty, in constant time.
pub(crate) fn proofs_match(expected: &str, got: &str) -> bool {
    !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(got.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown_and_compared_whole() {
        let key = Key::random().unwrap();
        assert!(!format!("{key:?}").contains(key.text()));
        assert!(key.matches(key.text().as_bytes()));
        assert!(!key.matches(&key.text().as_bytes()[1..]));
        assert!(!key.matches(b""));
        assert!(Key::chosen("too short").is_err());
        assert!(Key::chosen("with a blank and long enough").is_err());
    }

    #[test]
    fn a_proof_depends_on_key_service_port_and_nonce() {
        let (one, two) = (Key::random().unwrap(), Key::random().unwrap());
        let base = proof(&one, "a", 1, "n");
        assert_eq!(base, proof(&one, "a", 1, "n"));
        for other in [
            proof(&two, "a", 1, "n"),
            proof(&one, "b", 1, "n"),
            proof(&one, "a", 2, "n"),
            proof(&one, "a", 1, "m"),
        ] {
            assert_ne!(base, other);
        }
        assert!(!proofs_match("", ""));
    }
}

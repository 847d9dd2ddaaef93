//! What an image of a registry consists of and how it is made, in the same words before it is fetched and afterwards.

use bf_core::convert::Outline;
use bf_core::report::human_bytes;

/// What is fetched for an image, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) outline: Outline,
    /// How its root filesystem is compressed, with the level.
    pub(crate) compression: String,
}

impl Account {
    /// Before it is fetched: `sha256:..., 3 layers, 1.2 GB to fetch, gzip:7`.
    pub(crate) fn planned(&self) -> String {
        self.said("to fetch", "are")
    }

    /// After it was fetched: `sha256:..., 3 layers, 1.2 GB fetched, gzip:7`.
    pub(crate) fn done(&self) -> String {
        self.said("fetched", "were")
    }

    fn said(&self, fetched: &str, are: &str) -> String {
        let Self { outline, compression } = self;
        let Outline { digest, layers, bytes, there } = outline;
        let plural = if *layers == 1 { "" } else { "s" };
        let there = match there {
            0 => String::new(),
            there => format!(", {} of {} {are} there", human_bytes(*there), human_bytes(*bytes)),
        };
        let rest = human_bytes(outline.rest());
        format!("{digest}, {layers} layer{plural}, {rest} {fetched}{there}, {compression}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_and_afterwards_the_same_is_said() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        let of = |layers, there| {
            let outline = Outline { digest: digest.parse().unwrap(), layers, bytes: 3_000_000, there };
            Account { outline, compression: "gzip:7".into() }
        };
        assert_eq!(of(1, 0).planned(), format!("{digest}, 1 layer, 3.0 MB to fetch, gzip:7"));
        assert_eq!(of(1, 0).done(), format!("{digest}, 1 layer, 3.0 MB fetched, gzip:7"));
        let said = of(2, 1_000_000).done();
        assert_eq!(said, format!("{digest}, 2 layers, 2.0 MB fetched, 1.0 MB of 3.0 MB were there, gzip:7"));
    }
}

//! The comment that Blackfish gives its jobs (interface H of `docs/formats.md`).

use std::fmt;

/// What begins every comment of Blackfish.
const PREFIX: &str = "bf:";

/// The longest value. Ours are far shorter, and a stranger's job is no reason to keep more.
const MAX_VALUE: usize = 128;

/// What a job of Blackfish is for and what it uses: `bf:svc=...;image=...`. Anybody can give a job such a comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comment {
    /// The service.
    pub svc: Option<String>,
    /// The image it uses: 12 hexadecimal digits.
    pub image: Option<String>,
    /// The model it uses: 12 hexadecimal digits of repo and revision.
    pub model: Option<String>,
    /// The TigerFlow release it uses.
    pub tigerflow: Option<String>,
    /// The batch it belongs to.
    pub batch: Option<String>,
}

impl Comment {
    /// Reads a comment; `None` if it is not one of Blackfish. Keys of newer versions are passed over, and so are values
    /// that Blackfish would not write. Of a key that is there twice the first counts.
    pub fn parse(text: &str) -> Option<Self> {
        let pairs = text.trim().strip_prefix(PREFIX)?;
        let mut comment = Self::default();
        for (key, value) in pairs.split(';').filter_map(|pair| pair.split_once('=')) {
            let field = match key {
                "svc" => &mut comment.svc,
                "image" => &mut comment.image,
                "model" => &mut comment.model,
                "tigerflow" => &mut comment.tigerflow,
                "batch" => &mut comment.batch,
                _ => continue,
            };
            if field.is_none() && is_value(value) {
                *field = Some(value.to_owned());
            }
        }
        Some(comment)
    }
}

/// Whether Blackfish would write this value: only such ones pass `sbatch` and `squeue` unchanged and unquoted.
fn is_value(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '/' | ':' | '@');
    (1..=MAX_VALUE).contains(&text.len()) && text.chars().all(allowed)
}

impl fmt::Display for Comment {
    /// Values that could not be read back are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
            ("svc", &self.svc),
            ("image", &self.image),
            ("model", &self.model),
            ("tigerflow", &self.tigerflow),
            ("batch", &self.batch),
        ];
        let pairs = fields.into_iter().filter_map(|(key, value)| {
            value.as_deref().filter(|value| is_value(value)).map(|value| format!("{key}={value}"))
        });
        write!(f, "{PREFIX}{}", pairs.collect::<Vec<_>>().join(";"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_comment_is_read_and_written() {
        let text = "bf:svc=0f2c;image=aaaabbbbcccc;model=ddddeeeeffff;tigerflow=2026.1;batch=7";
        let comment = Comment::parse(text).unwrap();
        assert_eq!(comment.svc.as_deref(), Some("0f2c"));
        assert_eq!(comment.tigerflow.as_deref(), Some("2026.1"));
        assert_eq!(comment.to_string(), text);
        assert_eq!(Comment::parse("bf:").unwrap(), Comment::default());
    }

    #[test]
    fn what_others_write_is_tolerated() {
        for text in ["", "(null)", "my job", "BF:svc=a", "xbf:svc=a", "b\u{301}f:"] {
            assert_eq!(Comment::parse(text), None, "{text}");
        }
        let comment = Comment::parse("bf:future=1;svc=a;svc=b;image=;model=a b;=;;batch").unwrap();
        assert_eq!(comment, Comment { svc: Some("a".into()), ..Comment::default() });
        let long = format!("bf:svc={}", "x".repeat(129));
        assert_eq!(Comment::parse(&long).unwrap(), Comment::default());
    }

    #[test]
    fn a_value_cannot_bring_other_keys() {
        let comment =
            Comment { svc: Some("a;image=b".into()), batch: Some("1".into()), ..Comment::default() };
        assert_eq!(comment.to_string(), "bf:batch=1");
    }

    proptest! {
        #[test]
        fn no_text_upsets_it(text in "(bf:)?\\PC{0,60}") {
            if let Some(comment) = Comment::parse(&text) {
                prop_assert_eq!(Comment::parse(&comment.to_string()).unwrap(), comment);
            }
        }

        #[test]
        fn what_is_written_is_read(
            svc in prop::option::of("[a-z0-9]{1,32}"),
            image in prop::option::of("[0-9a-f]{12}"),
            model in prop::option::of("[0-9a-f]{12}"),
            tigerflow in prop::option::of("[0-9A-Za-z._+-]{1,20}"),
            batch in prop::option::of("[0-9a-f]{1,32}"),
        ) {
            let comment = Comment { svc, image, model, tigerflow, batch };
            prop_assert_eq!(Comment::parse(&comment.to_string()), Some(comment));
        }
    }
}

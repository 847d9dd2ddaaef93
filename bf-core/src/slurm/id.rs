//! What Slurm calls a job.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::SlurmError;

/// A job's id: `123`, or `123;cluster` where Slurm was asked to send the job to another cluster or chose one itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId {
    number: String,
    cluster: Option<String>,
}

impl JobId {
    /// The number, as text. One of an array is `123_4`, one of a heterogeneous job `123+1`.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The cluster, where Slurm named one.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }
}

/// Ids become arguments of commands, so there is nothing in them that could be an option.
fn is_number(text: &str) -> bool {
    let digits =
        |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once(['_', '+']) {
        Some((job, part)) => digits(job) && digits(part),
        None => digits(text),
    }
}

fn is_cluster(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

impl FromStr for JobId {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        let (number, cluster) = match text.split_once(';') {
            Some((number, cluster)) => (number, Some(cluster)),
            None => (text, None),
        };
        if is_number(number) && cluster.is_none_or(is_cluster) {
            return Ok(Self { number: number.to_owned(), cluster: cluster.map(str::to_owned) });
        }
        Err(SlurmError::invalid("job id", text, "it is no number as Slurm gives them"))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cluster {
            Some(cluster) => write!(f, "{};{cluster}", self.number),
            None => f.write_str(&self.number),
        }
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_numbers_with_an_optional_cluster() {
        let id: JobId = "123;hpc-1".parse().unwrap();
        assert_eq!((id.number(), id.cluster()), ("123", Some("hpc-1")));
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"123;hpc-1\"");
        assert_eq!(serde_json::from_str::<JobId>("\"123;hpc-1\"").unwrap(), id);
        for text in ["1", "123_4", "123+1"] {
            assert_eq!(text.parse::<JobId>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "-1",
            "1 2",
            "1;",
            ";a",
            "1;-M",
            "1;a;b",
            "--me",
            "1_",
            "1_[1-3]",
            "123456789012345678901",
            "1\n",
        ] {
            assert!(text.parse::<JobId>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "[0-9]{1,6}([_+][0-9]{1,3})?(;[a-z][a-z0-9._-]{0,9})?") {
            prop_assert_eq!(text.parse::<JobId>().unwrap().to_string(), text);
        }

        #[test]
        fn no_text_makes_an_option(text in "\\PC{0,20}") {
            if let Ok(id) = text.parse::<JobId>() {
                prop_assert!(id.number().starts_with(|c: char| c.is_ascii_digit()));
                prop_assert!(id.cluster().is_none_or(|cluster| !cluster.starts_with('-')));
            }
        }
    }
}

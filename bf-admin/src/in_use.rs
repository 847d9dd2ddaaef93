//! What Slurm's jobs use of the cache, by the comments that bf-user gives them: what is not to be removed.

use std::collections::BTreeMap;

use bf_core::model::ModelId;
use bf_core::report::{Exit, Failure};
use bf_core::settings::Environment;
use bf_core::slurm::{Slurm, SlurmError};

/// Which images and models jobs use, on every cluster that was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    images: BTreeMap<String, Vec<String>>,
    /// By the mark of the revision ([`bf_core::model::ModelId::mark`]).
    models: BTreeMap<String, Vec<String>>,
    /// Why there may be more than we know of.
    pub(crate) unsure: Option<Failure>,
}

impl InUse {
    /// Asks Slurm about all that wait or run. `clusters`: those of a federation; none: this host's.
    pub(crate) fn ask(environment: &Environment, clusters: &[String]) -> Self {
        let Some(slurm) = Slurm::find(environment) else {
            let message =
                "there is no Slurm on this machine that could be asked which jobs use what would be removed";
            return Self::unsure(Failure::new(Exit::Unreachable, "slurm_not_found", message));
        };
        Self::of(&slurm, clusters).unwrap_or_else(|error| Self::unsure(error.into()))
    }

    fn of(slurm: &Slurm, clusters: &[String]) -> Result<Self, SlurmError> {
        let mut found = Self::default();
        if slurm.hides_jobs()? {
            let message =
                "Slurm hides other people's jobs (PrivateData), which may use what would be removed";
            found.unsure = Some(hinted(Failure::new(Exit::Permission, "jobs_hidden", message)));
        }
        let live = slurm.queue_of_all(clusters)?.into_iter().filter(|job| !job.state.is_over());
        for job in live {
            let comment = job.comment.unwrap_or_default();
            if let Some(image) = comment.image {
                found.images.entry(image).or_default().push(job.id.to_string());
            }
            if let Some(model) = comment.model {
                found.models.entry(model).or_default().push(job.id.to_string());
            }
        }
        Ok(found)
    }

    fn unsure(failure: Failure) -> Self {
        Self { unsure: Some(hinted(failure)), ..Self::default() }
    }

    /// The jobs that use the image of these 12 hex digits.
    pub(crate) fn of_image(&self, digest12: &str) -> &[String] {
        self.images.get(digest12).map_or(&[], Vec::as_slice)
    }

    /// The jobs that use this revision of a model.
    pub(crate) fn of_model(&self, id: &ModelId, commit: &str) -> &[String] {
        self.models.get(&id.mark(commit)).map_or(&[], Vec::as_slice)
    }
}

/// What there is to do where we cannot be sure.
fn hinted(failure: Failure) -> Failure {
    failure.with_hint("run it on a host, and as a user, that sees all jobs; or --force, if nothing runs")
}

/// `job 7`, `jobs 7, 8, 9 and 4 more`.
pub(crate) fn shown(jobs: &[String]) -> String {
    const SHOWN: usize = 3;
    let some = jobs.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match jobs.len() {
        1 => format!("job {some}"),
        count if count <= SHOWN => format!("jobs {some}"),
        count => format!("jobs {some} and {} more", count - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_slurm_nothing_is_sure() {
        let found = InUse::ask(&Environment::default(), &[]);
        assert_eq!(found.unsure.unwrap().code, "slurm_not_found");
    }

    #[test]
    fn a_job_uses_one_revision_of_a_model() {
        let id: ModelId = "org/name".parse().unwrap();
        // printf %s org/name@1 | sha256sum | cut -c1-12
        let mark = bf_core::digest::of_bytes(b"org/name@1")[..12].to_owned();
        let found = InUse { models: BTreeMap::from([(mark, vec!["7".into()])]), ..InUse::default() };
        assert_eq!((found.of_model(&id, "1").len(), found.of_model(&id, "2").len()), (1, 0));
    }

    #[test]
    fn jobs_are_named_and_counted() {
        let jobs: Vec<String> = (1..=7).map(|job| job.to_string()).collect();
        assert_eq!(shown(&jobs[..1]), "job 1");
        assert_eq!(shown(&jobs[..2]), "jobs 1, 2");
        assert_eq!(shown(&jobs), "jobs 1, 2, 3 and 4 more");
    }
}

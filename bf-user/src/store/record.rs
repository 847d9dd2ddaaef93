//! One row: a service as it was asked for.

use std::path::Path;

use rusqlite::{Connection, Row, params};

use crate::job::Job;

/// A service as it was asked for, and the state it was last seen in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// 32 hex digits.
    pub(crate) id: String,
    /// RFC 3339.
    pub(crate) created_at: String,
    /// RFC 3339, last change of `status`.
    pub(crate) updated_at: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) engine: String,
    pub(crate) model: String,
    pub(crate) revision: String,
    pub(crate) profile: String,
    /// `local` or `slurm`
    pub(crate) scheduler: String,
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) home_dir: String,
    pub(crate) cache_dir: String,
    pub(crate) job_id: Option<String>,
    /// Last seen.
    pub(crate) status: String,
    pub(crate) tier: Option<String>,
    pub(crate) partition: Option<String>,
    pub(crate) cpus: u32,
    pub(crate) gpus: u32,
    pub(crate) memory_gb: u32,
    /// Seconds.
    pub(crate) time_limit: Option<i64>,
    /// Seconds.
    pub(crate) idle_timeout: Option<i64>,
    /// Seconds.
    pub(crate) grace_period: i64,
    pub(crate) constraint: Option<String>,
    /// What Slurm charges.
    pub(crate) account: Option<String>,
    /// The image that the engine runs in.
    pub(crate) image_ref: Option<String>,
}

const COLUMNS: &str = "id, created_at, updated_at, name, kind, engine, model, revision, profile, scheduler, host, user, \
    home_dir, cache_dir, job_id, status, tier, partition, cpus, gpus, memory_gb, time_limit, idle_timeout, \
    grace_period, constraint_expr, account, image_ref";

impl Record {
    /// The service of a job that was made for `home_dir`.
    pub(crate) fn of_job(job: &Job, home_dir: &Path) -> Self {
        let seconds = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
        Self {
            id: job.service.clone(),
            created_at: job.created_at.clone(),
            updated_at: job.created_at.clone(),
            name: job.name.clone(),
            kind: job.kind.clone(),
            engine: job.engine.id.clone(),
            model: job.model.repo.clone(),
            revision: job.model.revision.clone(),
            profile: job.profile.clone(),
            scheduler: job.scheduler.name().into(),
            host: "localhost".into(),
            user: bf_core::host::user(),
            home_dir: home_dir.display().to_string(),
            cache_dir: job.cache_dir.clone(),
            job_id: None,
            status: "submitted".into(),
            tier: job.tier.as_ref().map(|tier| tier.name.clone()),
            partition: job
                .slurm
                .partition
                .clone()
                .or_else(|| job.tier.as_ref().and_then(|tier| tier.partition.clone())),
            cpus: job.resources.cpus,
            gpus: job.resources.gpus,
            memory_gb: job.resources.memory_gb,
            time_limit: seconds(job.time_limit),
            idle_timeout: seconds(job.idle_timeout),
            grace_period: seconds(Some(job.grace_period)).unwrap_or(i64::MAX),
            constraint: job.slurm.constraint.clone(),
            account: job.slurm.account.clone(),
            image_ref: job.engine.image.as_ref().map(|image| image.reference.clone()),
        }
    }

    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let marks = vec!["?"; COLUMNS.split(',').count()].join(", ");
        let values = params![
            self.id,
            self.created_at,
            self.updated_at,
            self.name,
            self.kind,
            self.engine,
            self.model,
            self.revision,
            self.profile,
            self.scheduler,
            self.host,
            self.user,
            self.home_dir,
            self.cache_dir,
            self.job_id,
            self.status,
            self.tier,
            self.partition,
            self.cpus,
            self.gpus,
            self.memory_gb,
            self.time_limit,
            self.idle_timeout,
            self.grace_period,
            self.constraint,
            self.account,
            self.image_ref,
        ];
        connection
            .execute(&format!("INSERT OR IGNORE INTO service ({COLUMNS}) VALUES ({marks})"), values)
            .map(|_| ())
    }

    pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM service ORDER BY created_at, id");
        connection.prepare(&sql)?.query_map([], Self::of_row)?.collect()
    }

    fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            name: row.get("name")?,
            kind: row.get("kind")?,
            engine: row.get("engine")?,
            model: row.get("model")?,
            revision: row.get("revision")?,
            profile: row.get("profile")?,
            scheduler: row.get("scheduler")?,
            host: row.get("host")?,
            user: row.get("user")?,
            home_dir: row.get("home_dir")?,
            cache_dir: row.get("cache_dir")?,
            job_id: row.get("job_id")?,
            status: row.get("status")?,
            tier: row.get("tier")?,
            partition: row.get("partition")?,
            cpus: row.get("cpus")?,
            gpus: row.get("gpus")?,
            memory_gb: row.get("memory_gb")?,
            time_limit: row.get("time_limit")?,
            idle_timeout: row.get("idle_timeout")?,
            grace_period: row.get("grace_period")?,
            constraint: row.get("constraint_expr")?,
            account: row.get("account")?,
            image_ref: row.get("image_ref")?,
        })
    }

    /// A record for tests.
    #[cfg(test)]
    pub(crate) fn example(id: &str) -> Self {
        let text = String::from;
        Self {
            id: text(id),
            created_at: text("2026-01-01T00:00:00.000Z"),
            updated_at: text("2026-01-01T00:00:00.000Z"),
            name: text("example"),
            kind: text("text_generation"),
            engine: text("llama_cpp"),
            model: text("org/name"),
            revision: text("0000000000000000000000000000000000000000"),
            profile: text("default"),
            scheduler: text("local"),
            host: text("localhost"),
            user: text("me"),
            home_dir: text("/home/me/.blackfish"),
            cache_dir: text("/shared/.blackfish"),
            job_id: Some(text("1")),
            status: text("submitted"),
            tier: Some(text("CPU Only")),
            partition: None,
            cpus: 2,
            gpus: 0,
            memory_gb: 4,
            time_limit: None,
            idle_timeout: None,
            grace_period: 600,
            constraint: None,
            account: None,
            image_ref: None,
        }
    }
}

//! A service as commands show it: upstream's field names and our own (interface G of `docs/formats.md`).

use std::path::PathBuf;

use bf_core::report::Failure;
use serde::Serialize;

use crate::job::{JobDir, Phase};
use crate::status::{self, Scene, ServiceState, Status};
use crate::store::{Record, Store};

/// One service: what was asked for, and what it is doing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServiceView {
    pub(crate) id: String,
    created_at: String,
    updated_at: String,
    pub(crate) name: String,
    /// Upstream's word for the kind.
    image: String,
    image_ref: Option<String>,
    pub(crate) model: String,
    profile: String,
    host: String,
    user: String,
    home_dir: String,
    cache_dir: String,
    job_id: Option<String>,
    port: Option<u16>,
    pub(crate) status: ServiceState,
    /// `HH:MM:SS`
    time: Option<String>,
    ntasks_per_node: u32,
    /// GB
    mem: u32,
    /// GPUs
    gres: u32,
    partition: Option<String>,
    constraint: Option<String>,
    account: Option<String>,
    scheduler: String,
    provider: Option<String>,
    mount: Option<String>,
    grace_period: Option<i64>,
    /// Whether it asks for a key: always.
    protected: bool,
    revision: String,
    engine: String,
    pub(crate) tier: Option<String>,
    node: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) key_file: PathBuf,
    phase: Option<Phase>,
    pub(crate) reason: Option<String>,
    pub(crate) hint: Option<String>,
    started_at: Option<String>,
    ends_at: Option<String>,
    /// Seconds
    idle_timeout: Option<i64>,
}

impl ServiceView {
    /// Looks at many services at once, so that one that hangs does not hold up the others.
    pub(crate) async fn of_all(
        records: Vec<Record>,
        store: &Store,
        scene: &Scene,
    ) -> Result<Vec<(Self, Status)>, Failure> {
        let looks: Vec<_> = records
            .into_iter()
            .map(|record| {
                let scene = scene.clone();
                tokio::spawn(async move {
                    let status = status::derive(&record, &scene, true).await;
                    (record, status)
                })
            })
            .collect();
        let mut seen = Vec::with_capacity(looks.len());
        for look in looks {
            let (record, status) = look.await.map_err(std::io::Error::other)?;
            let status = status.unwrap_or_else(Status::unclear);
            seen.push(Self::with(record, status, store));
        }
        Ok(seen)
    }

    /// Looks at a service and remembers its state.
    pub(crate) async fn of(
        record: Record,
        store: &Store,
        scene: &Scene,
        challenge: bool,
    ) -> Result<(Self, Status), Failure> {
        let status = status::derive(&record, scene, challenge).await.unwrap_or_else(Status::unclear);
        Ok(Self::with(record, status, store))
    }

    fn with(record: Record, status: Status, store: &Store) -> (Self, Status) {
        let dir = JobDir::of(record.home_dir.as_ref(), &record.id);
        let changed = record.status != status.state.name();
        let updated_at = if changed {
            store.set_status(&record.id, status.state.name());
            bf_core::host::now()
        } else {
            record.updated_at
        };
        // A damaged file of one service must not hide the others: without an address it is shown all the same.
        let published = dir.endpoint().unwrap_or_default();
        let (node, started_at) = match &published {
            Some(endpoint) => (Some(endpoint.host.clone()), Some(endpoint.written_at.clone())),
            None => (None, None),
        };
        let endpoint = published.filter(|_| status.state.is_live());
        let url = endpoint.as_ref().and_then(|endpoint| {
            let address = endpoint.addresses.first()?;
            Some(format!("{}://{address}:{}", endpoint.scheme, endpoint.port))
        });
        let view = Self {
            key_file: dir.key(),
            port: endpoint.as_ref().map(|endpoint| endpoint.port),
            started_at,
            node,
            url,
            phase: status.phase,
            reason: status.reason.clone(),
            hint: status.hint.clone(),
            ends_at: status.heartbeat.as_ref().and_then(|heartbeat| heartbeat.ends_at.clone()),
            status: status.state,
            time: record.time_limit.map(clock_time),
            id: record.id,
            created_at: record.created_at,
            updated_at,
            name: record.name,
            image: record.kind,
            image_ref: record.image_ref,
            model: record.model,
            profile: record.profile,
            host: record.host,
            user: record.user,
            home_dir: record.home_dir,
            cache_dir: record.cache_dir,
            job_id: record.job_id,
            ntasks_per_node: record.cpus,
            mem: record.memory_gb,
            gres: record.gpus,
            partition: record.partition,
            constraint: record.constraint,
            account: record.account,
            scheduler: record.scheduler,
            provider: None,
            mount: None,
            grace_period: Some(record.grace_period),
            protected: true,
            revision: record.revision,
            engine: record.engine,
            tier: record.tier,
            idle_timeout: record.idle_timeout,
        };
        (view, status)
    }

    /// RFC 3339.
    pub(crate) fn created_at(&self) -> &str {
        &self.created_at
    }

    /// The tier, with its partition where that has a name.
    pub(crate) fn tier_label(&self) -> Option<String> {
        let tier = self.tier.as_deref()?;
        Some(
            self.partition
                .as_deref()
                .map_or_else(|| tier.to_owned(), |partition| format!("{partition}.{tier}")),
        )
    }

    /// How long it may still run, for eyes: `23 min`. Nothing where there is no limit.
    pub(crate) fn time_left(&self) -> Option<String> {
        let ends: jiff::Timestamp = self.ends_at.as_deref()?.parse().ok()?;
        let minutes = (ends.as_second() - jiff::Timestamp::now().as_second()).max(0) / 60;
        self.status.is_live().then(|| match minutes {
            ..120 => format!("{minutes} min"),
            120..2880 => format!("{} h", minutes / 60),
            _ => format!("{} days", minutes / 1440),
        })
    }

    /// The node, while it runs there.
    pub(crate) fn live_node(&self) -> Option<&str> {
        self.node.as_deref().filter(|_| self.status.is_live())
    }

    /// What is known of it, for eyes: names and values.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let own = |text: &Option<String>| text.clone().unwrap_or_default();
        let amount = |count: u32, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let mut resources = format!("{}, {} GB of memory", amount(self.ntasks_per_node, "core"), self.mem);
        if self.gres > 0 {
            resources = format!("{resources}, {}", amount(self.gres, "GPU"));
        }
        let mut job = match (self.scheduler.as_str(), &self.job_id) {
            ("slurm", Some(id)) => format!("{id} of Slurm"),
            (_, Some(id)) => format!("process {id}"),
            (_, None) => String::new(),
        };
        if let Some(node) = &self.node {
            job = format!("{job} on {node}");
        }
        let engine = match &self.image_ref {
            Some(image) => format!("{} in {image}", self.engine),
            None => self.engine.clone(),
        };
        let left = self.time_left().map(|left| format!("{} (in {left})", own(&self.ends_at)));
        let idle = self.idle_timeout.map(|seconds| format!("after {seconds} s without a request"));
        let facts = [
            ("model", format!("{} at {}", self.model, self.revision)),
            ("engine", engine),
            ("tier", self.tier_label().unwrap_or_default()),
            ("given", resources),
            ("account", own(&self.account)),
            ("constraint", own(&self.constraint)),
            ("job", job),
            ("url", own(&self.url)),
            ("key file", self.key_file.display().to_string()),
            ("created", self.created_at.clone()),
            ("listens", own(&self.started_at)),
            ("ends", left.unwrap_or_default()),
            ("stops", idle.unwrap_or_default()),
        ];
        facts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }

    /// The beginning of the id, as lists show it.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// Seconds as `HH:MM:SS`.
fn clock_time(seconds: i64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

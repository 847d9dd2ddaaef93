//! The engine's process, as the supervisor sees it: through its guardian.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bf_core::report::{Exit, Failure};
use bf_core::template;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::workdir::WorkDir;
use super::{container, orphans};
use crate::job::{Job, JobDir, Key};

/// Where an engine finds the system's programs.
pub(super) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What the guardian is told, in one line of JSON on its standard input: arguments and environment of the engine do not
/// pass its command line, which others can read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) command: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) work: PathBuf,
    pub(super) job_dir: PathBuf,
    pub(super) grace_seconds: u64,
}

/// What the guardian says, one line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    /// The engine ended by itself.
    Exit {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Signal {
        /// The signal's number.
        number: i32,
    },
    /// It could not be started.
    NotStarted {
        /// Why.
        error: String,
    },
    /// The guardian itself is gone.
    GuardianGone,
}

/// The engine and its guardian.
pub(super) struct EngineProcess {
    dir: JobDir,
    guardian: Child,
    orders: Option<ChildStdin>,
    news: Lines<BufReader<ChildStdout>>,
}

impl EngineProcess {
    /// Starts the guardian, which starts the engine.
    pub(super) async fn start(dir: &JobDir, job: &Job, key: &Key, work: &WorkDir) -> Result<Self, Failure> {
        let (command, env) = (command(job, work)?, environment(job, key, work)?);
        let (command, env) = match &job.engine.image {
            Some(image) => {
                let runtime = container::runtime(job.runtime.apptainer.as_deref())?;
                let command = container::command(&runtime, job, image, work, command)?;
                (command, container::environment(&runtime, image, work, env))
            }
            None => (command, env),
        };
        let order = Order {
            command,
            env,
            work: work.path().to_owned(),
            job_dir: dir.path().to_owned(),
            grace_seconds: super::grace_of(job).as_secs(),
        };
        let mut line = serde_json::to_vec(&order).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut guardian = Command::new(std::env::current_exe()?)
            .arg("guard")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(JobDir::append(&dir.supervisor_log())?)
            .process_group(0)
            .spawn()?;
        let (Some(mut orders), Some(news)) = (guardian.stdin.take(), guardian.stdout.take()) else {
            return Err(Failure::new(Exit::Failed, "guardian_not_started", "the guardian has no pipes"));
        };
        let news = BufReader::new(news).lines();
        orders.write_all(&line).await?;
        Ok(Self { dir: dir.clone(), guardian, orders: Some(orders), news })
    }

    /// Returns when the engine has ended by itself.
    pub(super) async fn ended(&mut self) -> Ended {
        match self.news.next_line().await {
            Ok(Some(line)) => serde_json::from_str(&line).unwrap_or(Ended::GuardianGone),
            _ => Ended::GuardianGone,
        }
    }

    /// Ends the engine: asked first, killed after `grace`. Returns when it and its guardian are gone.
    pub(super) async fn stop(&mut self, grace: Duration) {
        // The guardian takes the end of its input as the order to stop.
        drop(self.orders.take());
        let patience = grace + Duration::from_secs(5);
        if tokio::time::timeout(patience, self.guardian.wait()).await.is_err() {
            // The engine dies with its guardian: the tether sees to that.
            let _ = self.guardian.kill().await;
        }
        // After a guardian that was killed, the engine's own children are ours. Otherwise there are none.
        if let Err(error) = tokio::task::block_in_place(|| orphans::end(Duration::from_secs(2))) {
            super::say(&self.dir, &format!("processes of the engine may be left: {error}"));
        }
    }
}

/// The engine's arguments: each item of its definition rendered, empty ones dropped, then the user's.
fn command(job: &Job, work: &WorkDir) -> Result<Vec<String>, Failure> {
    let values = serde_json::json!({
        "native": job.engine.native,
        "socket": work.socket(),
        "model": job.model.repo,
        "revision": job.model.revision,
        "snapshot": job.model.snapshot,
        "weights": job.model.weights,
        "cpus": job.resources.cpus,
        "gpus": job.resources.gpus,
    });
    let mut command = Vec::with_capacity(job.engine.command.len() + job.arguments.len());
    for (index, item) in job.engine.command.iter().enumerate() {
        let name = format!("{}: command[{index}]", job.engine.id);
        let argument = template::render_argument(&name, item, &values)?;
        if !argument.is_empty() {
            command.push(argument);
        }
    }
    command.extend(job.arguments.iter().cloned());
    if command.is_empty() {
        let message = format!("the engine {} has no command", job.engine.id);
        return Err(Failure::new(Exit::Invalid, "engine_invalid", message));
    }
    Ok(command)
}

/// The engine's environment: nothing of the user's but what the scheduler says about devices; its own HOME and TMPDIR.
fn environment(job: &Job, key: &Key, work: &WorkDir) -> Result<BTreeMap<String, String>, Failure> {
    const KEPT: [&str; 4] = ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "TZ"];
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut env: BTreeMap<String, String> =
        KEPT.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    // The site's come first, so that neither our own nor the engine's are lost.
    env.extend(job.runtime.env.clone());
    env.insert("LANG".into(), "C.UTF-8".into());
    if job.engine.image.is_none() {
        // A container brings its own.
        env.insert("PATH".into(), PATH.into());
        env.insert("HOME".into(), text(work.home()));
        env.insert("TMPDIR".into(), text(work.tmp()));
    }
    for (name, value) in &job.engine.env {
        let label = format!("{}: env {name}", job.engine.id);
        let value =
            template::render_argument(&label, value, serde_json::json!({"cpus": job.resources.cpus}))?;
        env.insert(name.clone(), value);
    }
    for (name, value) in &job.engine.secret_env {
        let label = format!("{}: secret_env {name}", job.engine.id);
        let value = template::render_argument(&label, value, serde_json::json!({"key": key.text()}))?;
        env.insert(name.clone(), value);
    }
    Ok(env)
}

#[cfg(test)]
mod tests;

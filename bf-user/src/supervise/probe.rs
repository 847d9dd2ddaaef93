//! Finds out whether the model answers: first the engine's own health path, then one real request. Later, whether it still is well.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bf_core::report::Failure;
use bf_core::template;

use super::life::Life;
use crate::job::{Job, Phase};

/// Between two looks while the engine starts.
const EAGER: Duration = Duration::from_millis(100);
/// Between two looks at an engine that was ready.
const CALM: Duration = Duration::from_secs(5);
/// A look that takes longer has failed.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// The first real request may compile kernels.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_mins(10);
/// So many failed looks in a row are trouble: a busy engine may miss one.
const PATIENCE: u32 = 3;

/// How the engine is looked at.
#[derive(Debug, Clone)]
pub(super) struct Looks {
    health: String,
    ready: String,
    body: String,
}

impl Looks {
    /// As the engine's definition says, with the model's name filled in.
    pub(super) fn new(job: &Job) -> Result<Self, Failure> {
        let name = format!("{}: ready.body", job.engine.id);
        let values = serde_json::json!({"model": job.model.repo});
        Ok(Self {
            health: format!("http://engine{}", job.engine.health),
            ready: format!("http://engine{}", job.engine.ready_path),
            body: template::render_argument(&name, &job.engine.ready_body, values)?,
        })
    }
}

/// Takes the job from loading to ready, then watches it. Never returns; the supervisor aborts it.
pub(super) async fn run(looks: Looks, socket: PathBuf, life: Arc<Life>, grace: Duration) {
    bf_core::tls::install();
    let client = loop {
        // The client needs no file yet; that it cannot be built at all has not been seen.
        match reqwest::Client::builder().unix_socket(socket.as_path()).build() {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(CALM).await,
        }
    };
    loop {
        while !is_well(&client, &looks.health).await {
            if life.age() > grace {
                life.set_trouble(Some(format!("the engine is not ready after {} s", grace.as_secs())));
            }
            tokio::time::sleep(EAGER).await;
        }
        if life.phase() != Phase::Probing {
            life.enter(Phase::Probing);
        }
        match answers(&client, &looks).await {
            Ok(()) => break,
            Err(why) => life.set_trouble(Some(format!("the engine does not answer the test request: {why}"))),
        }
        tokio::time::sleep(EAGER).await;
    }
    life.set_trouble(None);
    life.enter(Phase::Ready);
    let mut failed = 0;
    loop {
        tokio::time::sleep(CALM).await;
        failed = if is_well(&client, &looks.health).await { 0 } else { failed + 1 };
        let trouble =
            (failed >= PATIENCE).then(|| format!("the engine has not answered {failed} health checks"));
        life.set_trouble(trouble);
    }
}

async fn is_well(client: &reqwest::Client, url: &str) -> bool {
    match client.get(url).timeout(LOOK_TIMEOUT).send().await {
        Ok(response) => response.status().is_success(),
        Err(_) => false,
    }
}

/// Makes a real request; `Err` says in words why it was not answered with success.
async fn answers(client: &reqwest::Client, looks: &Looks) -> Result<(), String> {
    let request = client
        .post(&looks.ready)
        .header("Content-Type", "application/json")
        .body(looks.body.clone())
        .timeout(FIRST_REQUEST_TIMEOUT);
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.text().await.map_err(|error| error.to_string())?;
    if status.is_success() {
        return Ok(());
    }
    let said: String = body.chars().filter(|character| !character.is_control()).take(200).collect();
    Err(format!("{}: {said}", status.as_u16()))
}

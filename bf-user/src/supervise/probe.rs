//! Finds out whether the model answers: first the engine's own health path, then one real request. Later, whether it still is well.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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

/// Takes the job from loading to ready, then watches it. Never returns; the supervisor aborts it.
pub(super) async fn run(job: Job, socket: PathBuf, life: Arc<Life>) {
    let client = loop {
        // The client needs no file yet; that it cannot be built at all has not been seen.
        match reqwest::Client::builder().unix_socket(socket.as_path()).build() {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(CALM).await,
        }
    };
    let health = format!("http://engine{}", job.engine.health);
    loop {
        while !is_well(&client, &health).await {
            tokio::time::sleep(EAGER).await;
        }
        if life.phase() != Phase::Probing {
            life.enter(Phase::Probing);
        }
        if answers(&client, &job).await {
            break;
        }
        tokio::time::sleep(EAGER).await;
    }
    life.enter(Phase::Ready);
    let mut failed = 0;
    loop {
        tokio::time::sleep(CALM).await;
        failed = if is_well(&client, &health).await { 0 } else { failed + 1 };
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

/// Whether a real request is answered with success.
async fn answers(client: &reqwest::Client, job: &Job) -> bool {
    let url = format!("http://engine{}", job.engine.ready_path);
    let request = client
        .post(url)
        .header("Content-Type", "application/json")
        .body(job.engine.ready_body.clone())
        .timeout(FIRST_REQUEST_TIMEOUT);
    match request.send().await {
        Ok(response) => response.status().is_success() && response.bytes().await.is_ok(),
        Err(_) => false,
    }
}

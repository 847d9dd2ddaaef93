//! `bf-user wait`

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bf_core::duration;
use bf_core::report::{Exit, Failure, Report};
use bf_core::settings::Settings;
use clap::Args;
use serde::Serialize;

use super::block_on;
use crate::printer::Printer;
use crate::status::{Scene, ServiceState};
use crate::store::Store;
use crate::view::ServiceView;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Id of the service, its beginning, or the name
    id: String,
    /// Give up after so many seconds, or so long as 5m [default: wait as long as it lives]
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    timeout: Option<u64>,
}

/// Here a plain number is seconds, as for other commands that wait.
fn timeout(text: &str) -> Result<u64, String> {
    let wrong = |_| format!("`{text}` is no span of time: write seconds (`30`) or a unit (`90s`, `5m`)");
    text.parse().or_else(|_| duration::seconds(text)).map_err(wrong)
}

#[derive(Serialize)]
#[serde(transparent)]
struct Waited(ServiceView);

impl Report for Waited {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} is {} at {}",
            self.0.name,
            self.0.status.name(),
            self.0.url.as_deref().unwrap_or("?")
        )
    }
}

pub(crate) fn run(args: &WaitArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.home_dir)?;
    let record = store.find(&args.id)?;
    // A time-out beyond what the clock can count is none.
    let deadline = args.timeout.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let scene = Scene::of(&settings.home_dir);
    let mut told = None;
    let view = block_on(async {
        loop {
            let scene = scene.again();
            let (view, status) = ServiceView::of(record.clone(), &store, &scene, true).await?;
            match status.state {
                ServiceState::Healthy => return Ok(view),
                state if !state.is_live() => return Err(ended(view)),
                state => {
                    // Who waits wants to know for what: said once, and again when it changes.
                    let why = status.reason.clone().map(|reason| format!("{}: {reason}", state.name()));
                    if why.is_some() && why != told {
                        printer.note(why.as_deref().unwrap_or_default());
                        told = why;
                    }
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        let phase = status.phase.map(|phase| format!(", {}", phase.name()));
                        let reason = status.reason.map(|reason| format!(": {reason}"));
                        let (phase, reason) = (phase.unwrap_or_default(), reason.unwrap_or_default());
                        let message =
                            format!("{} is not ready yet: {}{phase}{reason}", view.name, state.name());
                        let hint = match state {
                            ServiceState::Pending => "wait longer: a job waits as long as it must".to_owned(),
                            _ => format!("wait longer, or look into `bf-user logs {}`", view.name),
                        };
                        return Err(Failure::new(Exit::Busy, "not_yet", message).with_hint(hint));
                    }
                    tokio::time::sleep(PERIOD).await;
                }
            }
        }
    })?;
    printer.report(&Waited(view))?;
    Ok(Exit::Ok)
}

fn ended(view: ServiceView) -> Failure {
    let reason = view.reason.as_deref().unwrap_or("no reason is known");
    let message = format!("{} has ended ({}): {reason}", view.name, view.status.name());
    Failure { hint: view.hint, ..Failure::new(Exit::Failed, "service_ended", message) }
}

//! `bf-user chat`

use std::io::{self, BufRead, IsTerminal, Read, Write};

use bf_core::report::{Exit, Failure, Format, Report};
use bf_core::settings::Settings;
use clap::Args;
use hyper::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::block_on;
use crate::client::{Connection, Events, failure_of, read};
use crate::job::JobDir;
use crate::printer::Printer;
use crate::status::{Scene, ServiceState};
use crate::store::{Record, Store};
use crate::view::ServiceView;

const PATH: &str = "/v1/chat/completions";

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Id of the service, its beginning, or the name [default: the one that runs]
    id: Option<String>,
    /// Say this and print the answer [default: a conversation, or stdin]
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Say this to the model before everything else
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: u32,
    /// From 0 (always the likeliest word) upwards
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
}

#[derive(Serialize)]
struct Answer {
    answer: String,
    model: String,
    usage: Option<Value>,
}

impl Report for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.answer)
    }

    fn quiet(&self, out: &mut dyn Write) -> io::Result<()> {
        self.text(out)
    }
}

pub(crate) fn run(args: &ChatArgs, settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.home_dir)?;
    let record = choose(args.id.as_deref(), &store, settings)?;
    check_ready(&record, &store, settings)?;
    let dir = JobDir::of(record.home_dir.as_ref(), &record.id);
    let mut talk = Talk { args, model: record.model.clone(), messages: Vec::new() };
    if let Some(system) = &args.system {
        talk.messages.push(json!({"role": "system", "content": system}));
    }
    let once = match &args.message {
        Some(message) => Some(message.clone()),
        None if io::stdin().is_terminal() => None,
        None => Some(all_of_stdin()?),
    };
    block_on(async {
        match once {
            Some(text) => talk.once(&dir, text.trim(), printer).await,
            None => talk.conversation(&dir, printer).await,
        }
    })?;
    Ok(Exit::Ok)
}

/// What was written to stdin, whole or not at all.
fn all_of_stdin() -> Result<String, Failure> {
    const LIMIT: u64 = 4 << 20;
    let mut bytes = Vec::new();
    io::stdin().take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        let message = "more than 4 MiB were written to stdin, which no model takes at once";
        return Err(Failure::new(Exit::Invalid, "input_too_long", message));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(Exit::Invalid, "input_not_text", "what was written to stdin is not UTF-8 text")
    })
}

/// Says why a service cannot be talked to, before anything is tried.
fn check_ready(record: &Record, store: &Store, settings: &Settings) -> Result<(), Failure> {
    let scene = Scene::of(&settings.home_dir);
    let (view, status) = block_on(ServiceView::of(record.clone(), store, &scene, false))?;
    if status.state == ServiceState::Healthy {
        return Ok(());
    }
    let reason = view.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let message = format!("{} is {}{reason}", view.name, status.state.name());
    let (exit, code, hint) = if status.state.is_live() {
        (Exit::Busy, "not_yet", Some(format!("`bf-user wait {}` waits until it answers", record.name)))
    } else {
        (Exit::Unreachable, "service_ended", view.hint)
    };
    Err(Failure { hint, ..Failure::new(exit, code, message) })
}

/// A temperature is a number from 0 up.
fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("it must be a number from 0 up".into()),
    }
}

/// The service that is named, else the only one that answers.
fn choose(id: Option<&str>, store: &Store, settings: &Settings) -> Result<Record, Failure> {
    if let Some(id) = id {
        return Ok(store.find(id)?);
    }
    let scene = Scene::of(&settings.home_dir);
    let mut healthy = Vec::new();
    let mut starting = None;
    for record in store.all()? {
        let (view, status) = block_on(ServiceView::of(record.clone(), store, &scene, false))?;
        if status.state == ServiceState::Healthy {
            healthy.push((record, view));
        } else if status.state.is_live() {
            starting = Some(view);
        }
    }
    match healthy.pop() {
        Some((record, _)) if healthy.is_empty() => Ok(record),
        Some((_, last)) => {
            let ids: Vec<&str> =
                healthy.iter().map(|(_, view)| view.name.as_str()).chain([last.name.as_str()]).collect();
            Err(Failure::new(Exit::Usage, "service_ambiguous", "more than one service is healthy")
                .with_hint(format!("name one: {}", ids.join(", "))))
        }
        None if let Some(view) = starting => {
            let message = format!("{} is {}", view.name, view.status.name());
            Err(Failure::new(Exit::Busy, "not_yet", message)
                .with_hint(format!("`bf-user wait {}` waits until it answers", view.short_id())))
        }
        None => Err(Failure::new(Exit::NotFound, "no_service", "no service is healthy").with_hint(
            "start one with `bf-user run text-generation MODEL`; `bf-user model ls` lists models",
        )),
    }
}

/// A conversation so far.
struct Talk<'a> {
    args: &'a ChatArgs,
    model: String,
    messages: Vec<Value>,
}

impl Talk<'_> {
    fn request(&self, stream: bool) -> Value {
        let mut request = json!({
            "model": self.model,
            "messages": self.messages,
            "max_tokens": self.args.max_tokens,
            "stream": stream,
        });
        if let Some(temperature) = self.args.temperature {
            request["temperature"] = json!(temperature);
        }
        request
    }

    /// One question, one answer: streamed for eyes, whole with `--json`.
    async fn once(&mut self, dir: &JobDir, text: &str, printer: Printer) -> Result<(), Failure> {
        if text.is_empty() {
            return Err(Failure::new(Exit::Usage, "nothing_said", "there is nothing to say")
                .with_hint("use -m TEXT, or write it to stdin"));
        }
        self.messages.push(json!({"role": "user", "content": text}));
        if printer.format() == Format::Text {
            return self.stream(dir).await.map(|_| ());
        }
        let mut connection = Connection::open(dir).await?;
        let response = connection.send(Method::POST, PATH, Some(&self.request(false))).await?;
        if !response.status().is_success() {
            return Err(failure_of(response).await);
        }
        let body = read(response).await?;
        let unclear =
            || Failure::new(Exit::Failed, "answer_unclear", "the service's answer is not understood");
        let value: Value = serde_json::from_slice(&body).map_err(|_| unclear())?;
        let answer = value["choices"][0]["message"]["content"].as_str().ok_or_else(unclear)?.to_owned();
        printer.report(&Answer { answer, model: self.model.clone(), usage: value.get("usage").cloned() })
    }

    /// Asks and answers until the end of the input.
    async fn conversation(&mut self, dir: &JobDir, printer: Printer) -> Result<(), Failure> {
        printer.note(&format!("You talk to {}. An empty line or Ctrl-D ends it.", self.model));
        loop {
            let _ = write!(io::stderr(), "> ");
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            if line.trim().is_empty() {
                return Ok(());
            }
            self.messages.push(json!({"role": "user", "content": line.trim()}));
            let answer = self.stream(dir).await?;
            self.messages.push(json!({"role": "assistant", "content": answer}));
        }
    }

    /// Sends the conversation and prints the answer as it comes. Returns it whole.
    async fn stream(&self, dir: &JobDir) -> Result<String, Failure> {
        let mut connection = Connection::open(dir).await?;
        let response = connection.send(Method::POST, PATH, Some(&self.request(true))).await?;
        if !response.status().is_success() {
            return Err(failure_of(response).await);
        }
        let mut events = Events::new(response.into_body());
        let mut answer = String::new();
        while let Some(data) = events.next().await? {
            let Ok(event) = serde_json::from_str::<Value>(&data) else { continue };
            if let Some(message) = event["error"]["message"].as_str() {
                return Err(Failure::new(
                    Exit::Failed,
                    "service_refused",
                    format!("the service answered: {message}"),
                ));
            }
            let Some(piece) = event["choices"][0]["delta"]["content"].as_str() else { continue };
            answer.push_str(piece);
            if !say(piece)? {
                return Ok(answer);
            }
        }
        say("\n")?;
        Ok(answer)
    }
}

/// Prints a piece. Tells whether anybody still listens.
fn say(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(true),
    }
}

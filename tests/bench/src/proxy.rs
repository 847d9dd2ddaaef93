//! What the supervisor's proxy costs: requests through it, and straight to the engine's socket, which only its owner can reach.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bf_test_kit::{Service, Site, eventually, write_gguf};

use crate::Effort;
use crate::echo::next_message;
use crate::median::{median, micros, ratio, row, table};

const BODY: &str = r#"{"model":"me/echo","messages":[{"role":"user","content":"Hello"}],"max_tokens":1}"#;

pub(crate) fn run(effort: Effort) {
    let (rounds, time) = match effort {
        Effort::Smoke => (1, Duration::from_millis(100)),
        Effort::Full => (7, Duration::from_millis(800)),
    };
    let site = Site::new();
    let service = start(&site);
    let (address, key) = (service.address(), service.key());
    let socket = socket(&site);
    println!("\nproxy: one echo engine, {rounds} rounds of {} ms each way, in turns", time.as_millis());
    let header = ["at once", "direct", "proxy", "direct req/s", "proxy req/s", "added", "times as long"];
    let mut rows = vec![row(header)];
    for clients in [1, 8, 32] {
        let (mut direct, mut proxied) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let straight = load(clients, time, "", || UnixStream::connect(&socket).unwrap());
            let through = load(clients, time, &key, || {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream
            });
            // The first round warms up.
            if round > 0 {
                direct.extend(straight);
                proxied.extend(through);
            }
        }
        let measured = time * rounds;
        #[allow(clippy::cast_precision_loss)] // some ten thousands
        let rate = |all: &[Duration]| format!("{:.0}", all.len() as f64 / measured.as_secs_f64());
        let rates = (rate(&direct), rate(&proxied));
        let (direct, proxied) = (median(direct), median(proxied));
        rows.push(row([
            &clients.to_string(),
            &micros(direct),
            &micros(proxied),
            &rates.0,
            &rates.1,
            &micros(proxied.saturating_sub(direct)),
            &ratio(proxied, direct),
        ]));
    }
    table(&rows);
    site.user(["stop", &service.id]).code(0);
}

/// A site whose engine for GGUF files is this program's echo, with a model of noise.
fn start(site: &Site) -> Service {
    let file = site.path().join("noise.gguf");
    write_gguf(&file, 1).unwrap();
    let cache = site.cache().to_str().unwrap().to_owned();
    site.admin(["model", "import", file.to_str().unwrap(), "--as", "me/echo", "--cache-dir", &cache]).code(0);
    let folder = site.cache().join("templates/services");
    fs_err::create_dir_all(&folder).unwrap();
    let program = std::env::current_exe().unwrap();
    let engine = format!(
        "id: llama_cpp\nkind: text_generation\nformats: [gguf]\ngpu: optional\nlisten: unix\n\
         command: [\"{}\", echo-engine, \"{{{{ socket }}}}\"]\n\
         health: /health\nready: {{path: /v1/completions, body: '{{}}'}}\nroutes: [POST /v1/chat/completions]\n",
        program.display()
    );
    fs_err::write(folder.join("llama_cpp.yaml"), engine).unwrap();
    site.started_with("me/echo", &[])
}

/// The engine's socket, once the service is ready.
fn socket(site: &Site) -> PathBuf {
    let listed = || site.user(["ls", "--json"]).code(0).json()["services"][0]["status"] == "healthy";
    eventually("the echo is healthy", Duration::from_secs(30), || listed().then_some(()));
    let folders = site.work_folders();
    folders
        .iter()
        .map(|folder| folder.join("engine.sock"))
        .find(|socket: &PathBuf| Path::exists(socket))
        .unwrap()
}

/// Has `clients` ask again and again for `time`, each on one connection; how long each answer took.
fn load<S: Read + Write + Send>(
    clients: usize,
    time: Duration,
    key: &str,
    connect: impl Fn() -> S,
) -> Vec<Duration> {
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let streams: Vec<S> = (0..clients).map(|_| connect()).collect();
    let end = Instant::now() + time;
    let ask = |mut stream: S| {
        let (mut times, mut pending) = (Vec::new(), Vec::new());
        while Instant::now() < end {
            let begun = Instant::now();
            stream.write_all(request.as_bytes()).unwrap();
            let length = next_message(&mut stream, &mut pending).expect("an answer");
            assert!(length > 100, "an answer of the engine");
            times.push(begun.elapsed());
        }
        times
    };
    let ask = &ask;
    std::thread::scope(|scope| {
        let threads: Vec<_> = streams.into_iter().map(|stream| scope.spawn(move || ask(stream))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

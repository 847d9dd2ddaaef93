//! Programs that keep credentials: `docker-credential-NAME get`, the server's name on its standard input.

use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::{Credentials, RegistryError, Secret};
use crate::host::{Limits, ending, run_fed};
use crate::settings::Environment;

const LIMITS: Limits = Limits { time: Duration::from_secs(30), output: 1024 * 1024 };

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks the helper `name`; nothing if it does not know the server.
pub(super) fn ask(
    name: &str,
    server: &str,
    environment: &Environment,
) -> Result<Option<Credentials>, RegistryError> {
    let program = format!("docker-credential-{name}");
    let failed = |reason: String| RegistryError::Helper {
        program: program.clone(),
        registry: server.to_owned(),
        reason,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(failed("that is no name of a program".into()));
    }
    let mut command = Command::new(&program);
    command.arg("get");
    if let Some(path) = environment.get("PATH") {
        command.env("PATH", path);
    }
    let ended = run_fed(&mut command, server, LIMITS)?;
    if !ended.status.success() {
        // The one thing that helpers agree on; what else they say may hold what nobody should see.
        let unknown =
            [&ended.stdout, &ended.stderr].iter().any(|said| said.contains("credentials not found"));
        return if unknown { Ok(None) } else { Err(failed(format!("it {}", ending(ended.status)))) };
    }
    // The parser's message could quote the secret.
    let found: Found =
        serde_json::from_str(&ended.stdout).map_err(|_| failed("its answer is no JSON".into()))?;
    let Found { username, secret } = found;
    if secret.is_empty() {
        return Ok(None);
    }
    let secret = Secret::new(secret);
    Ok(Some(match username.as_str() {
        "<token>" => Credentials::Identity { token: secret },
        _ => Credentials::Basic { user: username, password: secret },
    }))
}

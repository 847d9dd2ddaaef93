//! This machine: its name, its user, its clock, and running a command on it without a shell.

mod command;
mod find;
mod limited;

pub use command::{CommandError, Completed, ending, run};
pub use find::find_program;
pub use limited::{Ended, Limits, run_fed, run_within};

/// The host's name, as the kernel has it; `unknown` if that is not text.
pub fn name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "unknown".into())
}

/// The login name of the effective user, or its numeric id if it has none.
pub fn user() -> String {
    let uid = nix::unistd::geteuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

/// Gives the calling thread, and those it makes, little priority: long work that nobody waits for at a desk. Where that is not allowed, it
/// goes on as it is.
///
/// Of the disks as well: a thread that was given no I/O priority of its own has one by its niceness, best effort 6 of 0 to 7, where the
/// scheduler of the disk keeps to priorities (`ioprio_set(2)`).
pub fn be_nice() {
    let _ = rustix::process::nice(10);
}

/// Now, in UTC, RFC 3339 with milliseconds.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// A time to the minute, for people: `2026-01-10 12:00 UTC`. What no calendar has is `an unknown time`.
pub fn minute(time: std::time::SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(
        |_| "an unknown time".into(),
        |time| {
            let text = time.to_string().replace('T', " ");
            format!("{} UTC", text.get(..16).unwrap_or(&text))
        },
    )
}

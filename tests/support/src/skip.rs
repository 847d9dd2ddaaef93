//! Tests that cannot run here say so, so that nobody takes them for passed.

use std::io::Write;

/// Writes down that the running test did not run, and why, to the file that `BF_SKIPPED` names.
pub fn note_skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("BF_SKIPPED") {
        let mut file = fs_err::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("the file of skipped tests");
        // One write: other tests append at the same time.
        file.write_all(format!("{test}: {reason}\n").as_bytes()).expect("the file of skipped tests");
    }
}

/// Ends the running test, which then counts as skipped for this reason.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::note_skipped(&format!($($reason)*));
        return;
    }};
}

/// The value of an `Ok`; with an `Err`, which says why, the running test counts as skipped.
#[macro_export]
macro_rules! or_skip {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(reason) => $crate::skip!("{reason}"),
        }
    };
}

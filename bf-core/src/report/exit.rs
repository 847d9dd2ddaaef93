//! The exit codes of both binaries, documented in `docs/formats.md`.

use std::process::ExitCode;

/// How a command ended. The numbers above 63 are those of BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: done.
    Ok = 0,
    /// 1: failed, or did some and failed some.
    Failed = 1,
    /// 2: the command worked and has findings: drift, damage, no tier.
    Findings = 2,
    /// 64: wrong usage of the command line.
    Usage = 64,
    /// 65: invalid configuration or data.
    Invalid = 65,
    /// 66: a thing that was named does not exist.
    NotFound = 66,
    /// 69: a needed service cannot be reached.
    Unreachable = 69,
    /// 73: no space, or a file or folder cannot be created.
    CannotCreate = 73,
    /// 75: busy, or not yet: try again later.
    Busy = 75,
    /// 77: permission denied.
    Permission = 77,
    /// 130: interrupted with Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

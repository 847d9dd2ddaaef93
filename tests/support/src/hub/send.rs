//! Sends an answer, with what goes wrong on the way.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::wire::{Body, Reply};
use crate::pace::Pace;

/// So much is sent at once.
const BLOCK: usize = 1 << 18;
/// So much where the rate is limited.
const SMALL_BLOCK: usize = 1 << 15;

/// What goes wrong with the body.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Damage {
    /// The connection ends after so many bytes.
    pub(super) drop: Option<u64>,
    /// Nothing more comes after so many bytes.
    pub(super) stall: Option<u64>,
    /// This byte of the file has one bit wrong.
    pub(super) flip: Option<u64>,
}

/// Whether the connection can serve another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stays,
    Ends,
}

/// Sends the answer to a request; adds to `sent` the bytes of its body as they go.
pub(super) fn send(
    mut to: &TcpStream,
    reply: &Reply,
    is_head: bool,
    damage: Damage,
    pace: &Pace,
    sent: &AtomicU64,
) -> io::Result<Next> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    for (name, value) in &reply.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if reply.status != 304 && !reply.headers.iter().any(|(name, _)| name == "Content-Length") {
        head.extend(["Content-Length: ", &reply.body.length().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    let whole = if is_head || reply.status == 304 { 0 } else { reply.body.length() };
    let stop = [damage.drop, damage.stall].into_iter().flatten().min();
    let until = stop.map_or(whole, |stop| stop.min(whole));
    if let Body::Bytes(bytes) = &reply.body {
        // In one piece: a head alone, and the client's system waits before it answers.
        let count = usize::try_from(until).unwrap_or(usize::MAX).min(bytes.len());
        let mut all = head.into_bytes();
        all.extend_from_slice(&bytes[..count]);
        to.write_all(&all)?;
        sent.fetch_add(count as u64, SeqCst);
    } else {
        to.write_all(head.as_bytes())?;
        body(to, &reply.body, until, damage.flip, pace, sent)?;
    }
    if until == whole {
        return Ok(Next::Stays);
    }
    if damage.stall == Some(until) {
        // Ends when the client gives up, or with the hub.
        to.flush()?;
        let mut buffer = [0; 64];
        while to.read(&mut buffer)? > 0 {}
    }
    Ok(Next::Ends)
}

fn body(
    mut to: &TcpStream,
    body: &Body,
    until: u64,
    flip: Option<u64>,
    pace: &Pace,
    sent: &AtomicU64,
) -> io::Result<()> {
    let Body::Part { content, at, .. } = body else { return Ok(()) };
    let flip = flip.filter(|at_byte| (*at..at + until).contains(at_byte));
    let (mut done, mut buffer) = (0, Vec::new());
    while done < until {
        let limited = pace.is_limited();
        let block = if limited { SMALL_BLOCK } else { BLOCK };
        let count = usize::try_from(until - done).unwrap_or(usize::MAX);
        let at_byte = at + done;
        let passed = match content.as_file() {
            Some(file) if flip.is_none() && !limited => {
                let mut from = at_byte;
                rustix::fs::sendfile(to, file, Some(&mut from), count.min(BLOCK * 16))?
            }
            _ => {
                buffer.resize(count.min(block), 0);
                content.read_at(at_byte, &mut buffer)?;
                let wrong = flip.and_then(|flip| usize::try_from(flip.checked_sub(at_byte)?).ok());
                if let Some(byte) = wrong.and_then(|wrong| buffer.get_mut(wrong)) {
                    *byte ^= 1;
                }
                if limited {
                    pace.wait(buffer.len());
                    // What is sent to nobody would be counted.
                    is_there(to)?;
                }
                to.write(&buffer)?
            }
        };
        if passed == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        done += passed as u64;
        sent.fetch_add(passed as u64, SeqCst);
    }
    Ok(())
}

/// Whether somebody still holds the other end.
fn is_there(to: &TcpStream) -> io::Result<()> {
    match recv(to.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
        Ok(0) => Err(io::ErrorKind::BrokenPipe.into()),
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        _ => "Other",
    }
}

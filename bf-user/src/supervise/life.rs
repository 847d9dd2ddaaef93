//! What the supervisor knows about the job at any moment: phase, requests, times. Shared by proxy, probe and heartbeat.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::job::{Phase, PhaseTime, Requests, SCHEMA, State};

/// The life of one job.
#[derive(Debug)]
pub(super) struct Life {
    begun: Instant,
    phase: watch::Sender<Phase>,
    history: Mutex<History>,
    trouble: Mutex<Option<String>>,
    total: AtomicU64,
    in_flight: AtomicU64,
    /// Milliseconds after `begun` of the last begin or end of a request, plus one; 0: none yet.
    last: AtomicU64,
    sequence: AtomicU64,
    deadline: Mutex<Option<Instant>>,
    call: watch::Sender<Option<Call>>,
}

/// What the job can learn besides from signals that it has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Its folder is gone: nobody could ever stop it.
    Abandoned,
    /// Somebody wrote `stop.json`.
    Asked,
    /// The process that the scheduler started it from is gone: the scheduler thinks that the job is over.
    Orphaned,
}

#[derive(Debug)]
struct History {
    since: Instant,
    past: Vec<PhaseTime>,
}

/// One request in flight: counted from its making to its drop.
#[derive(Debug)]
pub(super) struct InFlight(std::sync::Arc<Life>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.touch();
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Life {
    /// Begins in [`Phase::Preparing`]; it may last for `limit`.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            begun: Instant::now(),
            phase: watch::Sender::new(Phase::Preparing),
            history: Mutex::new(History { since: Instant::now(), past: Vec::new() }),
            trouble: Mutex::new(None),
            total: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            last: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            deadline: Mutex::new(limit.and_then(|limit| Instant::now().checked_add(limit))),
            call: watch::Sender::new(None),
        }
    }

    /// Enters a phase; the one before it becomes history.
    pub(super) fn enter(&self, phase: Phase) {
        let mut history = lock(&self.history);
        let now = Instant::now();
        let seconds = (now - history.since).as_secs_f64();
        let name = self.phase();
        history.past.push(PhaseTime { name, seconds: (seconds * 1000.0).round() / 1000.0 });
        history.since = now;
        self.phase.send_replace(phase);
    }

    /// The phase it is in.
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// To wait for a change of phase.
    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// How long the job has run.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Says what is wrong with a ready engine, or that it is well again.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }

    /// Counts a request that was let through.
    pub(super) fn request(self: &std::sync::Arc<Self>) -> InFlight {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.touch();
        InFlight(std::sync::Arc::clone(self))
    }

    fn touch(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(millis + 1, Ordering::Relaxed);
    }

    /// The heartbeat as of now.
    pub(super) fn state(&self) -> State {
        let history = lock(&self.history);
        let ago = |instant: Instant| rfc3339_ago(instant.elapsed());
        let last = self.last.load(Ordering::Relaxed);
        State {
            schema: SCHEMA,
            attempt: 1,
            seq: self.sequence.fetch_add(1, Ordering::Relaxed),
            phase: self.phase(),
            since: ago(history.since),
            phases: history.past.clone(),
            requests: Requests {
                total: self.total.load(Ordering::Relaxed),
                in_flight: self.in_flight.load(Ordering::Relaxed),
                last_at: (last > 0).then(|| ago(self.begun + Duration::from_millis(last - 1))),
            },
            ends_at: lock(&self.deadline).map(rfc3339_at),
            trouble: lock(&self.trouble).clone(),
        }
    }

    /// Says that the job has to end. The first word counts.
    pub(super) fn call(&self, call: Call) {
        self.call.send_if_modified(|own| {
            let is_first = own.is_none();
            own.get_or_insert(call);
            is_first
        });
    }

    /// Returns when the job has to end.
    pub(super) async fn called(&self) -> Call {
        let mut calls = self.call.subscribe();
        // The sender lives as long as self: waiting cannot fail.
        match calls.wait_for(Option::is_some).await.map(|call| *call) {
            Ok(Some(call)) => call,
            _ => std::future::pending().await,
        }
    }

    /// The time limit was changed: `left` remains.
    pub(super) fn extend(&self, left: Duration) {
        *lock(&self.deadline) = Instant::now().checked_add(left);
    }

    /// Returns when the time limit is over; without one, never.
    pub(super) async fn time_is_up(&self) {
        let deadline = *lock(&self.deadline);
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Returns when there was no request for `seconds` since the service was ready, or since it should have been, `grace` after
    /// its start. A request in flight is activity. Without a limit, never.
    pub(super) async fn idle_for(&self, seconds: Option<u64>, grace: Duration) {
        let Some(limit) = seconds.map(Duration::from_secs) else { return std::future::pending().await };
        let mut phases = self.phases();
        // Ready, or too late for it.
        let _ = tokio::time::timeout(grace, phases.wait_for(|phase| *phase == Phase::Ready)).await;
        let ready = Instant::now();
        loop {
            let last = match self.last.load(Ordering::Relaxed) {
                0 => ready,
                millis => ready.max(self.begun + Duration::from_millis(millis - 1)),
            };
            let busy = self.in_flight.load(Ordering::Relaxed) > 0;
            let quiet = last.elapsed();
            if !busy && quiet >= limit {
                return;
            }
            let wait = if busy { limit } else { limit.saturating_sub(quiet) };
            tokio::time::sleep(wait.clamp(Duration::from_millis(50), Duration::from_secs(5))).await;
        }
    }
}

/// A lock that a panicking thread left is taken all the same: what it guards is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rfc3339_ago(ago: Duration) -> String {
    let then = jiff::Timestamp::now() - jiff::SignedDuration::try_from(ago).unwrap_or_default();
    format!("{then:.3}")
}

fn rfc3339_at(instant: Instant) -> String {
    let left = instant.saturating_duration_since(Instant::now());
    format!("{:.0}", jiff::Timestamp::now() + jiff::SignedDuration::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_request_in_flight_is_activity() {
        let life = Arc::new(Life::new(None));
        life.enter(Phase::Ready);
        let request = life.request();
        let idle = tokio::time::timeout(Duration::from_millis(300), life.idle_for(Some(0), Duration::MAX));
        assert!(idle.await.is_err(), "busy, so not idle");
        drop(request);
        assert!(
            tokio::time::timeout(Duration::from_secs(5), life.idle_for(Some(0), Duration::MAX)).await.is_ok()
        );
        let state = life.state();
        assert_eq!((state.requests.total, state.requests.in_flight), (1, 0));
        assert!(state.requests.last_at.is_some());
    }
}

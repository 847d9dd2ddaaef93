//! bf-user: the researcher's command line, and the supervisor inside every job.

mod job;
mod supervise;

fn main() {
    let dir = job::JobDir::at("/tmp");
    let _ = supervise::run(&dir);
    let _ = supervise::guard();
    let _ = supervise::tether(1, vec![]);
}

//! The same work for several things, some at a time.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does `work` for all of them, at most `most` at a time, and gives the results in their order.
pub(crate) fn at_once<T: Sync, R: Send>(all: &[T], most: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(number) else { return done };
            done.push((number, work(one)));
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..most.clamp(1, all.len().max(1))).map(|_| scope.spawn(worker)).collect();
        let results =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        results.flatten().collect()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_what_they_are_of() {
        let all: Vec<u32> = (0..100).collect();
        let most = 7;
        let doubled: Vec<u32> = all.iter().map(|number| number * 2).collect();
        assert_eq!(at_once(&all, most, |number| number * 2), doubled);
        assert!(at_once(&[], most, |number: &u32| *number).is_empty());
    }
}

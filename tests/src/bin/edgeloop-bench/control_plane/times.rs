//! When each of many changes was first seen.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Shared between what sees changes and what waits for them.
#[derive(Clone)]
pub(crate) struct Times {
    first: u32,
    seen: Arc<[OnceLock<Instant>]>,
}

impl Times {
    /// For so many changes, numbered from `first`.
    pub(crate) fn new(first: u32, count: u32) -> Self {
        Self { first, seen: (0..count).map(|_| OnceLock::new()).collect() }
    }

    /// The first time counts. Changes with other numbers are passed over.
    pub(crate) fn mark(&self, change: u32, at: Instant) {
        if let Some(place) = change.checked_sub(self.first).and_then(|place| self.seen.get(place as usize)) {
            _ = place.set(at);
        }
    }

    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        self.first..self.first + self.seen.len() as u32
    }

    pub(crate) fn at(&self, change: u32) -> Option<Instant> {
        let place = change.checked_sub(self.first)?;
        self.seen.get(place as usize)?.get().copied()
    }

    /// Until all were seen, or no more of them for this long.
    pub(crate) fn wait(&self, quiet: Duration) {
        let mut last = (0, Instant::now());
        loop {
            let seen = self.seen.iter().filter(|place| place.get().is_some()).count();
            if seen > last.0 {
                last = (seen, Instant::now());
            }
            if seen == self.seen.len() || last.1.elapsed() > quiet {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sight_counts_and_strangers_do_not() {
        let (times, early) = (Times::new(5, 2), Instant::now());
        let late = early + Duration::from_secs(1);
        for (change, at) in [(4, early), (5, early), (5, late), (7, early)] {
            times.mark(change, at);
        }
        assert_eq!((times.at(4), times.at(5), times.at(6)), (None, Some(early), None));
        times.wait(Duration::ZERO);
        times.mark(6, late);
        times.wait(Duration::MAX);
    }
}

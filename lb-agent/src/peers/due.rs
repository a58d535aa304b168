//! When sockets are looked at. Pure.

use std::time::{Duration, Instant};

/// They are looked at again so long after something was lost: a program may have chosen the backend just before, and its caller
/// may be slow to finish its call.
const AGAIN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// And while some are left that could not be ended.
const LEFT: Duration = Duration::from_secs(30);
/// Between two passes there is at least this long, and twice as long as the last one took, so that a burst is one pass and the
/// thread takes a third of a CPU at most; but no longer than leaves time to end a socket within a second.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_AT_MOST: Duration = Duration::from_millis(500);
/// Where nothing is due.
const LONG: Duration = Duration::from_secs(3600);

/// The next passes.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Sorted.
    at: Vec<Instant>,
    left_at: Option<Instant>,
    not_before: Option<Instant>,
}

impl Due {
    /// Something was lost: now, and again.
    pub(super) fn ask(&mut self, now: Instant) {
        // Under changes without end each pass is one that was asked for before.
        let first = self.at.first().copied().map_or(now, |first| first.min(now));
        self.at = [first].into_iter().chain(AGAIN.map(|after| now + after)).collect();
    }

    /// How long to wait for the next pass.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        let next = self.at.first().copied().into_iter().chain(self.left_at).min();
        let next = next.map(|at| self.not_before.map_or(at, |earliest| at.max(earliest)));
        next.map_or(LONG, |at| at.saturating_duration_since(now))
    }

    /// Whether a pass is due. If so, it counts for all that is.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.patience(now) > Duration::ZERO {
            return false;
        }
        self.at.retain(|at| *at > now);
        self.left_at = self.left_at.filter(|at| *at > now);
        true
    }

    /// A pass has ended, and could not end all sockets that it found, or could.
    pub(super) fn passed(&mut self, begin: Instant, end: Instant, has_left: bool) {
        let pause = (end.saturating_duration_since(begin) * 2).clamp(PAUSE, PAUSE_AT_MOST);
        self.not_before = Some(end + pause);
        self.left_at = has_left.then(|| end + LEFT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn a_pass_is_at_once_and_twice_again() {
        let start = Instant::now();
        let mut due = Due::default();
        assert!(!due.take(start));
        assert_eq!(due.patience(start), LONG);
        due.ask(start);
        assert_eq!(due.patience(start), Duration::ZERO);
        let mut passes = Vec::new();
        for tick in 0..4_000 {
            let now = start + milliseconds(tick);
            if due.take(now) {
                due.passed(now, now, false);
                passes.push(tick);
            }
        }
        assert_eq!(passes, [0, 250, 2_000]);
    }

    #[test]
    fn under_changes_without_end_passes_have_pauses_and_are_within_a_second() {
        for (takes, apart) in [(1, 21), (100, 300), (400, 900)] {
            let start = Instant::now();
            let mut due = Due::default();
            let (mut last, mut now) = (start, start);
            for _ in 0..20 {
                due.ask(now);
                while !due.take(now) {
                    now += milliseconds(1);
                    due.ask(now);
                }
                assert!(now - last <= milliseconds(apart), "{takes}: {:?}", now - last);
                last = now;
                due.passed(now, now + milliseconds(takes), false);
                now += milliseconds(takes);
            }
        }
    }

    #[test]
    fn what_is_left_is_looked_at_again_later() {
        let start = Instant::now();
        let mut due = Due::default();
        due.passed(start, start, true);
        assert_eq!(due.patience(start), LEFT);
        assert!(due.take(start + LEFT) && !due.take(start + LEFT));
    }
}

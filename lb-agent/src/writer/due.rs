//! The writer's timers: the next audit, and the next try of what failed.

use std::time::{Duration, Instant};

/// Failed writes are tried again after this long, twice as long each time.
const RETRY: Duration = Duration::from_millis(200);
const RETRY_AT_MOST: Duration = Duration::from_secs(10);
/// The clock is looked at no less often.
const IDLE: Duration = Duration::from_secs(60);

/// When the writer wakes by itself.
#[derive(Debug)]
pub(super) struct Due {
    audit_every: Duration,
    audit_at: Instant,
    /// When failed writes are tried again, and how long that wait is in all.
    retry: Option<(Instant, Duration)>,
}

impl Due {
    pub(super) fn new(audit_every: Duration, now: Instant) -> Self {
        Self { audit_every, audit_at: now + audit_every, retry: None }
    }

    /// How long the writer may sleep.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        let due = self.retry.map_or(self.audit_at, |(at, _)| at.min(self.audit_at));
        due.saturating_duration_since(now).min(IDLE)
    }

    /// Whether the audit is due. If so, the next one is `audit_every` from now.
    pub(super) fn take_audit(&mut self, now: Instant) -> bool {
        let is_due = now >= self.audit_at;
        if is_due {
            self.audit_at = now + self.audit_every;
        }
        is_due
    }

    /// Sets the next try after a pass, of which something `failed` or nothing.
    pub(super) fn set_retry(&mut self, failed: bool, now: Instant) {
        let wait = self.retry.map_or(RETRY, |(_, wait)| (wait * 2).min(RETRY_AT_MOST));
        self.retry = failed.then(|| (now + wait, wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_ever_later_until_it_succeeds() {
        let start = Instant::now();
        let mut due = Due::new(Duration::from_secs(3600), start);
        assert_eq!(due.patience(start), IDLE, "nothing failed");

        let waits = [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000].map(Duration::from_millis);
        for wait in waits {
            due.set_retry(true, start);
            assert_eq!(due.patience(start), wait);
        }
        due.set_retry(false, start);
        assert_eq!(due.patience(start), IDLE);
        due.set_retry(true, start);
        assert_eq!(due.patience(start), RETRY, "begins anew");
    }

    #[test]
    fn an_audit_is_due_once_each_period() {
        let (start, every) = (Instant::now(), Duration::from_secs(10));
        let mut due = Due::new(every, start);
        for (seconds, is_due) in
            [(0, false), (9, false), (10, true), (10, false), (19, false), (25, true), (34, false)]
        {
            assert_eq!(due.take_audit(start + Duration::from_secs(seconds)), is_due, "after {seconds} s");
        }
        assert_eq!(due.patience(start + Duration::from_secs(34)), Duration::from_secs(1));
    }
}

//! The writer's timers: the next audit, the next look at the links, and the next try of what failed.

use std::time::{Duration, Instant};

/// Failed writes are tried again after this long, twice as long each time.
const RETRY: Duration = Duration::from_millis(200);
const RETRY_AT_MOST: Duration = Duration::from_secs(10);
/// Whether there is memory is tried again after this long, twice as long each time.
const MEMORY: Duration = Duration::from_secs(1);
const MEMORY_AT_MOST: Duration = Duration::from_secs(60);
/// How often clients of Services with session affinity are forgotten.
const FORGET: Duration = Duration::from_secs(20);
/// For how many rounds after a change something may be found to forget: of what is gone counts are summed up at the second.
const ROUNDS: u8 = 2;
/// How often the links are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// When the writer wakes by itself.
#[derive(Debug)]
pub(super) struct Due {
    audit_every: Duration,
    audit_at: Instant,
    look_at: Instant,
    forget_at: Instant,
    rounds: u8,
    /// How often what the maps hold had changed when the last round began.
    changes: u64,
    /// When failed writes are tried again, and how long that wait is in all.
    retry: Option<(Instant, Duration)>,
    /// When it is tried again whether there is memory, and how long that wait is in all.
    memory: Option<Memory>,
}

/// A try whether there is memory: due at a time, or (`None`) under way.
#[derive(Clone, Copy, Debug)]
struct Memory {
    at: Option<Instant>,
    wait: Duration,
}

impl Due {
    pub(super) fn new(audit_every: Duration, now: Instant) -> Self {
        Self {
            audit_every,
            audit_at: now + audit_every,
            look_at: now + LOOK,
            forget_at: now + FORGET,
            rounds: ROUNDS,
            changes: 0,
            retry: None,
            memory: None,
        }
    }

    /// How long the writer may sleep.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        let regular = self.audit_at.min(self.look_at).min(self.forget_at);
        let others = [self.retry.map(|(at, _)| at), self.memory.and_then(|memory| memory.at)];
        let due = others.into_iter().flatten().fold(regular, Instant::min);
        due.saturating_duration_since(now)
    }

    /// Whether the audit is due. If so, the next one is `audit_every` from now.
    pub(super) fn take_audit(&mut self, now: Instant) -> bool {
        let is_due = now >= self.audit_at;
        if is_due {
            self.audit_at = now + self.audit_every;
        }
        is_due
    }

    /// Whether the next look at the links is due. If so, the next one is a second from now.
    pub(super) fn take_look(&mut self, now: Instant) -> bool {
        let is_due = now >= self.look_at;
        if is_due {
            self.look_at = now + LOOK;
        }
        is_due
    }

    /// Whether clients are to be forgotten. If so, the next time is 20 s from now.
    pub(super) fn take_forget(&mut self, now: Instant) -> bool {
        let is_due = now >= self.forget_at;
        if is_due {
            self.forget_at = now + FORGET;
        }
        is_due
    }

    /// A round has failed.
    pub(super) const fn repeat_rounds(&mut self) {
        self.rounds = ROUNDS;
    }

    /// Whether a round may find what is gone, after so many `changes` of what the maps hold. Asked once a round.
    pub(super) const fn take_round(&mut self, changes: u64) -> bool {
        if self.changes != changes {
            self.changes = changes;
            self.rounds = ROUNDS;
        }
        let may_find = self.rounds > 0;
        self.rounds = self.rounds.saturating_sub(1);
        may_find
    }

    /// Whether the next try of what failed is due.
    pub(super) fn is_retry(&self, now: Instant) -> bool {
        self.retry.is_some_and(|(at, _)| now >= at)
    }

    /// Whether something failed that is to be tried again.
    pub(super) const fn has_retry(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether it is to be tried again whether there is memory. Asked once.
    pub(super) fn take_memory(&mut self, now: Instant) -> bool {
        let due = self.memory.as_mut().filter(|memory| memory.at.is_some_and(|at| now >= at));
        due.is_some_and(|memory| memory.at.take().is_some())
    }

    /// Sets the next try after a pass, which was short of memory or not.
    pub(super) fn set_memory(&mut self, is_short: bool, now: Instant) {
        let wait = match self.memory.filter(|_| is_short) {
            Some(Memory { at: Some(_), .. }) => return,
            Some(Memory { at: None, wait }) => (wait * 2).min(MEMORY_AT_MOST),
            None => MEMORY,
        };
        self.memory = is_short.then_some(Memory { at: Some(now + wait), wait });
    }

    /// Sets the next try after a pass, of which, of which something `failed` or nothing.
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
        assert_eq!(due.patience(start), LOOK, "nothing failed");

        for wait in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000].map(Duration::from_millis) {
            due.set_retry(true, start);
            due.look_at = start + Duration::from_secs(60);
            assert_eq!(due.patience(start), wait);
            assert!(!due.is_retry(start) && due.is_retry(start + wait));
        }
        due.set_retry(false, start);
        due.set_retry(true, start);
        assert_eq!(due.patience(start), RETRY, "begins anew");
    }

    #[test]
    fn two_rounds_look_for_what_is_gone_after_each_change() {
        let mut due = Due::new(Duration::from_secs(3600), Instant::now());
        let mut rounds = |changes: [u64; 6]| changes.map(|changes| due.take_round(changes));
        assert_eq!(rounds([0, 0, 0, 0, 0, 0]), [true, true, false, false, false, false], "after a start");
        assert_eq!(rounds([1, 1, 1, 2, 3, 3]), [true, true, false, true, true, true]);
        assert_eq!(rounds([3, 3, 0, 0, 0, 0]), [false, false, true, true, false, false], "another mirror");
        due.repeat_rounds();
        assert!(due.take_round(0) && due.take_round(0) && !due.take_round(0), "after one that failed");
    }

    #[test]
    fn whether_there_is_memory_is_tried_ever_later_while_there_is_none() {
        let start = Instant::now();
        let mut due = Due::new(Duration::from_secs(3600), start);
        (due.look_at, due.forget_at) = (start + Duration::from_secs(600), start + Duration::from_secs(600));
        assert!(!due.take_memory(start));
        let mut now = start;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60].map(Duration::from_secs) {
            due.set_memory(true, now);
            // Passes meanwhile do not put it off.
            due.set_memory(true, now + wait / 2);
            assert_eq!(due.patience(now), wait);
            assert!(!due.take_memory(now) && due.take_memory(now + wait) && !due.take_memory(now + wait));
            now += wait;
        }
        due.set_memory(false, now);
        due.set_memory(true, now);
        assert_eq!(due.patience(now), Duration::from_secs(1), "begins anew");
    }

    #[test]
    fn an_audit_a_look_and_forgetting_are_due_once_each_period() {
        let (start, every) = (Instant::now(), Duration::from_secs(10));
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let mut due = Due::new(every, start);
        for (tenths, is_audit_due, is_look_due) in [
            (0, false, false),
            (9, false, false),
            (10, false, true),
            (10, false, false),
            (99, false, true),
            (100, true, false),
            (100, false, false),
            (190, false, true),
            (250, true, true),
            (340, false, true),
        ] {
            let found = (due.take_audit(at(tenths)), due.take_look(at(tenths)));
            assert_eq!(found, (is_audit_due, is_look_due), "after {tenths} tenths of a second");
        }
        assert!(!due.take_forget(start + FORGET / 2));
        assert!(due.take_forget(start + FORGET) && !due.take_forget(start + FORGET));
        assert_eq!(due.patience(at(340)), LOOK);
        assert_eq!(due.patience(at(347)), Duration::from_millis(300));
    }
}

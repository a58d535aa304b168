//! Whether a list that a watch sends gets anywhere. Pure.

use std::time::Duration;

/// A server that sends a list sends more objects than this within a span, unless it is at its end; one that
/// only sends what happens, as a server that does not know such lists, does not.
const FEWEST: u32 = 10;

/// However fast objects come: a plain list has no such end.
const LONGEST: Duration = Duration::from_secs(120);

/// The new objects of the list in this span of time.
#[derive(Debug)]
pub(super) struct Progress {
    span: Duration,
    ends: Duration,
    until: Duration,
    new: u32,
}

impl Progress {
    /// The list begins now.
    pub(super) fn new(now: Duration, span: Duration) -> Self {
        Self { span, ends: now + span, until: now + LONGEST, new: 0 }
    }

    /// An object has come that had not come in this list.
    pub(super) fn add(&mut self) {
        self.new += 1;
    }

    /// How long there is until it has to be looked at again.
    pub(super) fn left(&self, now: Duration) -> Duration {
        self.ends.saturating_sub(now)
    }

    /// Whether the list does not come to its end; to be asked when there is nothing left.
    pub(super) fn is_stuck(&mut self, now: Duration) -> bool {
        if now < self.ends {
            return false;
        }
        let is_stuck = self.new < FEWEST || now >= self.until;
        self.new = 0;
        self.ends = now + self.span;
        is_stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_does_not_come_to_its_end_is_noticed_within_two_spans() {
        for (shows, news, stuck_at) in [
            ("nothing comes", &[][..], Some(3)),
            ("a little comes, again and again", &[1, 1, 1, 1], Some(3)),
            ("everything came, then what happens", &[60, 0, 0, 1], Some(6)),
            ("it goes on", &[4, 4, 4, 4, 4, 4, 4, 4, 4], None),
            ("it goes on for ever", &[4; 200], Some(120)),
        ] {
            let at = Duration::from_secs;
            let mut progress = Progress::new(at(0), at(3));
            let mut stuck = None;
            for second in 1..=200 {
                let new = news.get(second - 1).copied().unwrap_or_default();
                (0..new).for_each(|_| progress.add());
                if progress.is_stuck(at(second as u64)) {
                    stuck = Some(second as u64);
                    break;
                }
                if stuck_at.is_none() && second == news.len() {
                    break;
                }
            }
            assert_eq!(stuck, stuck_at, "{shows}");
        }
    }
}

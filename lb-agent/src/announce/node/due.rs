//! When the condition is written. Pure.

use std::time::{Duration, Instant};

use super::coverage::{Coverage, Reason};

/// How fast the Node's object is read and written.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks at what the writer published.
    pub look: Duration,
    /// Between two looks at the Node's object, to find one that was made anew.
    pub read: Duration,
    /// Between two writes, whatever changes.
    pub gap: Duration,
    /// How long a node that was covered has to be uncovered before that is written: a link that is repaired within
    /// a second is no news.
    pub uncovered: Duration,
    /// The same for what is less urgent: an agent that starts over programs that serve, and another reason.
    pub settled: Duration,
    /// After a failure, from the first wait to the longest.
    pub retry: (Duration, Duration),
    /// How long the API server may send nothing.
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(1),
            read: Duration::from_secs(300),
            gap: Duration::from_secs(10),
            uncovered: Duration::from_secs(10),
            settled: Duration::from_secs(30),
            retry: (Duration::from_secs(1), Duration::from_secs(30)),
            silence: Duration::from_secs(25),
        }
    }
}

/// What served when the agent started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Programs of an earlier start, which go on.
    Programs,
    /// Nothing, as after a reboot.
    Nothing,
}

/// The condition as it stands in the Node's object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) is_covered: bool,
    pub(super) reason: String,
}

/// Since when the coverage is as it is, and whether the node was covered since the agent started.
#[derive(Debug)]
pub(super) struct History {
    before: Before,
    reason: Option<(Reason, Instant)>,
    covered: Covered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covered {
    NotYet,
    Once,
}

impl History {
    pub(super) const fn new(before: Before) -> Self {
        Self { before, reason: None, covered: Covered::NotYet }
    }

    /// Takes note of what is so now.
    pub(super) fn take(&mut self, coverage: &Coverage, now: Instant) {
        if coverage.reason.is_covered() {
            self.covered = Covered::Once;
        }
        if self.reason.is_none_or(|(reason, _)| reason != coverage.reason) {
            self.reason = Some((coverage.reason, now));
        }
    }

    /// From when on the condition may be written, as for the coverage alone; `None` when it stands there as it is.
    ///
    /// 1. That a node is covered is said at once.
    /// 2. That it is not is said at once where the object says the contrary and nothing served when the agent
    ///    started: the node was rebooted.
    /// 3. After a short while where it was covered since the start.
    /// 4. Else later: programs of an earlier start go on, and an agent that is replaced is no news.
    pub(super) fn due(&self, known: Option<&Known>, pace: &Pace) -> Option<Instant> {
        let (reason, since) = self.reason?;
        let is_same =
            |known: &Known| known.is_covered == reason.is_covered() && known.reason == reason.word();
        if known.is_some_and(is_same) {
            return None;
        }
        let says_covered = known.is_some_and(|known| known.is_covered);
        let wait = if reason.is_covered() {
            Duration::ZERO
        } else {
            match (says_covered, self.covered, self.before) {
                (true, Covered::NotYet, Before::Nothing) => Duration::ZERO,
                (true, Covered::Once, _) => pace.uncovered,
                (true, Covered::NotYet, Before::Programs) | (false, _, _) => pace.settled,
            }
        };
        Some(since + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        look: Duration::from_secs(1),
        read: Duration::from_secs(300),
        gap: Duration::from_secs(10),
        uncovered: Duration::from_secs(10),
        settled: Duration::from_secs(30),
        retry: (Duration::from_secs(1), Duration::from_secs(30)),
        silence: Duration::from_secs(25),
    };

    fn known(reason: &str) -> Option<Known> {
        Some(Known { is_covered: reason == "Covered", reason: reason.to_owned() })
    }

    #[test]
    fn a_write_is_due_by_what_stands_there_and_what_was() {
        use Before::{Nothing, Programs};
        use Reason::{Covered, NotAttached, Stale, Waiting};
        // What was so, by seconds; and when it is to be written, counted from the last of them.
        for (shows, before, was, stands, due) in [
            ("a new node waits", Nothing, &[(0, Waiting)][..], None, Some(30)),
            ("a new node is covered", Nothing, &[(0, Waiting), (2, Covered)], None, Some(0)),
            ("after a reboot", Nothing, &[(0, Waiting)], known("Covered"), Some(0)),
            ("an agent that is replaced", Programs, &[(0, Waiting)], known("Covered"), Some(30)),
            ("and serves", Programs, &[(0, Waiting), (2, Covered)], known("Covered"), None),
            ("it is detached", Nothing, &[(0, Covered), (60, NotAttached)], known("Covered"), Some(10)),
            (
                "it was, and is attached again",
                Nothing,
                &[(0, Covered), (60, NotAttached), (61, Covered)],
                known("Covered"),
                None,
            ),
            (
                "and is attached after it was said",
                Programs,
                &[(0, Covered), (60, NotAttached), (99, Covered)],
                known("NotAttached"),
                Some(0),
            ),
            (
                "another reason",
                Programs,
                &[(0, Covered), (60, NotAttached), (99, Stale)],
                known("NotAttached"),
                Some(30),
            ),
            ("the Node was made anew", Programs, &[(0, Covered)], None, Some(0)),
        ] {
            let start = Instant::now();
            let mut history = History::new(before);
            let mut last = start;
            for (at, reason) in was {
                last = start + Duration::from_secs(*at);
                // Each is noticed more than once.
                for later in [Duration::ZERO, Duration::from_millis(500)] {
                    history.take(&Coverage { reason: *reason, message: String::new() }, last + later);
                }
            }
            let found = history.due(stands.as_ref(), &PACE);
            assert_eq!(found, due.map(|seconds| last + Duration::from_secs(seconds)), "{shows}");
        }
        assert_eq!(History::new(Nothing).due(None, &PACE), None, "nothing is known");
    }
}

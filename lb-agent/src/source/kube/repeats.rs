//! The same failure again and again, from one version. Pure.

use std::time::Duration;

use super::state::Fault;

/// How often, in a row, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    fault: Fault,
    times: u32,
    since: Duration,
}

/// So often, or for so long: then the same failure is not waited out any more.
const TIMES: u32 = 3;
const LONG: Duration = Duration::from_secs(30);

/// What is not understood twice at one place will not be understood.
const GARBAGE_TIMES: u32 = 2;

impl Repeats {
    /// It has failed once more. Returns whether it has failed so for long enough.
    pub(super) fn is_enough(&mut self, fault: Fault, now: Duration) -> bool {
        let last = match self.last {
            Some(last) if last.fault == fault => Last { times: last.times + 1, ..last },
            Some(_) | None => Last { fault, times: 1, since: now },
        };
        self.last = Some(last);
        let times = if fault == Fault::Garbage { GARBAGE_TIMES } else { TIMES };
        last.times >= times || (last.times > 1 && now.saturating_sub(last.since) >= LONG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_enough_after_three_times_or_thirty_seconds() {
        use Fault::{Broken, Code, Garbage};
        for (shows, faults, expected) in [
            ("three times", vec![(0, Code(500)), (1, Code(500)), (2, Code(500))], vec![false, false, true]),
            (
                "other failures",
                vec![(0, Code(500)), (1, Code(403)), (2, Code(500))],
                vec![false, false, false],
            ),
            ("for long", vec![(0, Code(403)), (30, Code(403))], vec![false, true]),
            ("once", vec![(40, Broken)], vec![false]),
            ("what is not understood", vec![(0, Garbage), (1, Garbage)], vec![false, true]),
        ] {
            let mut repeats = Repeats::default();
            let found: Vec<bool> = faults
                .into_iter()
                .map(|(at, fault)| repeats.is_enough(fault, Duration::from_secs(at)))
                .collect();
            assert_eq!(found, expected, "{shows}");
        }
    }
}

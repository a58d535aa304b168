//! When the state is saved: soon after a change, and seldom enough for flash memory. Pure.

use std::time::Duration;

/// The shortest gap between two writes.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(3600);
/// From this level on the gap is the longest one.
const HIGHEST: u32 = 6;

/// How long it is waited after a write. While changes go on, the gap between writes doubles from one minute to an
/// hour, and every hour without a write takes one doubling back.
///
/// So a day has 29 writes where changes never end, and never more than 30: a write that does not wait for an hour
/// raises the level by one, and only hours take it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// When it was written last, since the boot; `None` before the first time.
    last: Option<Duration>,
    level: u32,
}

impl Pace {
    /// Nothing was written yet.
    pub const FIRST: Self = Self { last: None, level: 0 };

    /// Goes on after a write at `last`, since this boot; zero where it was before it.
    #[must_use]
    pub fn after(last: Duration, level: u32) -> Self {
        Self { last: Some(last), level: level.min(HIGHEST) }
    }

    /// How often the gap was doubled.
    #[must_use]
    pub const fn level(self) -> u32 {
        self.level
    }

    /// When the next write may be, since the boot; `None` for at once.
    #[must_use]
    pub fn next(self) -> Option<Duration> {
        self.last.map(|last| last + gap(self.level))
    }

    /// The pace after a write at `now`.
    #[must_use]
    pub fn written(self, now: Duration) -> Self {
        let Some(last) = self.last else { return Self { last: Some(now), level: 0 } };
        let quiet = now.saturating_sub(last).as_secs() / LONGEST.as_secs();
        let level = self.level.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX));
        Self { last: Some(now), level: (level + 1).min(HIGHEST) }
    }

    /// The pace after it was looked and nothing was new, so that nothing was written.
    #[must_use]
    pub fn looked(self, now: Duration) -> Self {
        Self { last: Some(now), ..self }
    }
}

fn gap(level: u32) -> Duration {
    if level >= HIGHEST { LONGEST } else { SHORTEST * (1 << level) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn while_changes_go_on_the_gap_doubles_from_a_minute_to_an_hour() {
        let minutes = |since: Duration| since.as_secs() / 60;
        let mut pace = Pace::FIRST;
        assert_eq!(pace.next(), None, "the first time at once");
        let mut at = Duration::ZERO;
        let mut gaps = Vec::new();
        while at < DAY {
            pace = pace.written(at);
            let next = pace.next().unwrap();
            gaps.push(minutes(next - at));
            at = next;
        }
        assert_eq!(gaps[..9], [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(gaps.len(), 29, "writes a day");
    }

    #[test]
    fn a_quiet_night_brings_the_gap_back_to_a_minute() {
        let pace = Pace::after(Duration::ZERO, HIGHEST).written(Duration::from_secs(8 * 3600));
        assert_eq!(pace.level(), 1);
        assert_eq!(Pace::after(Duration::ZERO, u32::MAX).level(), HIGHEST, "whatever a file says");
        let looked = Pace::after(Duration::ZERO, 3).looked(Duration::from_secs(600));
        assert_eq!(looked.next(), Some(Duration::from_secs(600 + 8 * 60)));
    }

    proptest! {
        /// Waits are what passes between the time at which a write may be and the next change.
        #[test]
        fn no_day_has_more_than_thirty_writes(waits in prop::collection::vec(0_u64..20_000, 200)) {
            let mut pace = Pace::FIRST.written(Duration::ZERO);
            let mut writes = vec![Duration::ZERO];
            for wait in waits {
                let at = pace.next().unwrap() + Duration::from_secs(wait);
                writes.push(at);
                pace = pace.written(at);
            }
            for from in &writes {
                let in_a_day = writes.iter().filter(|at| (from..&(*from + DAY)).contains(at)).count();
                prop_assert!(in_a_day <= 30, "{} from {:?}", in_a_day, from);
            }
        }
    }
}

//! How old what the kernel holds is, and how old it may be. Pure.

use std::time::Duration;

/// By the boot clock, which a machine without a clock of its own has, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// `--max-stale`. `None`: of any age.
    pub max: Option<Duration>,
    /// The time since a live source was in sync; where none ever was, since there are maps.
    pub age: Duration,
}

impl Staleness {
    /// Of the words in `control`, both in nanoseconds, at this time since the boot. `None` where no agent has written them.
    #[must_use]
    pub fn of(max_stale: u64, in_sync_at: u64, now: Duration) -> Option<Self> {
        let max = (max_stale > 0).then(|| Duration::from_nanos(max_stale));
        let age = now.saturating_sub(Duration::from_nanos(in_sync_at));
        (in_sync_at > 0).then_some(Self { max, age })
    }

    /// Whether the programs leave everything untouched for it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.max.is_some_and(|max| self.age > max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_more_time_than_allowed_has_passed() {
        const SECOND: u64 = 1_000_000_000;
        for (max, in_sync_at, now, is_over) in [
            (0, 10 * SECOND, 1_000_000, false),
            (60 * SECOND, 10 * SECOND, 11, false),
            (60 * SECOND, 10 * SECOND, 70, false),
            (60 * SECOND, 10 * SECOND, 71, true),
            (60 * SECOND, 10 * SECOND, 9, false),
        ] {
            let found = Staleness::of(max, in_sync_at, Duration::from_secs(now)).unwrap();
            assert_eq!(found.is_over(), is_over, "{max} {in_sync_at} {now}");
        }
        assert_eq!(Staleness::of(SECOND, 0, Duration::from_secs(9)), None, "never written");
    }
}

//! A moment that outlives a boot, and how long ago it was. Pure.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment as this machine can name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// `/proc/sys/kernel/random/boot_id`: which boot.
    pub boot: String,
    /// By the clock that counts since the boot, also while the machine sleeps (`CLOCK_BOOTTIME`).
    pub since_boot: Duration,
    /// What the machine's own clock showed, for people: it may be wrong by decades, so that nothing hangs on it.
    pub clock: String,
}

impl Moment {
    /// Whether it is of the same boot as `now`, and before it. A boot without a name is not known to be any.
    #[must_use]
    pub fn is_in_boot_of(&self, now: &Self) -> bool {
        !self.boot.is_empty() && self.boot == now.boot && self.since_boot <= now.since_boot
    }
}

/// How old a saved state is, by the clock that counts since the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Saved since the boot.
    Exactly(Duration),
    /// Saved before the boot, which is so long ago: for how long the machine was off no clock says for sure.
    AtLeast(Duration),
}

impl Age {
    /// Of a state saved at `then`, by a machine that is at `now`.
    #[must_use]
    pub fn of(then: &Moment, now: &Moment) -> Self {
        if then.is_in_boot_of(now) {
            Self::Exactly(now.since_boot.saturating_sub(then.since_boot))
        } else {
            Self::AtLeast(now.since_boot)
        }
    }

    /// What is known of it for sure.
    #[must_use]
    pub const fn at_least(self) -> Duration {
        match self {
            Self::Exactly(age) | Self::AtLeast(age) => age,
        }
    }
}

impl fmt::Display for Age {
    /// As in `90 s old`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(age) => write!(f, "{} s old", age.as_secs()),
            Self::AtLeast(age) => write!(f, "from before the last boot, at least {} s old", age.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_old_a_state_is_goes_by_the_clock_since_the_boot_and_never_by_the_other() {
        let at = |boot: &str, seconds, clock: &str| Moment {
            boot: boot.to_owned(),
            since_boot: Duration::from_secs(seconds),
            clock: clock.to_owned(),
        };
        let now = at("b", 90, "1970-01-01T00:01:30Z");
        for (then, age) in [
            (at("b", 60, "2026-01-01T00:00:00Z"), "30 s old"),
            (at("b", 90, "1970-01-01T00:01:30Z"), "0 s old"),
            (at("b", 95, "1970-01-01T00:01:35Z"), "from before the last boot, at least 90 s old"),
            (at("a", 5000, "1970-01-01T00:01:00Z"), "from before the last boot, at least 90 s old"),
        ] {
            assert_eq!(Age::of(&then, &now).to_string(), age);
        }
        let nameless = at("", 60, "");
        assert!(
            matches!(Age::of(&nameless, &at("", 90, "")), Age::AtLeast(_)),
            "no boot is known to be this one"
        );
    }
}

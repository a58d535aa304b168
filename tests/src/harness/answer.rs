//! What one connection got: who answered, or which errno.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The name that the server gave, or the errno's: `ECONNREFUSED`, `ENETUNREACH`, …; `timeout`
    /// when nothing came in time.
    pub result: Result<String, String>,
    /// Who the kernel says is at the other end.
    pub peer: Option<SocketAddr>,
    /// When `connect(2)` was called, on the clock of [`now`].
    pub began: Duration,
    /// How long `connect(2)` took.
    pub took: Duration,
}

impl Answer {
    /// The answering name, or the errno.
    #[must_use]
    pub fn label(&self) -> &str {
        self.result.as_ref().unwrap_or_else(|errno| errno)
    }

    #[must_use]
    pub fn is_from(&self, name: &str) -> bool {
        self.result.as_deref() == Ok(name)
    }

    #[must_use]
    pub fn failed_with(&self, errno: &str) -> bool {
        self.result.as_ref().err().is_some_and(|got| got == errno)
    }

    /// When `connect(2)` returned, on the clock of [`now`].
    #[must_use]
    pub fn ended(&self) -> Duration {
        self.began + self.took
    }
}

/// How often each name answered and each errno came back.
pub type Tally = BTreeMap<String, u64>;

#[must_use]
pub fn tally(answers: &[Answer]) -> Tally {
    let mut tally = Tally::new();
    for answer in answers {
        *tally.entry(answer.label().to_owned()).or_default() += 1;
    }
    tally
}

/// The monotonic clock, which all processes of the machine share.
#[must_use]
pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

//! How long to wait after a failure.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::refusal::RequestError;

/// While the link is down: short, so that the agent is soon up to date once it is back, and spread, so that a
/// thousand agents do not return in one moment.
const LINK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(1300));
/// While it is only busy, as a proxy that has just started is: it says when it is not.
const BUSY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(4));
/// While the API server responds with errors: it needs a rest.
const SERVER: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// The waits between attempts: for a link somewhere between its limits, for a server twice as long each time up to
/// a limit, and each somewhere between its half and one and a half of it.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    /// Of the server, in a row.
    failures: u32,
}

impl Backoff {
    /// All is well again.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn after(&mut self, error: &RequestError) -> Duration {
        // For lack of credentials no server is asked, and how often a plugin is run has limits of its own.
        if error.is_of_the_link() || matches!(error, RequestError::NoCredentials(_)) {
            return LINK.0 + chance(LINK.1 - LINK.0);
        }
        let (first, most) = if error.code() == Some(429) { BUSY } else { SERVER };
        let wait = first.saturating_mul(1 << self.failures.min(16)).min(most);
        self.failures += 1;
        let asked = match error {
            RequestError::Response { retry_after, .. } => retry_after.unwrap_or_default(),
            RequestError::Unreachable(_)
            | RequestError::Untrusted(_)
            | RequestError::NoCredentials(_)
            | RequestError::Silent { .. }
            | RequestError::Ended
            | RequestError::Garbage(_) => Duration::ZERO,
        };
        asked.min(MOST_ASKED) + jitter(wait)
    }
}

/// The longest wait that a server can ask for.
const MOST_ASKED: Duration = Duration::from_secs(30);

/// Between half of `wait` and one and a half of it.
pub(crate) fn jitter(wait: Duration) -> Duration {
    wait / 2 + chance(wait)
}

/// Up to `most`.
pub(crate) fn chance(most: Duration) -> Duration {
    // Each new hasher is keyed by chance, so that hash maps cannot be predicted.
    let chance = RandomState::new().build_hasher().finish();
    most * u32::try_from(chance % 1001).unwrap_or_default() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Says;

    #[test]
    fn waits_grow_to_a_limit_that_depends_on_who_is_in_trouble() {
        let answer = RequestError::Response {
            code: 500,
            message: String::new(),
            retry_after: None,
            says: Says::Nothing,
        };
        let busy = RequestError::Response {
            code: 429,
            message: String::new(),
            retry_after: None,
            says: Says::Nothing,
        };
        for (shows, error, most) in [
            ("a dead link is tried again within a second", RequestError::Ended, LINK.1),
            ("so are credentials that come late", RequestError::NoCredentials(String::new()), LINK.1),
            ("a server in error is left in peace", answer, SERVER.1),
            ("a busy one less so", busy, BUSY.1),
        ] {
            let mut backoff = Backoff::default();
            let waits: Vec<Duration> = (0..40).map(|_| backoff.after(&error)).collect();
            assert!(waits[0] <= most, "{shows}");
            assert!(waits.iter().all(|wait| *wait <= most * 3 / 2), "{shows}");
            let least = if most == LINK.1 { LINK.0 } else { most / 2 };
            assert!(waits[30..].iter().all(|wait| *wait >= least), "{shows}");
            backoff.reset();
            assert!(backoff.after(&error) <= most, "{shows}");
        }
    }

    #[test]
    fn however_long_a_link_was_dead_its_server_is_asked_again_at_once() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            backoff.after(&RequestError::Ended);
        }
        let gone = RequestError::Response {
            code: 410,
            message: String::new(),
            retry_after: None,
            says: Says::Nothing,
        };
        assert!(backoff.after(&gone) <= SERVER.0 * 3 / 2);
    }

    #[test]
    fn agents_whose_link_is_back_return_over_more_than_a_second() {
        let mut waits: Vec<Duration> =
            (0..1000).map(|_| Backoff::default().after(&RequestError::Ended)).collect();
        waits.sort_unstable();
        let spread = waits[999] - waits[0];
        assert!(spread >= Duration::from_secs(1), "{spread:?}");
        let most = waits.chunk_by(|one, other| one.as_millis() / 100 == other.as_millis() / 100);
        assert!(
            most.map(<[Duration]>::len).max() < Some(200),
            "a tenth of a second has no more than a fifth"
        );
    }

    #[test]
    fn what_the_server_asks_for_is_waited_for_and_not_everyone_returns_at_once() {
        let retry_after = Some(Duration::from_secs(1));
        let asked =
            RequestError::Response { code: 429, message: String::new(), retry_after, says: Says::Nothing };
        let waits: Vec<Duration> = (0..20).map(|_| Backoff::default().after(&asked)).collect();
        assert!(waits.iter().all(|wait| *wait >= Duration::from_secs(1)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}

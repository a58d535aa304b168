//! How long to wait after a failure.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::client::RequestError;

/// While the link is down: short, so that the agent is soon up to date once it is back.
const LINK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(600));
/// While it is only busy, as a proxy that has just started is: it says when it is not.
const BUSY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// While the API server responds with errors: it needs a rest.
const SERVER: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// The waits between attempts: twice as long each time up to a limit, and each somewhere
/// between its half and one and a half of it, so that a thousand agents do not return at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    /// In a row, of the link and of the server.
    link: u32,
    server: u32,
}

impl Backoff {
    /// All is well again.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn after(&mut self, error: &RequestError) -> Duration {
        // For lack of credentials no server is asked, and how often a plugin is run has limits of its own.
        let of_link = error.is_of_the_link() || matches!(error, RequestError::NoCredentials(_));
        let ((first, most), failures) = match error.code() {
            _ if of_link => (LINK, &mut self.link),
            Some(429) => (BUSY, &mut self.server),
            Some(_) | None => (SERVER, &mut self.server),
        };
        let wait = first.saturating_mul(1 << (*failures).min(16)).min(most);
        *failures += 1;
        if !of_link {
            self.link = 0;
        }
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
    // Each new hasher is keyed by chance, so that hash maps cannot be predicted.
    let chance = RandomState::new().build_hasher().finish();
    let thousandths = 500 + u32::try_from(chance % 1001).unwrap_or_default();
    wait * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_that_depends_on_who_is_in_trouble() {
        let answer = RequestError::Response { code: 500, message: String::new(), retry_after: None };
        let busy = RequestError::Response { code: 429, message: String::new(), retry_after: None };
        for (shows, error, most) in [
            ("a dead link is tried again within a second", RequestError::Ended, LINK.1),
            ("so are credentials that come late", RequestError::NoCredentials(String::new()), LINK.1),
            ("a server in error is left in peace", answer, SERVER.1),
            ("a busy one less so", busy, BUSY.1),
        ] {
            let mut backoff = Backoff::default();
            let waits: Vec<Duration> = (0..40).map(|_| backoff.after(&error)).collect();
            assert!(waits[0] < most, "{shows}");
            assert!(waits.iter().all(|wait| *wait <= most * 3 / 2), "{shows}");
            assert!(waits[30..].iter().all(|wait| *wait >= most / 2), "{shows}");
            backoff.reset();
            assert!(backoff.after(&error) < most, "{shows}");
        }
    }

    #[test]
    fn however_long_a_link_was_dead_its_server_is_asked_again_at_once() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            backoff.after(&RequestError::Ended);
        }
        let gone = RequestError::Response { code: 410, message: String::new(), retry_after: None };
        assert!(backoff.after(&gone) <= SERVER.0 * 3 / 2);
    }

    #[test]
    fn what_the_server_asks_for_is_waited_for_and_not_everyone_returns_at_once() {
        let retry_after = Some(Duration::from_secs(1));
        let asked = RequestError::Response { code: 429, message: String::new(), retry_after };
        let waits: Vec<Duration> = (0..20).map(|_| Backoff::default().after(&asked)).collect();
        assert!(waits.iter().all(|wait| *wait >= Duration::from_secs(1)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}

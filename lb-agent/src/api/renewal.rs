//! When credentials are renewed. Pure: the time is given.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::plugin::Issued;

/// How urgently new credentials are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Those that are there are good.
    No,
    /// They will expire soon: they are used while new ones are fetched.
    Soon,
    /// They have expired, were refused, or there are none.
    Now,
}

/// Credentials that a plugin gave, and when.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) issued: Issued,
    since: Timestamp,
    standing: Standing,
}

/// What the API server made of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Untried,
    Accepted,
    Refused,
}

/// Whatever a plugin says of when its credentials expire, they are used for so long unless they are refused: the
/// clocks may differ.
const LEAST: SignedDuration = SignedDuration::from_secs(60);
/// So long before their end new ones are fetched, or a fifth of their life, if that is shorter.
const BEFORE: SignedDuration = SignedDuration::from_secs(60);

impl Held {
    pub(crate) const fn new(issued: Issued, since: Timestamp) -> Self {
        Self { issued, since, standing: Standing::Untried }
    }

    /// They are kept until they expire, or until the API server refuses them, and never renewed for anything else.
    pub(crate) fn need(&self, now: Timestamp) -> Need {
        if self.standing == Standing::Refused {
            return Need::Now;
        }
        let Some(expires) = self.issued.expires else { return Need::No };
        let life = expires.duration_since(self.since).max(LEAST);
        let age = now.duration_since(self.since);
        if age >= life {
            Need::Now
        } else if age >= life - BEFORE.min(life / 5) {
            Need::Soon
        } else {
            Need::No
        }
    }
}

/// How often a plugin is run: at once when it is needed, then ever more rarely until its credentials are accepted.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Runs in a row after which nothing was accepted.
    in_vain: u32,
    not_before: Option<Instant>,
}

const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(10);

impl Pace {
    pub(crate) fn may_run(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|due| now >= due)
    }

    /// A run has ended, however.
    pub(crate) fn ran(&mut self, now: Instant) {
        let wait = FIRST.saturating_mul(1 << self.in_vain.min(16)).min(MOST);
        self.in_vain = self.in_vain.saturating_add(1);
        self.not_before = Some(now + wait);
    }
}

/// What the API server's answer says of the credentials that it was asked with.
pub(crate) fn judge(held: &mut Held, pace: &mut Pace, is_refused: bool) {
    held.standing = if is_refused { Standing::Refused } else { Standing::Accepted };
    if !is_refused {
        pace.in_vain = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(expires_after: Option<i64>) -> Held {
        let since = Timestamp::from_second(1000).unwrap();
        let expires = expires_after.map(|seconds| Timestamp::from_second(1000 + seconds).unwrap());
        Held::new(Issued { authorization: None, pair: None, expires }, since)
    }

    #[test]
    fn credentials_are_renewed_a_little_before_they_expire() {
        for (shows, expires_after, age, expected) in [
            ("without an end they are good", None, 1_000_000, Need::No),
            ("an hour: a minute before its end", Some(3600), 3539, Need::No),
            ("", Some(3600), 3540, Need::Soon),
            ("", Some(3600), 3600, Need::Now),
            ("a hundred seconds: twenty before", Some(100), 79, Need::No),
            ("", Some(100), 80, Need::Soon),
            ("expired when they came: a minute all the same", Some(-500), 47, Need::No),
            ("", Some(-500), 48, Need::Soon),
            ("", Some(-500), 60, Need::Now),
            ("a clock that was set back", Some(3600), -500, Need::No),
        ] {
            let now = Timestamp::from_second(1000 + age).unwrap();
            assert_eq!(held(expires_after).need(now), expected, "{shows}, at {age}");
        }
    }

    #[test]
    fn refused_ones_are_renewed_whenever_they_expire() {
        let (mut held, mut pace) = (held(None), Pace::default());
        judge(&mut held, &mut pace, true);
        assert_eq!(held.need(Timestamp::UNIX_EPOCH), Need::Now);
        judge(&mut held, &mut pace, false);
        assert_eq!(held.need(Timestamp::UNIX_EPOCH), Need::No);
    }

    #[test]
    fn a_plugin_whose_credentials_are_refused_is_run_ever_more_rarely() {
        let (mut held, mut pace) = (held(None), Pace::default());
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert!(pace.may_run(now));
            pace.ran(now);
            judge(&mut held, &mut pace, true);
            let start = now;
            while !pace.may_run(now) {
                now += Duration::from_millis(500);
            }
            waits.push((now - start).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        judge(&mut held, &mut pace, false);
        pace.ran(now);
        assert!(pace.may_run(now + FIRST), "accepted once, all is forgotten");
    }
}

//! How soon the next list or watch may be asked for, so that thousands of agents make no outage worse. Pure.

use std::time::Duration;

/// Between the beginnings of two watches.
const WATCHES: Duration = Duration::from_millis(250);

/// Between the beginnings of two lists, twice as long each time.
const LISTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// When one kind of objects was asked for. Times are counted from any one moment.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since all was well.
    lists: u32,
    listed: Option<Duration>,
    watched: Option<Duration>,
    expiry: Expiry,
}

/// What became of the version that a watch was to go on from, since all was well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expiry {
    #[default]
    None,
    /// It has expired, which asks for a list.
    First,
    /// A list was sent for that.
    Used,
}

impl Pace {
    /// How long to wait before a list.
    pub(super) fn before_list(&self, now: Duration) -> Duration {
        match (self.listed, self.expiry) {
            (None, _) | (_, Expiry::First) => Duration::ZERO,
            (Some(at), Expiry::None | Expiry::Used) => (at + self.gap()).saturating_sub(now),
        }
    }

    /// How long to wait before a watch, one that begins with a list as well.
    pub(super) fn before_watch(&self, now: Duration) -> Duration {
        self.watched.map(|at| (at + WATCHES).saturating_sub(now)).unwrap_or_default()
    }

    /// The server has begun to send a list.
    pub(super) fn list_begins(&mut self, now: Duration) {
        self.lists += 1;
        self.listed = Some(now);
        if self.expiry == Expiry::First {
            self.expiry = Expiry::Used;
        }
    }

    pub(super) fn watch_begins(&mut self, now: Duration) {
        self.watched = Some(now);
    }

    /// The server does not know the version any more that a watch was to go on from.
    pub(super) fn expired(&mut self) {
        if self.expiry == Expiry::None {
            self.expiry = Expiry::First;
        }
    }

    /// A watch lasted: all is well.
    pub(super) fn is_sound(&mut self) {
        self.lists = 0;
        self.expiry = Expiry::None;
    }

    fn gap(&self) -> Duration {
        match self.lists.checked_sub(1) {
            None => Duration::ZERO,
            Some(before) => LISTS.0.saturating_mul(1 << before.min(16)).min(LISTS.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When requests are made if each is answered at once: `l` a list, `w` a watch, `e` a watch whose version
    /// has expired, `s` a watch that lasts 10 s.
    fn times(requests: &str) -> Vec<u128> {
        let (mut pace, mut now) = (Pace::default(), Duration::ZERO);
        let mut times = Vec::new();
        for request in requests.chars() {
            now += if request == 'l' { pace.before_list(now) } else { pace.before_watch(now) };
            times.push(now.as_millis());
            match request {
                'l' => pace.list_begins(now),
                _ => pace.watch_begins(now),
            }
            match request {
                'e' => pace.expired(),
                's' => {
                    now += Duration::from_secs(10);
                    pace.is_sound();
                }
                _ => {}
            }
        }
        times
    }

    #[test]
    fn lists_come_further_and_further_apart_and_watches_not_too_close() {
        for (shows, requests, expected) in [
            ("watches", "wwww", vec![0, 250, 500, 750]),
            ("lists", "llllllll", vec![0, 1000, 3000, 7000, 15_000, 31_000, 61_000, 91_000]),
            ("a first version that has expired asks for a list", "lel", vec![0, 0, 0]),
            ("the next one waits", "lelel", vec![0, 0, 0, 250, 2000]),
            ("nothing but versions that have expired", "elelelelel", {
                vec![0, 0, 250, 1000, 1000, 3000, 3000, 7000, 7000, 15_000]
            }),
            ("all is well after a watch that lasted", "llsll", vec![0, 1000, 1000, 11_000, 12_000]),
        ] {
            assert_eq!(times(requests), expected, "{shows}");
        }
    }
}

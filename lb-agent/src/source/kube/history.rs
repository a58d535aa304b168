//! Versions of an API server compared, so that nothing goes back in time. Pure.

use std::cmp::Ordering;
use std::time::Duration;

/// A server whose versions stay below ours for so long, while they grow, has another history than ours.
const PATIENCE: Duration = Duration::from_secs(600);

/// Up to where everything is known.
#[derive(Debug, Default)]
pub(super) struct History {
    known: Option<String>,
    below: Option<Below>,
}

/// A server that is not as far as we are.
#[derive(Debug)]
struct Below {
    since: Duration,
    first: String,
    newest: String,
}

/// What a list is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Everything there is, at a version that is not older than what is known.
    Newer,
    /// Of another history, which counts from now on.
    Another,
    /// Older than what is known: nothing may be missing for that.
    Older { known: String },
    /// No version to compare: what it does not name may exist.
    Unknown,
}

/// Where a server is that sends something of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It is not as far as what is known.
    Below,
    New,
    /// It was behind, and is not any more.
    CaughtUp,
}

impl History {
    /// A list of this version has come. Where the server has refused ours as one of the future, `is_other`
    /// says that an older one is of another history.
    pub(super) fn list(&mut self, version: Option<&str>, is_other: bool, now: Duration) -> Standing {
        let Some(version) = version else { return Standing::Unknown };
        let standing = match &self.known {
            None => Standing::Newer,
            Some(known) => match compare(version, known) {
                Some(Ordering::Less) | None if is_other => Standing::Another,
                Some(Ordering::Less) => Standing::Older { known: known.clone() },
                Some(Ordering::Equal | Ordering::Greater) => Standing::Newer,
                None => Standing::Unknown,
            },
        };
        match standing {
            Standing::Newer | Standing::Another => {
                self.known = Some(version.to_owned());
                self.below = None;
            }
            Standing::Older { .. } => {
                let first = || Below { since: now, first: version.to_owned(), newest: version.to_owned() };
                self.below.get_or_insert_with(first).reach(version);
            }
            Standing::Unknown => {}
        }
        standing
    }

    /// Objects of this version have come, though not everything has: a list that is older lacks something.
    pub(super) fn seen(&mut self, version: String) {
        self.known.get_or_insert(version);
    }

    /// A watch says that everything up to this version has come.
    pub(super) fn event(&mut self, version: &str) -> Reached {
        let order = self.known.as_deref().map(|known| compare(version, known));
        if order == Some(Some(Ordering::Less)) {
            if let Some(below) = &mut self.below {
                below.reach(version);
            }
            return Reached::Below;
        }
        self.known = Some(version.to_owned());
        if self.below.take().is_some() { Reached::CaughtUp } else { Reached::New }
    }

    /// The newest version up to which everything is known.
    pub(super) fn known(&self) -> Option<&str> {
        self.known.as_deref()
    }

    /// The server has not come to what is known.
    pub(super) const fn is_behind(&self) -> bool {
        self.below.is_some()
    }

    /// The server goes on, and has been below what is known for longer than any copy lags.
    pub(super) fn is_another(&self, now: Duration) -> bool {
        self.below.as_ref().is_some_and(|below| {
            now.saturating_sub(below.since) >= PATIENCE
                && compare(&below.newest, &below.first) == Some(Ordering::Greater)
        })
    }
}

impl Below {
    fn reach(&mut self, version: &str) {
        if compare(version, &self.newest) == Some(Ordering::Greater) {
            version.clone_into(&mut self.newest);
        }
    }
}

/// Versions are numbers without leading zeros, as long as they like. What is none is equal to itself, and not
/// to be compared with anything else.
pub(super) fn compare(one: &str, other: &str) -> Option<Ordering> {
    if one == other {
        return Some(Ordering::Equal);
    }
    let is_number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0') && !text.is_empty()
    };
    (is_number(one) && is_number(other)).then(|| one.len().cmp(&other.len()).then_with(|| one.cmp(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_of_any_length() {
        use Ordering::{Equal, Greater, Less};
        for (one, other, order) in [
            ("7", "7", Some(Equal)),
            ("7", "10", Some(Less)),
            ("10", "7", Some(Greater)),
            ("340282366920938463463374607431768211456", "9", Some(Greater)),
            ("abc", "abc", Some(Equal)),
            ("abc", "abd", None),
            ("7", "abc", None),
            ("07", "7", None),
            ("", "7", None),
            ("-1", "7", None),
        ] {
            assert_eq!(compare(one, other), order, "{one}, {other}");
        }
    }

    fn words(standing: &Standing) -> String {
        match standing {
            Standing::Newer => "newer".to_owned(),
            Standing::Another => "another".to_owned(),
            Standing::Older { known } => format!("older than {known}"),
            Standing::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn a_list_counts_if_it_is_not_older_than_what_is_known() {
        for (shows, known, version, is_other, standing, then) in [
            ("the first", None, Some("7"), false, "newer", Some("7")),
            ("the same", Some("7"), Some("7"), false, "newer", Some("7")),
            ("a newer one", Some("7"), Some("10"), false, "newer", Some("10")),
            ("an older one", Some("107"), Some("106"), false, "older than 107", Some("107")),
            (
                "an older one of a server that knows no 107",
                Some("107"),
                Some("9"),
                true,
                "another",
                Some("9"),
            ),
            ("a newer one of such a server", Some("107"), Some("108"), true, "newer", Some("108")),
            ("none", Some("7"), None, false, "unknown", Some("7")),
            ("none at first", None, None, false, "unknown", None),
            ("none of another server", Some("7"), None, true, "unknown", Some("7")),
            ("one that is no number", Some("7"), Some("x"), false, "unknown", Some("7")),
            ("one that is no number, first", None, Some("x"), false, "newer", Some("x")),
            ("the same that is no number", Some("x"), Some("x"), false, "newer", Some("x")),
            ("another that is no number", Some("x"), Some("y"), false, "unknown", Some("x")),
        ] {
            let mut history = History { known: known.map(str::to_owned), below: None };
            assert_eq!(words(&history.list(version, is_other, Duration::ZERO)), standing, "{shows}");
            assert_eq!(history.known(), then, "{shows}");
            assert_eq!(history.is_behind(), standing.starts_with("older"), "{shows}");
        }
    }

    #[test]
    fn a_server_that_is_behind_catches_up_or_is_another() {
        let at = Duration::from_secs;
        let behind = || {
            let mut history = History { known: Some("107".to_owned()), below: None };
            history.list(Some("50"), false, at(0));
            history
        };
        for (shows, events, lists, when, caught_up, another) in [
            ("it stays", &[][..], &["50"][..], 9999, false, false),
            ("it grows, and not for long", &["60"], &["61"], 599, false, false),
            ("it grows by lists", &[], &["61"], 600, false, true),
            ("it grows by what a watch says", &["60"], &[], 600, false, true),
            ("it goes back", &["40"], &["41"], 9999, false, false),
            ("a list is as far", &["60"], &["107"], 9999, true, false),
            ("a watch is as far", &["60", "107"], &[], 9999, true, false),
        ] {
            let mut history = behind();
            for version in events {
                history.event(version);
            }
            for version in lists {
                history.list(Some(version), false, at(300));
            }
            assert_eq!((!history.is_behind(), history.is_another(at(when))), (caught_up, another), "{shows}");
        }
        let mut history = behind();
        let caught_up = ["60", "106", "108", "109"].map(|version| history.event(version));
        assert_eq!(caught_up, [Reached::Below, Reached::Below, Reached::CaughtUp, Reached::New], "said once");
    }
}

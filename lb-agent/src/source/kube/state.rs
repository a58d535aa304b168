//! What is asked of the API server next, and what follows when it fails. Pure.

use crate::api::query::VersionMatch;

/// Where following one kind of objects stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Everything is to come, as a watch that sends the whole list first.
    Streaming { since: VersionMatch },
    /// Everything is to come, as a plain list: this server sends none by watches.
    Listing { since: VersionMatch },
    /// Everything has come up to `version`, and changes from there are to come.
    Watching { version: String, lists: Lists },
}

/// How this server is asked for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    Streamed,
    Plain,
}

impl Lists {
    fn again(self, since: VersionMatch) -> (State, Retry) {
        let state = match self {
            Self::Streamed => State::Streaming { since },
            Self::Plain => State::Listing { since },
        };
        (state, Retry::AfterFirstWait)
    }
}

/// What is known of the server at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The last watch ran its time.
    Sound,
    /// Something failed since: the server that responds now may be another one.
    Doubtful,
    /// The last watch ended as soon as it had begun, without an event.
    Brief,
    /// The last thing that arrived was not understood.
    Garbled,
}

/// What a failed request says about what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The API server responded with this code.
    Code(u16),
    /// What it sent was not understood.
    Garbage,
    /// It sent nothing for too long.
    Silence,
    /// It could not be reached, or the connection broke.
    Link,
}

/// When the next request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// At once, and nothing is reported: the server only wants to be asked in another way.
    AtOnce,
    /// After the next of the growing waits.
    AfterWait,
    /// After the first of them: a server that speaks of versions is over whatever it had.
    AfterFirstWait,
}

impl State {
    pub(super) const fn start() -> Self {
        Self::Streaming { since: VersionMatch::Any }
    }

    /// Everything up to `version` has come.
    pub(super) fn reached(&mut self, version: String) {
        *self = Self::Watching { version, lists: self.lists() };
    }

    /// What to do after a failure, and when.
    ///
    /// 1. A version that the server does not know any more: everything again, no older than
    ///    that. A version that it does not know yet, even for a list, is another server's.
    /// 2. A list that a watch cannot send is asked for as such from then on, whatever the server
    ///    has against it, unless it is only busy or does not know us.
    /// 3. So is one that a watch promises and does not send, as YurtHub's while it is cut off.
    /// 4. What was not understood twice at the same place is skipped: everything again.
    pub(super) fn after(self, trust: Trust, fault: Fault) -> (Self, Retry) {
        let again = trust == Trust::Garbled;
        match (self, fault) {
            (state, Fault::Code(401 | 429 | 500 | 502 | 503) | Fault::Link)
            | (state @ Self::Watching { .. }, Fault::Code(403) | Fault::Silence)
            | (state @ Self::Listing { .. }, Fault::Garbage | Fault::Silence) => (state, Retry::AfterWait),
            (state @ (Self::Watching { .. } | Self::Streaming { .. }), Fault::Garbage) if !again => {
                (state, Retry::AfterWait)
            }
            (Self::Watching { version, lists }, Fault::Code(410) | Fault::Garbage) => {
                lists.again(VersionMatch::NotOlderThan(version))
            }
            (Self::Watching { lists, .. }, Fault::Code(_)) => lists.again(VersionMatch::Newest),
            (state, Fault::Code(410 | 504)) if !state.wants_newest() => {
                state.lists().again(VersionMatch::Newest)
            }
            (Self::Streaming { since }, Fault::Code(_) | Fault::Garbage | Fault::Silence) => {
                (Self::Listing { since }, Retry::AtOnce)
            }
            (Self::Listing { .. }, Fault::Code(400)) => Lists::Plain.again(VersionMatch::Newest),
            (state @ Self::Listing { .. }, Fault::Code(_)) => (state, Retry::AfterWait),
        }
    }

    fn wants_newest(&self) -> bool {
        match self {
            Self::Streaming { since } | Self::Listing { since } => *since == VersionMatch::Newest,
            Self::Watching { .. } => false,
        }
    }

    const fn lists(&self) -> Lists {
        match self {
            Self::Streaming { .. } => Lists::Streamed,
            Self::Listing { .. } => Lists::Plain,
            Self::Watching { lists, .. } => *lists,
        }
    }
}

impl Trust {
    #[must_use]
    pub(super) const fn after(self, fault: Fault) -> Self {
        match (self, fault) {
            (_, Fault::Garbage) => Self::Garbled,
            (Self::Brief, _) => Self::Brief,
            (_, Fault::Code(_) | Fault::Silence | Fault::Link) => Self::Doubtful,
        }
    }

    /// Something arrived and was understood.
    #[must_use]
    pub(super) const fn understood(self) -> Self {
        match self {
            Self::Garbled => Self::Doubtful,
            Self::Sound | Self::Doubtful | Self::Brief => self,
        }
    }

    /// A watch goes on for longer than one that ends as soon as it has begun.
    #[must_use]
    pub(super) const fn lasts(self) -> Self {
        match self {
            Self::Brief => Self::Doubtful,
            Self::Sound | Self::Doubtful | Self::Garbled => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state in a word: `stream`, `list` and their versions, or `watch@version` and its lists.
    fn words(state: &State) -> String {
        let since = |since: &VersionMatch| match since {
            VersionMatch::Any => "any".to_owned(),
            VersionMatch::NotOlderThan(version) => format!("{version}+"),
            VersionMatch::Newest => "newest".to_owned(),
        };
        match state {
            State::Streaming { since: from } => format!("stream {}", since(from)),
            State::Listing { since: from } => format!("list {}", since(from)),
            State::Watching { version, lists: Lists::Streamed } => format!("watch {version}"),
            State::Watching { version, lists: Lists::Plain } => format!("watch {version}, lists"),
        }
    }

    fn state(words: &str) -> State {
        let states = [VersionMatch::Any, VersionMatch::NotOlderThan("7".to_owned()), VersionMatch::Newest]
            .into_iter()
            .flat_map(|since| [State::Streaming { since: since.clone() }, State::Listing { since }])
            .chain(
                [Lists::Streamed, Lists::Plain]
                    .map(|lists| State::Watching { version: "7".to_owned(), lists }),
            );
        let found = states.into_iter().find(|state| super::tests::words(state) == *words);
        found.unwrap_or_else(|| panic!("{words}"))
    }

    #[test]
    fn what_follows_on_a_failure() {
        use Fault::{Code, Garbage, Link, Silence};
        use Retry::{AfterFirstWait, AfterWait, AtOnce};
        for (before, faults, after, when) in [
            (
                "watch 7",
                &[Code(401), Code(403), Code(429), Code(500), Code(502), Code(503), Link, Silence, Garbage][..],
                "watch 7",
                AfterWait,
            ),
            ("watch 7", &[Code(410)], "stream 7+", AfterFirstWait),
            ("watch 7", &[Code(400), Code(404), Code(422), Code(504)], "stream newest", AfterFirstWait),
            ("watch 7, lists", &[Code(410)], "list 7+", AfterFirstWait),
            ("watch 7, lists", &[Code(504)], "list newest", AfterFirstWait),
            ("watch 7, lists", &[Code(500), Link], "watch 7, lists", AfterWait),
            (
                "stream any",
                &[Code(401), Code(429), Code(500), Code(502), Code(503), Link, Garbage],
                "stream any",
                AfterWait,
            ),
            ("stream any", &[Code(410), Code(504)], "stream newest", AfterFirstWait),
            ("stream any", &[Code(400), Code(403), Code(404), Code(422), Silence], "list any", AtOnce),
            ("stream 7+", &[Code(410), Code(504)], "stream newest", AfterFirstWait),
            ("stream 7+", &[Code(422), Silence], "list 7+", AtOnce),
            ("stream newest", &[Code(410), Code(504), Code(422), Silence], "list newest", AtOnce),
            (
                "list any",
                &[Code(401), Code(403), Code(404), Code(422), Code(429), Code(500), Link, Silence, Garbage],
                "list any",
                AfterWait,
            ),
            ("list any", &[Code(400), Code(410), Code(504)], "list newest", AfterFirstWait),
            ("list 7+", &[Code(400), Code(410), Code(504)], "list newest", AfterFirstWait),
            ("list newest", &[Code(410), Code(504), Silence], "list newest", AfterWait),
            ("list newest", &[Code(400)], "list newest", AfterFirstWait),
        ] {
            for fault in faults {
                let (then, retry) = state(before).after(Trust::Sound, *fault);
                assert_eq!((words(&then).as_str(), retry), (after, when), "{before}, {fault:?}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_twice_at_one_place_is_skipped() {
        for (before, after, when) in [
            ("watch 7", "stream 7+", Retry::AfterFirstWait),
            ("watch 7, lists", "list 7+", Retry::AfterFirstWait),
            ("stream any", "list any", Retry::AtOnce),
            ("list any", "list any", Retry::AfterWait),
        ] {
            let first = Trust::Sound.after(Fault::Garbage);
            let (then, retry) = state(before).after(first, Fault::Garbage);
            assert_eq!((words(&then).as_str(), retry), (after, when), "{before}");
            for between in [first.after(Fault::Link), first.understood()] {
                let (then, _) = state(before).after(between, Fault::Garbage);
                assert_eq!(words(&then), before, "{before}: not the same place, or not in a row");
            }
        }
    }

    #[test]
    fn a_list_that_came_is_followed_by_a_watch_from_its_end() {
        for (before, after) in [
            ("stream any", "watch 9"),
            ("list 7+", "watch 9, lists"),
            ("watch 7", "watch 9"),
            ("watch 7, lists", "watch 9, lists"),
        ] {
            let mut state = state(before);
            state.reached("9".to_owned());
            assert_eq!(words(&state), after, "{before}");
        }
    }

    #[test]
    fn a_brief_watch_is_remembered_until_one_lasts() {
        use Trust::{Brief, Doubtful, Garbled, Sound};
        for (trust, link, garbage, understood, lasts) in [
            (Sound, Doubtful, Garbled, Sound, Sound),
            (Doubtful, Doubtful, Garbled, Doubtful, Doubtful),
            (Brief, Brief, Garbled, Brief, Doubtful),
            (Garbled, Doubtful, Garbled, Doubtful, Garbled),
        ] {
            let after =
                (trust.after(Fault::Link), trust.after(Fault::Garbage), trust.understood(), trust.lasts());
            assert_eq!(after, (link, garbage, understood, lasts), "{trust:?}");
        }
    }
}

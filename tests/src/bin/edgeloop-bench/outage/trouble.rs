//! How the server is when it comes back.

/// What it does with lists and watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) streams: Streams,
    pub(crate) watches: Watches,
    pub(crate) lists: Lists,
}

/// Lists that are asked for as watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    Sent,
    Refused,
}

/// Watches from a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watches {
    GoOn,
    /// Versions from before it was away have expired.
    ExpiredOnce,
    /// Every version has.
    Expired,
    /// They end as they begin.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    Whole,
    /// They break off.
    Half,
    /// 429 to whatever is asked, with a `Retry-After` of one second.
    Busy,
}

pub(crate) const SOUND: Manner =
    Manner { streams: Streams::Sent, watches: Watches::GoOn, lists: Lists::Whole };

#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) name: &'static str,
    /// Before it was away.
    pub(crate) before: Manner,
    /// Now that it is back.
    pub(crate) manner: Manner,
    /// The most requests that one agent may make for one kind in the seconds that are counted.
    pub(crate) most: Option<usize>,
}

pub(crate) fn troubles() -> Vec<Trouble> {
    let of = |name, manner, most| Trouble { name, before: SOUND, manner, most };
    let plain = Manner { streams: Streams::Refused, ..SOUND };
    vec![
        of("knows all versions", SOUND, Some(1)),
        of("has forgotten versions", Manner { watches: Watches::ExpiredOnce, ..SOUND }, Some(2)),
        Trouble {
            before: plain,
            ..of(
                "has forgotten them, and never streamed lists",
                Manner { watches: Watches::ExpiredOnce, ..plain },
                Some(3),
            )
        },
        of("says 410 for ever", Manner { watches: Watches::Expired, ..SOUND }, Some(9)),
        of("is busy: 429", Manner { lists: Lists::Busy, ..SOUND }, None),
        of("breaks every list off", Manner { watches: Watches::Expired, lists: Lists::Half, ..plain }, None),
        of("ends each watch at once", Manner { watches: Watches::End, ..SOUND }, None),
    ]
}

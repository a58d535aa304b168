//! What to do with the generations of maps that are found below the pin root. Pure.
//!
//! A generation is a folder of pins: its maps, and the programs that run over them. `v2` is the one
//! in use, of layout version 2; `v2-new` is being filled, `v2-old` was replaced. The names can lie
//! after a kill in the middle of a change-over; which program runs behind a link cannot.

use std::fmt;

use super::capacity::Capacity;
use super::mirror::LAST_ID;

/// Where a generation stands in a change-over, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Current,
    New,
    Old,
}

/// The name of a generation's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GenerationName {
    /// The layout version of its maps.
    pub version: u32,
    pub place: Place,
}

impl GenerationName {
    #[must_use]
    pub const fn current(version: u32) -> Self {
        Self { version, place: Place::Current }
    }

    #[must_use]
    pub const fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// `None` for a name that is not a generation's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let version = name.strip_prefix('v')?;
        let (digits, place) = if let Some(digits) = version.strip_suffix("-new") {
            (digits, Place::New)
        } else if let Some(digits) = version.strip_suffix("-old") {
            (digits, Place::Old)
        } else {
            (version, Place::Current)
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let version = digits.parse().ok().filter(|_| is_number)?;
        Some(Self { version, place })
    }
}

impl fmt::Display for GenerationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.place {
            Place::Current => "",
            Place::New => "-new",
            Place::Old => "-old",
        };
        write!(f, "v{}{suffix}", self.version)
    }
}

/// What lies in a generation's folder, held against this version's catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Every map, as the catalogue has it.
    Whole(Capacity),
    /// A map is missing, or of another kind or size.
    Unusable,
}

/// The programs that are pinned in a generation's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// None at all: layout version 1 pinned none, so that no link can be traced to it.
    Nothing,
    /// Some, of which so many run behind a link.
    Programs { running: usize },
}

/// A generation that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: GenerationName,
    pub contents: Contents,
    pub programs: Pinned,
}

/// What a start does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Nothing serves, and nothing there is of use: make a generation and fill it.
    Make,
    /// Go on with the generation that is in its place.
    Adopt(GenerationName),
    /// A change-over was killed before this generation had its name: give it, and go on with it.
    Finish(GenerationName),
    /// Programs run over maps that this version cannot write. They go on until a new generation has
    /// everything that they may serve; it inherits from this one what can be read.
    Replace(Option<GenerationName>),
}

impl Takeover {
    /// The generation that the attached programs use, if it has a name.
    #[must_use]
    pub const fn in_use(self) -> Option<GenerationName> {
        match self {
            Self::Make => None,
            Self::Adopt(name) | Self::Finish(name) => Some(name),
            Self::Replace(name) => name,
        }
    }
}

/// Decides by facts: which programs run behind the links, and in whose folder they are pinned.
///
/// 1. A whole generation of this version that a link uses is gone on with. A generation gets its
///    first link when it is complete, so of two it is the newer one.
/// 2. Else, while anything is attached, what is in use is replaced: the generation that most links
///    use; else one that pinned no programs, which is layout version 1.
/// 3. Nothing is attached, or nothing that could be another version's: a whole generation of this
///    version is gone on with, however much it holds.
/// 4. Else a new one is made.
///
/// `links` is the number of links that are attached.
#[must_use]
pub fn takeover(version: u32, found: &[Found], links: usize) -> Takeover {
    let ours = |found: &&Found| found.name.version == version && matches!(found.contents, Contents::Whole(_));
    let in_use = found.iter().filter(ours).filter(|found| found.running() > 0);
    // Of two that links use, the one that was being changed over to.
    if let Some(found) = in_use.min_by_key(|found| (found.name.place != Place::New, found.name.place)) {
        return go_on_with(found.name);
    }
    if links > 0 {
        let most = found.iter().filter(|found| found.running() > 0).max_by_key(|found| found.running());
        let silent = || {
            let of_another = found.iter().filter(|found| found.programs == Pinned::Nothing);
            of_another.filter(|found| found.name.version != version).min_by_key(|found| found.name.place)
        };
        if let Some(found) = most.or_else(silent) {
            return Takeover::Replace(Some(found.name));
        }
    }
    match found.iter().filter(ours).min_by_key(|found| found.name.place) {
        Some(found) => go_on_with(found.name),
        None if links > 0 => Takeover::Replace(None),
        None => Takeover::Make,
    }
}

const fn go_on_with(name: GenerationName) -> Takeover {
    match name.place {
        Place::Current => Takeover::Adopt(name),
        Place::New | Place::Old => Takeover::Finish(name),
    }
}

/// The first service id that was never used within this boot, whatever versions ran. `known` are
/// the lowest ids that single generations do not know as used; what cannot be an id is no answer.
#[must_use]
pub fn first_unused_id(known: impl IntoIterator<Item = u32>) -> u32 {
    known.into_iter().filter(|id| *id < LAST_ID).max().unwrap_or(1).max(1)
}

impl Found {
    const fn running(&self) -> usize {
        match self.programs {
            Pinned::Nothing => 0,
            Pinned::Programs { running } => running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it shows, how many links there are, what is found, and what follows. This is layout version 2,
    /// with two hooks. A generation is written `name=contents`, followed by `*N` where N of its programs run
    /// behind links, or by `*?` where it pinned no programs.
    const CASES: &[(&str, usize, &str, &str)] = &[
        ("nothing", 0, "", "make"),
        ("ours in use", 2, "v2=whole*2", "adopt v2"),
        ("ours, the links taken away", 0, "v2=whole*0", "adopt v2"),
        ("killed while the first one was made", 0, "v2-new=unusable*?", "make"),
        ("killed while the first one was filled", 0, "v2=whole*0", "adopt v2"),
        ("killed while the next one was made", 2, "v2=whole*2 v2-new=unusable*?", "adopt v2"),
        ("killed while the next one was filled", 2, "v2=whole*2 v2-new=whole*0", "adopt v2"),
        ("killed between the links", 2, "v2=whole*1 v2-new=whole*1", "finish v2-new"),
        ("killed before the renames", 2, "v2=whole*0 v2-new=whole*2", "finish v2-new"),
        ("killed between the renames", 2, "v2-old=whole*0 v2-new=whole*2", "finish v2-new"),
        ("killed after the renames", 2, "v2=whole*2 v2-old=whole*0", "adopt v2"),
        (
            "killed between the renames, then the links went",
            0,
            "v2-old=whole*0 v2-new=whole*0",
            "finish v2-new",
        ),
        ("the one in use was put aside", 2, "v2-old=whole*2", "finish v2-old"),
        ("another program is behind a link", 2, "v2=whole*1", "adopt v2"),
        ("other programs are behind all links", 2, "v2=whole*0", "adopt v2"),
        // Other layout versions.
        ("upgrade", 2, "v1=unusable*?", "replace v1"),
        ("upgrade, of a version that pins programs", 2, "v1=unusable*2", "replace v1"),
        ("upgrade, its maps as ours", 2, "v1=whole*2", "replace v1"),
        ("downgrade", 2, "v3=unusable*2", "replace v3"),
        ("killed while filled", 2, "v1=unusable*? v2-new=whole*0", "replace v1"),
        (
            "killed between the links, then the new version",
            2,
            "v1=unusable*? v2-new=whole*1",
            "finish v2-new",
        ),
        ("killed between the links, then the older version", 2, "v2=whole*1 v3-new=whole*1", "adopt v2"),
        ("killed before its renames", 2, "v1=unusable*? v2-new=whole*2", "finish v2-new"),
        ("killed before the other version was removed", 2, "v1=unusable*? v2=whole*2", "adopt v2"),
        (
            "a downgrade to layout 1, killed before ours was removed",
            2,
            "v1=unusable*? v2=whole*0",
            "replace v1",
        ),
        ("a downgrade, killed before a newer one was removed", 2, "v2=whole*2 v3=unusable*0", "adopt v2"),
        (
            "the other version was killed between its renames",
            2,
            "v1-old=unusable*? v1-new=unusable*?",
            "replace v1-new",
        ),
        ("the other version was killed while it filled", 2, "v1=unusable*? v1-new=unusable*?", "replace v1"),
        (
            "the other version was killed between its links",
            2,
            "v3=unusable*1 v3-new=unusable*2",
            "replace v3-new",
        ),
        ("another version's that nothing uses", 0, "v1=unusable*?", "make"),
        ("another version's that nothing uses, and ours", 2, "v1=unusable*? v2=whole*2", "adopt v2"),
        ("ours that nothing uses, and another's in use", 2, "v2=whole*0 v3=unusable*2", "replace v3"),
        // What is not as it should be.
        ("a map is missing or foreign", 2, "v2=unusable*2", "replace v2"),
        ("the same, nothing attached", 0, "v2=unusable*2", "make"),
        ("the same, and a half filled one", 2, "v2=unusable*2 v2-new=whole*0", "replace v2"),
        ("all pins are gone, the links are not", 2, "", "replace what has no name"),
        ("only garbage, and links", 2, "v2=unusable*?", "replace what has no name"),
    ];

    #[test]
    fn what_serves_goes_on_whatever_was_killed_where() {
        for (shows, links, found, expected) in CASES {
            let found: Vec<Found> = found.split_whitespace().map(parse).collect();
            assert_eq!(say(takeover(2, &found, *links)), *expected, "{shows}");
            let backwards: Vec<Found> = found.into_iter().rev().collect();
            assert_eq!(say(takeover(2, &backwards, *links)), *expected, "{shows}, found in another order");
        }
    }

    #[test]
    fn service_ids_go_on_past_those_of_every_generation_that_is_found() {
        for (shows, known, first) in [
            ("none", &[][..], 1),
            ("several", &[1025, 4097, 7], 4097),
            ("a map of zeros", &[0], 1),
            ("garbage", &[u32::MAX, 1025], 1025),
            ("nothing but garbage", &[u32::MAX], 1),
        ] {
            assert_eq!(first_unused_id(known.iter().copied()), first, "{shows}");
        }
    }

    #[test]
    fn a_generation_is_known_by_its_name() {
        for (name, version, place) in
            [("v1", 1, Place::Current), ("v12-new", 12, Place::New), ("v2-old", 2, Place::Old)]
        {
            let parsed = GenerationName::parse(name).unwrap();
            assert_eq!((parsed.version, parsed.place, parsed.to_string().as_str()), (version, place, name));
        }
        for name in ["", "v", "v-new", "vx", "v1-newer", "1", "v1-old-new", "v+1", "connect4", "v99999999999"]
        {
            assert_eq!(GenerationName::parse(name), None, "{name}");
        }
    }

    fn parse(text: &str) -> Found {
        let (name, rest) = text.split_once('=').unwrap();
        let (contents, running) = rest.split_once('*').unwrap();
        Found {
            name: GenerationName::parse(name).unwrap(),
            contents: match contents {
                "whole" => Contents::Whole(Capacity::of(1, 1)),
                _ => Contents::Unusable,
            },
            programs: match running {
                "?" => Pinned::Nothing,
                running => Pinned::Programs { running: running.parse().unwrap() },
            },
        }
    }

    fn say(takeover: Takeover) -> String {
        match takeover {
            Takeover::Make => "make".to_owned(),
            Takeover::Adopt(name) => format!("adopt {name}"),
            Takeover::Finish(name) => format!("finish {name}"),
            Takeover::Replace(Some(name)) => format!("replace {name}"),
            Takeover::Replace(None) => "replace what has no name".to_owned(),
        }
    }
}

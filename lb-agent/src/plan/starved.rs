//! Which Services are not served as desired for lack of room, and why.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Family, Frontend, ObjectName};

/// What follows where a map has no room for backends.
macro_rules! no_region {
    () => {
        "has no room for its backends: served by those of its last set that are still right, refused while there are none; \
         start the agent with a larger --max-backends"
    };
}

/// Why a Service is not served as desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Starved {
    /// The front end is full: the Service is untouched.
    Frontends,
    /// The kernel has no memory for another element of the front end: the Service is untouched.
    Memory,
    /// The backends map has no region that large: the Service keeps what is still right of its
    /// last set.
    Backends,
    /// Room is there as soon as a grace period has passed; until then as for `Backends`.
    Grace,
    /// It has more endpoints than an element can count: those beyond are left out.
    Excess,
    /// No service ids are left.
    Ids,
}

impl Starved {
    /// One sentence without a full stop, of an address of this family; `None` for what passes by itself within a second
    /// or so.
    #[must_use]
    pub const fn describe(self, family: Family) -> Option<&'static str> {
        match self {
            Self::Frontends => Some(
                "the maps hold as many service ports as they can: not served; start the agent with a larger --max-services",
            ),
            Self::Memory => {
                Some("no memory for another service port: not served; raise the memory limit of the agent")
            }
            Self::Backends => Some(match family {
                Family::V4 => concat!("map backends4 ", no_region!()),
                Family::V6 => concat!("map backends6 ", no_region!()),
            }),
            Self::Grace => None,
            Self::Excess => Some("it has more than 65,535 endpoints: those beyond are not used"),
            Self::Ids => Some("no service ids are left: run `lb-agent cleanup` and start the agent again"),
        }
    }

    /// Whether larger maps would help.
    #[must_use]
    pub const fn is_for_lack_of_room(self) -> bool {
        matches!(self, Self::Frontends | Self::Memory | Self::Backends)
    }
}

/// The shortages, one for an address at most: the Service that is desired there lacks room there.
#[derive(Debug, Default)]
pub struct Shortages {
    at: BTreeMap<Frontend, (ObjectName, Starved)>,
    by_service: BTreeSet<(ObjectName, Frontend)>,
    /// Something was given back since the Services that lack room were last tried.
    room: bool,
}

impl Shortages {
    /// Where `service` lacks room, and why.
    pub fn of(&self, service: &ObjectName) -> impl Iterator<Item = (Frontend, Starved)> {
        let from = (service.clone(), Frontend::LOWEST);
        let those = self.by_service.range(from..).take_while(move |(of, _)| of == service);
        those.filter_map(|(_, frontend)| Some((*frontend, self.at.get(frontend)?.1)))
    }

    /// The Services that are not served as desired; one with several addresses more than once.
    pub fn services(&self) -> impl Iterator<Item = &ObjectName> {
        self.by_service.iter().map(|(service, _)| service)
    }

    /// How many addresses lack room that larger maps would have.
    #[must_use]
    pub fn lacking_room(&self) -> usize {
        self.at.values().filter(|(_, why)| why.is_for_lack_of_room()).count()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Whether [`take_retryable`](Self::take_retryable) would have something.
    #[must_use]
    pub fn has_retryable(&self) -> bool {
        self.room && !self.at.is_empty()
    }

    pub(super) fn take_retryable(&mut self) -> Vec<ObjectName> {
        let retry = std::mem::take(&mut self.room);
        let mut services: Vec<ObjectName> =
            self.by_service.iter().filter(|_| retry).map(|(service, _)| service.clone()).collect();
        services.dedup();
        services
    }

    pub(super) const fn give_room(&mut self) {
        self.room = true;
    }

    pub(super) fn set(&mut self, frontend: Frontend, why: Option<(&ObjectName, Starved)>) {
        if let Some((service, _)) = self.at.remove(&frontend) {
            self.by_service.remove(&(service, frontend));
        }
        if let Some((service, why)) = why {
            self.at.insert(frontend, (service.clone(), why));
            self.by_service.insert((service.clone(), frontend));
        }
    }
}

//! How large the maps are, and how large they should be.

use crate::model::{Family, PerFamily};

/// How many elements fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Elements of the front end, of both families together. Each has a map with room for all of them: room that is not
    /// used takes next to no memory there.
    pub frontends: u32,
    /// Entries of the backends maps, which take their memory at once.
    pub backends: PerFamily<u32>,
}

impl Capacity {
    /// Room for so many elements of the front end, and for so many entries of each backends map.
    #[must_use]
    pub const fn of(frontends: u32, backends: u32) -> Self {
        Self { frontends, backends: PerFamily { v4: backends, v6: backends } }
    }

    /// Whether more fits than into `other`, wherever.
    #[must_use]
    pub fn has_more_room_than(self, other: Self) -> bool {
        let backends = |family| self.backends.of(family) > other.backends.of(family);
        self.frontends > other.frontends || Family::ALL.into_iter().any(backends)
    }
}

/// How large the maps are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Elements of the front end; `None` goes by need.
    pub frontends: Option<u32>,
    /// Entries of each backends map; `None` goes by need.
    pub backends: Option<u32>,
}

/// The smallest maps that are made: 0.5 MB for front end and names, 1 MB for the backends of IPv4. Few clusters have IPv6
/// Services with more backends than an element holds: 128 KB until there are more.
const LEAST: Capacity = Capacity { frontends: 16_384, backends: PerFamily { v4: 65_536, v6: 4096 } };

impl Sizes {
    /// The sizes of new maps for `need`: half again for the front end, twice for the backends,
    /// whose regions exist twice while one takes the other's place.
    #[must_use]
    pub fn fresh(self, need: Capacity) -> Capacity {
        let grown = |need: u32, least: u32| need.max(least).checked_next_power_of_two().unwrap_or(1 << 31);
        let backends = |family| {
            let (need, least) = (need.backends.of(family), LEAST.backends.of(family));
            self.backends.unwrap_or_else(|| grown(need.saturating_mul(2), *least))
        };
        Capacity {
            frontends: self
                .frontends
                .unwrap_or_else(|| grown(need.frontends.saturating_add(need.frontends / 2), LEAST.frontends)),
            backends: PerFamily::each(backends),
        }
    }

    /// Whether maps of `capacity` will do for `need`.
    #[must_use]
    pub fn accepts(self, capacity: Capacity, need: Capacity) -> bool {
        let fits =
            |asked: Option<u32>, have: u32, need: u32| asked.map_or(have >= need, |asked| asked == have);
        let backends = |family| fits(self.backends, *capacity.backends.of(family), *need.backends.of(family));
        fits(self.frontends, capacity.frontends, need.frontends) && Family::ALL.into_iter().all(backends)
    }

    /// Whether maps may be replaced by larger ones when they are full.
    #[must_use]
    pub const fn may_grow(self) -> bool {
        self.frontends.is_none() || self.backends.is_none()
    }
}

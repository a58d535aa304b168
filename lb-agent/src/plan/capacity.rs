//! How large the maps are, and how large they should be.

/// How many elements fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Elements of the front end.
    pub frontends: u32,
    /// Entries of the backends map.
    pub backends: u32,
}

/// How large the maps are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Elements of the front end; `None` goes by need.
    pub frontends: Option<u32>,
    /// Entries of the backends map; `None` goes by need.
    pub backends: Option<u32>,
}

/// The smallest maps that are made: 0.5 MB for front end and names, 1 MB for backends.
const LEAST: Capacity = Capacity { frontends: 16_384, backends: 65_536 };

impl Sizes {
    /// The sizes of new maps for `need`: half again for the front end, twice for the backends,
    /// whose regions exist twice while one takes the other's place.
    #[must_use]
    pub fn fresh(self, need: Capacity) -> Capacity {
        let grown = |need: u32, least: u32| need.max(least).checked_next_power_of_two().unwrap_or(1 << 31);
        Capacity {
            frontends: self
                .frontends
                .unwrap_or_else(|| grown(need.frontends.saturating_add(need.frontends / 2), LEAST.frontends)),
            backends: self.backends.unwrap_or_else(|| grown(need.backends.saturating_mul(2), LEAST.backends)),
        }
    }

    /// Whether maps of `capacity` will do for `need`.
    #[must_use]
    pub fn accepts(self, capacity: Capacity, need: Capacity) -> bool {
        self.frontends.map_or(capacity.frontends >= need.frontends, |asked| asked == capacity.frontends)
            && self.backends.map_or(capacity.backends >= need.backends, |asked| asked == capacity.backends)
    }

    /// Whether maps may be replaced by larger ones when they are full.
    #[must_use]
    pub const fn may_grow(self) -> bool {
        self.frontends.is_none() || self.backends.is_none()
    }
}

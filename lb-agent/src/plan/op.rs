//! One write to the maps.

use lb_common::layout::{Frontend4, RegionEntry4, Service4, ServiceName};

/// One write. Every prefix of a list of them leaves the maps in a state that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapOp {
    /// Promises that no service id from here on was used within this boot.
    NextId(u32),
    /// Says what a service id means, for people.
    Name { id: u32, name: ServiceName },
    /// Writes a region that no front-end element points at.
    Fill { at: u32, entries: Vec<RegionEntry4> },
    /// Publishes: the one write that readers act on.
    Put { frontend: Frontend4, service: Service4 },
    /// Takes an address back; one that is not there is no error.
    Remove { frontend: Frontend4 },
    /// Forgets a name; one that is not there is no error.
    Unname { id: u32 },
}

impl MapOp {
    /// Names are for people only: the Service is served without.
    #[must_use]
    pub const fn is_only_a_name(&self) -> bool {
        matches!(self, Self::Name { .. } | Self::Unname { .. })
    }
}

//! What became of the clients' connections.

use serde::{Deserialize, Serialize};

/// Connections, counted by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    pub connects: u64,
    /// Those that dialled an IPv4-mapped address: they pass connect6, the others connect4.
    pub mapped: u64,
    /// ECONNREFUSED.
    pub refused: u64,
    /// At the cluster IP itself.
    pub decoy: u64,
    /// At a backend of the Service that was in none of the sets live meanwhile.
    pub outside: u64,
    /// At another Service's backend.
    pub neighbour: u64,
    /// At an address of no server, or failed in another way.
    pub failed: u64,
    /// So many publications went by that what was allowed is no longer known.
    pub unjudged: u64,
    /// The first one that went wrong, in words.
    pub first: Option<String>,
}

impl Verdicts {
    /// Connections that went wrong.
    #[must_use]
    pub fn astray(&self) -> u64 {
        self.refused + self.decoy + self.outside + self.neighbour + self.failed
    }

    pub(super) fn add(&mut self, other: Self) {
        let Self { connects, mapped, refused, decoy, outside, neighbour, failed, unjudged, first } = other;
        self.connects += connects;
        self.mapped += mapped;
        self.refused += refused;
        self.decoy += decoy;
        self.outside += outside;
        self.neighbour += neighbour;
        self.failed += failed;
        self.unjudged += unjudged;
        self.first = self.first.take().or(first);
    }
}

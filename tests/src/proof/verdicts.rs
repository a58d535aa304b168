//! What became of the clients' connections.

use serde::{Deserialize, Serialize};

/// Connections, counted by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    pub connects: u64,
    /// Those that dialled an IPv4-mapped address: over TCP they pass connect6, the others connect4.
    pub mapped: u64,
    /// Those that dialled an IPv6 address.
    pub ipv6: u64,
    /// Those that dialled a node port.
    pub node_ports: u64,
    /// Those over UDP that were answered.
    pub datagrams: u64,
    /// Those of clients that were to be given, by session affinity, what they were given before.
    pub returning: u64,
    /// On UDP sockets that an agent ended, which it does where a backend has left.
    pub ended: u64,
    /// ECONNREFUSED.
    pub refused: u64,
    /// At the cluster IP itself.
    pub decoy: u64,
    /// At a backend of the Service that was in none of the sets live meanwhile.
    pub outside: u64,
    /// At another Service's backend.
    pub neighbour: u64,
    /// At another backend than before on the same UDP socket, though that stayed in the set.
    pub moved: u64,
    /// At another backend than the client was given before, though the Service keeps its clients and that stayed in the set.
    pub unkept: u64,
    /// Answered by the right backend, and shown as coming from elsewhere than what was dialled.
    pub misnamed: u64,
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
        let Self { refused, decoy, outside, neighbour, moved, unkept, misnamed, failed, .. } = self;
        refused + decoy + outside + neighbour + moved + unkept + misnamed + failed
    }

    /// Those of another client, or of another run.
    pub fn add(&mut self, other: Self) {
        let Self {
            connects,
            mapped,
            ipv6,
            node_ports,
            datagrams,
            returning,
            ended,
            refused,
            decoy,
            outside,
            neighbour,
            moved,
            unkept,
            misnamed,
            failed,
            unjudged,
            first,
        } = other;
        self.connects += connects;
        self.mapped += mapped;
        self.ipv6 += ipv6;
        self.node_ports += node_ports;
        self.datagrams += datagrams;
        self.returning += returning;
        self.ended += ended;
        self.refused += refused;
        self.decoy += decoy;
        self.outside += outside;
        self.neighbour += neighbour;
        self.moved += moved;
        self.unkept += unkept;
        self.misnamed += misnamed;
        self.failed += failed;
        self.unjudged += unjudged;
        self.first = self.first.take().or(first);
    }
}

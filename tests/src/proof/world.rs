//! Who is who in the proofs: what is dialled, and who has which address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

/// How many addresses the proof with an agent dials. The one without dials the first alone.
pub const ADDRESSES: u8 = 8;

/// What the clients dial.
pub const CLUSTER: SocketAddrV4 = cluster(0);

/// Every address has sets of these; the neighbours have as many of their own.
pub const BACKENDS: u8 = 24;

/// What the decoy answers with. Backends answer with their number.
pub(super) const DECOY: u32 = 2_000;
/// What a backend of a neighbour answers with.
pub(super) const NEIGHBOUR: u32 = 1_000;

/// What the host has, at which node ports are served.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);

const PORT: u16 = 9_000;
/// The third byte is this one and the number of the address.
const OWN: [u8; 3] = [10, 244, 8];
/// All of them, of all [`ADDRESSES`].
pub(super) const BACKEND_NETWORK: &str = "10.244.8.0/21";
const FOREIGN: [u8; 3] = [10, 244, 100];

/// Where a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// This backend of the Service that was dialled.
    Backend(u8),
    /// Another Service's.
    Neighbour,
    /// What was dialled itself: the connection was left as it was.
    Decoy,
    /// An address that no Service has.
    Unknown,
}

impl Reached {
    /// Who has this address, for a client that dialled the cluster IP of number `dialled`.
    #[must_use]
    pub fn at(dialled: u8, address: SocketAddrV4) -> Self {
        let [a, b, c, number] = address.ip().octets();
        let known = address.port() == PORT && (1..=BACKENDS).contains(&number) && [a, b] == OWN[..2];
        if address == cluster(dialled) || Some(address) == node_port(dialled) {
            Self::Decoy
        } else if known && c == OWN[2] + dialled {
            Self::Backend(number - 1)
        } else if known && (c == FOREIGN[2] || (OWN[2]..OWN[2] + ADDRESSES).contains(&c)) {
            Self::Neighbour
        } else {
            Self::Unknown
        }
    }

    /// Who answers with this.
    #[must_use]
    pub fn answering(id: u32) -> Self {
        match id {
            DECOY => Self::Decoy,
            NEIGHBOUR => Self::Neighbour,
            _ => {
                u8::try_from(id).ok().filter(|number| *number < BACKENDS).map_or(Self::Unknown, Self::Backend)
            }
        }
    }
}

/// The cluster IP of this number.
#[must_use]
pub const fn cluster(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 10 + number), 80)
}

/// Whether what has this address keeps its clients: `sessionAffinity: ClientIP`.
#[must_use]
pub const fn keeps_clients(number: u8) -> bool {
    number % 3 == 1
}

/// Where the Service of this address has its node port, over both protocols: with session affinity, and without.
#[must_use]
pub const fn node_port(number: u8) -> Option<SocketAddrV4> {
    if number % 4 == 1 { Some(SocketAddrV4::new(HOST, 30_000 + number as u16)) } else { None }
}

/// All that the proofs dial and reach over IPv6, as a route.
pub(super) const NETWORK6: &str = "fd00:6464::/96";

/// The same over IPv6: every address has its place in one network.
#[must_use]
pub const fn over6(at: SocketAddrV4) -> SocketAddrV6 {
    let [a, b, c, d] = at.ip().octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    SocketAddrV6::new(Ipv6Addr::new(0xfd00, 0x6464, 0, 0, 0, 0, high, low), at.port(), 0, 0)
}

/// What is over IPv6 at this address; none outside of the network.
#[must_use]
pub fn under6(at: SocketAddrV6) -> Option<SocketAddrV4> {
    let [.., a, b, c, d] = at.ip().octets();
    let under = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), at.port());
    (over6(under).ip() == at.ip()).then_some(under)
}

/// Backend `number` of the first address.
#[must_use]
pub const fn backend(number: u8) -> SocketAddrV4 {
    backend_of(0, number)
}

/// Backend `number` of the address `of`.
#[must_use]
pub(super) const fn backend_of(of: u8, number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(OWN[0], OWN[1], OWN[2] + of, number + 1), PORT)
}

/// Backend `number` of the neighbours.
#[must_use]
pub(super) const fn foreign(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(FOREIGN[0], FOREIGN[1], FOREIGN[2], number + 1), PORT)
}

/// What neighbour `number` is dialled at.
#[must_use]
pub(super) const fn neighbour(number: u16) -> SocketAddrV4 {
    let [high, low] = number.to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(10, 97, high, low), 80)
}

/// What a connection may get: a bit for each of [`BACKENDS`], and two more.
pub type Set = u32;

/// ECONNREFUSED: the Service has no backend.
pub const REFUSED: Set = 1 << 30;
/// The connection is left as it was: the address has no Service.
pub const UNTOUCHED: Set = 1 << 31;

/// Numbers that look random and are the same in every run (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(super) fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides.max(1) as u64) as usize
    }

    /// `count` different numbers below [`BACKENDS`], in order.
    pub(super) fn hand(&mut self, count: usize) -> Vec<u8> {
        let mut deck: Vec<u8> = (0..BACKENDS).collect();
        while deck.len() > count {
            deck.swap_remove(self.throw(deck.len()));
        }
        deck.sort_unstable();
        deck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_differ_by_address_and_by_answer() {
        for number in 0..BACKENDS {
            assert_eq!(Reached::at(0, backend(number)), Reached::Backend(number));
            assert_eq!(Reached::at(3, backend_of(3, number)), Reached::Backend(number));
            assert_eq!(Reached::at(3, backend_of(4, number)), Reached::Neighbour);
            assert_eq!(Reached::answering(number.into()), Reached::Backend(number));
            assert_eq!(Reached::at(0, foreign(number)), Reached::Neighbour);
        }
        assert_eq!(Reached::at(0, CLUSTER), Reached::Decoy);
        assert_eq!(Reached::at(1, node_port(1).unwrap()), Reached::Decoy);
        assert_eq!(Reached::at(5, node_port(1).unwrap()), Reached::Unknown);
        assert_eq!(Reached::answering(DECOY), Reached::Decoy);
        assert_eq!(Reached::answering(NEIGHBOUR), Reached::Neighbour);
        assert_eq!(under6(over6(CLUSTER)), Some(CLUSTER));
        assert_eq!(under6("[fd00:6464::1:a60:a]:80".parse().unwrap()), None);
        let torn = SocketAddrV4::new(*backend(0).ip(), CLUSTER.port());
        assert_eq!(Reached::at(0, torn), Reached::Unknown);
        assert_eq!(Reached::answering(BACKENDS.into()), Reached::Unknown);
    }

    #[test]
    fn one_half_of_the_services_as_the_other_has_affinity_and_a_node_port() {
        for half in [0..ADDRESSES / 2, ADDRESSES / 2..ADDRESSES] {
            assert!(half.clone().any(keeps_clients) && half.clone().any(|number| !keeps_clients(number)));
            assert!(half.clone().any(|number| node_port(number).is_some()));
        }
        let with_both =
            (0..ADDRESSES).filter(|number| keeps_clients(*number) && node_port(*number).is_some());
        assert_eq!(with_both.count(), 1);
    }

    #[test]
    fn a_hand_has_as_many_backends_as_asked_for_and_each_once() {
        let mut dice = Dice::new(1);
        for count in 1..=usize::from(BACKENDS) {
            let mut hand = dice.hand(count);
            hand.dedup();
            assert_eq!(hand.len(), count);
        }
    }
}

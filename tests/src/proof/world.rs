//! Who is who in the proof: the Service under test, its neighbours, and who answers for whom.

use std::net::{Ipv4Addr, SocketAddrV4};

/// What the clients dial.
pub const CLUSTER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 10), 80);

/// The Service under test has sets of these; the neighbours have as many of their own.
pub const BACKENDS: u8 = 24;

/// What the decoy answers with. Backends answer with their number.
pub(super) const DECOY: u32 = 2_000;
/// What a backend of a neighbour answers with.
pub(super) const NEIGHBOUR: u32 = 1_000;

const PORT: u16 = 9_000;
const OWN: [u8; 3] = [10, 244, 8];
const FOREIGN: [u8; 3] = [10, 244, 9];

/// Whom a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// This backend of the Service under test.
    Backend(u8),
    /// Another Service's.
    Neighbour,
    /// The cluster IP itself: the connection was left as it was.
    Decoy,
    /// An address that no Service has.
    Nobody,
}

impl Reached {
    /// Who has this address.
    #[must_use]
    pub fn at(address: SocketAddrV4) -> Self {
        let [a, b, c, number] = address.ip().octets();
        let known = address.port() == PORT && (1..=BACKENDS).contains(&number);
        if address == CLUSTER {
            Self::Decoy
        } else if known && [a, b, c] == OWN {
            Self::Backend(number - 1)
        } else if known && [a, b, c] == FOREIGN {
            Self::Neighbour
        } else {
            Self::Nobody
        }
    }

    /// Who answers with this.
    #[must_use]
    pub fn answering(id: u32) -> Self {
        match id {
            DECOY => Self::Decoy,
            NEIGHBOUR => Self::Neighbour,
            _ => {
                u8::try_from(id).ok().filter(|number| *number < BACKENDS).map_or(Self::Nobody, Self::Backend)
            }
        }
    }
}

/// Backend `number` of the Service under test.
#[must_use]
pub const fn backend(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(OWN[0], OWN[1], OWN[2], number + 1), PORT)
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

/// A set of [`BACKENDS`], a bit for each.
pub type Set = u32;

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
    fn everyone_is_told_apart_by_address_and_by_answer() {
        for number in 0..BACKENDS {
            assert_eq!(Reached::at(backend(number)), Reached::Backend(number));
            assert_eq!(Reached::answering(number.into()), Reached::Backend(number));
            assert_eq!(Reached::at(foreign(number)), Reached::Neighbour);
        }
        assert_eq!(Reached::at(CLUSTER), Reached::Decoy);
        assert_eq!(Reached::answering(DECOY), Reached::Decoy);
        assert_eq!(Reached::answering(NEIGHBOUR), Reached::Neighbour);
        let torn = SocketAddrV4::new(*backend(0).ip(), CLUSTER.port());
        assert_eq!(Reached::at(torn), Reached::Nobody);
        assert_eq!(Reached::answering(BACKENDS.into()), Reached::Nobody);
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

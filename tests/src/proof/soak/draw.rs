//! Draws what the Services are to be next. Pure.

use crate::proof::services::{Holder, States};
use crate::proof::world::{BACKENDS, Dice, Set};

/// Sets: mostly inline, which are up to 6, with a region beyond.
const SMALL: usize = 8;
const LARGEST: usize = 20;

pub(super) struct Draw {
    pub(super) dice: Dice,
    /// Services that there were so far.
    services: u32,
}

impl Draw {
    pub(super) const fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), services: 0 }
    }

    /// What has the address at this place next: about two of three change.
    pub(super) fn next(&mut self, now: Option<Holder>) -> Option<Holder> {
        match self.dice.throw(18) {
            0..6 => now,
            6 => None,
            // Another Service has the address; with the same Pods, as where one takes over from another.
            7 => Some(Holder {
                service: self.service(),
                backends: now.map_or_else(|| self.set(), |now| now.backends),
            }),
            8 => Some(Holder { service: self.service(), backends: self.set() }),
            // None of the Service is left.
            9 => now.map(|now| Holder { backends: 0, ..now }),
            10..14 => Some(Holder {
                service: now.map_or_else(|| self.service(), |now| now.service),
                backends: self.set(),
            }),
            // As when single Pods come and go: most of the set stays.
            _ => now.map(|now| Holder { backends: self.rolled(now.backends), ..now }),
        }
    }

    /// For all addresses.
    pub(super) fn all(&mut self, held: &States) -> States {
        held.map(|now| self.next(now))
    }

    fn service(&mut self) -> u32 {
        self.services += 1;
        self.services
    }

    /// The set with one backend more, or one less.
    fn rolled(&mut self, set: Set) -> Set {
        let other = set ^ 1 << self.dice.throw(usize::from(BACKENDS));
        let is_fit = other != 0 && other.count_ones() as usize <= LARGEST;
        if is_fit { other } else { set }
    }

    fn set(&mut self) -> Set {
        let most = if self.dice.throw(3) == 0 { LARGEST } else { SMALL };
        let count = 1 + self.dice.throw(most);
        self.dice.hand(count).into_iter().fold(0, |set, number| set | 1 << number)
    }
}

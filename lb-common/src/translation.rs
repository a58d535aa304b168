//! What a UDP socket remembers of the Services that it dialled, as words: which backend stands for which Service.
//!
//! Memory of a socket is read and written in its place, and not in loops: the programs are to have as few paths as they can.

use crate::layout::{RECENT_TRANSLATIONS, Recent, Translation};

/// An address and a port of either family, IPv4 as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    pub address: [u64; 2],
    /// In network order, as the processor reads it.
    pub port: u16,
}

impl End {
    /// An IPv4 address and a port, both in network order.
    #[must_use]
    #[inline(always)]
    pub const fn mapped(address: u32, port: u16) -> Self {
        Self { address: [0, 0xffff_0000 | (address as u64) << 32], port }
    }

    /// An address and a port as they lie in the first words of a key or backend of IPv6.
    #[must_use]
    #[inline(always)]
    pub const fn of_words(words: &[u64; 3]) -> Self {
        Self { address: [words[0], words[1]], port: words[2] as u16 }
    }

    /// The IPv4 address, in network order. Meaningless for others.
    #[must_use]
    #[inline(always)]
    pub const fn address4(&self) -> u32 {
        (self.address[1] >> 32) as u32
    }

    /// Zero where both are the same.
    #[must_use]
    #[inline(always)]
    pub const fn difference(&self, other: &Self) -> u64 {
        self.address[0] ^ other.address[0]
            | self.address[1] ^ other.address[1]
            | (self.port ^ other.port) as u64
    }
}

/// A [`Translation`] as words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    pub service: End,
    pub backend: End,
    /// Where the backend was in its set.
    pub slot: u16,
}

/// The memory of one [`Translation`].
pub type Memory = [u64; size_of::<Translation>() / 8];
/// The memory of [`Recent`].
pub type Memories = [Memory; RECENT_TRANSLATIONS];
const _: () = assert!(size_of::<Memories>() == size_of::<Recent>());

impl Pair {
    #[must_use]
    #[inline(always)]
    pub const fn of(memory: &Memory) -> Self {
        let [service0, service1, backend0, backend1, rest] = *memory;
        Self {
            service: End { address: [service0, service1], port: rest as u16 },
            backend: End { address: [backend0, backend1], port: (rest >> 16) as u16 },
            slot: (rest >> 32) as u16,
        }
    }

    #[must_use]
    #[inline(always)]
    pub const fn memory(&self) -> Memory {
        let rest = self.service.port as u64 | (self.backend.port as u64) << 16 | (self.slot as u64) << 32;
        let [service0, service1] = self.service.address;
        let [backend0, backend1] = self.backend.address;
        [service0, service1, backend0, backend1, rest]
    }

    /// No backend has port 0: there is no translation.
    #[must_use]
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.backend.port == 0
    }

    /// Whether both lead from the same Service to the same backend.
    #[must_use]
    #[inline(always)]
    pub const fn leads_as(&self, other: &Self) -> bool {
        self.service.difference(&other.service) | self.backend.difference(&other.backend) == 0
    }
}

/// Does the same for each of the translations, the newest first.
macro_rules! each {
    ($index:ident: $does:block) => {
        each!($index 0 1 2 3 4 5 6 7: $does)
    };
    ($index:ident $($number:literal)*: $does:block) => {$({
        const $index: usize = $number;
        $does
    })*};
}

/// The first of what is remembered, where nothing is yet.
#[inline(always)]
pub const fn begin(memories: &mut Memories, pair: &Pair) {
    memories[0] = pair.memory();
}

/// Makes `pair` the newest of what is remembered. Returns whether the oldest one had to go for it.
#[inline(always)]
pub fn remember(memories: &mut Memories, pair: &Pair) -> bool {
    let mut carried = *pair;
    // Each moves on by one place, as far as the one that leads as the new one does, or a free place.
    each!(AT: {
        let before = Pair::of(&memories[AT]);
        memories[AT] = carried.memory();
        if before.is_empty() || before.leads_as(pair) {
            return false;
        }
        carried = before;
    });
    !carried.is_empty()
}

/// Leaves no translation there.
#[inline(always)]
pub const fn clear(memory: &mut Memory) {
    // The ports: without them the addresses are no backend's and no Service's.
    memory[4] = 0;
}

/// Removes all that lead to `backend`.
#[inline(always)]
pub fn forget(memories: &mut Memories, backend: &End) {
    each!(AT: {
        if Pair::of(&memories[AT]).backend.difference(backend) == 0 {
            clear(&mut memories[AT]);
        }
    });
}

/// The newest translation of `service`, [empty](Pair::is_empty) without one.
#[must_use]
#[inline(always)]
pub fn of_service(memories: &Memories, service: &End) -> Pair {
    newest(memories, |pair| pair.service.difference(service))
}

/// The newest translation that leads to `backend`, [empty](Pair::is_empty) without one.
#[must_use]
#[inline(always)]
pub fn of_backend(memories: &Memories, backend: &End) -> Pair {
    newest(memories, |pair| pair.backend.difference(backend))
}

/// Not an `Option`: the compiler would copy what a missing one does not have, which the verifier refuses.
#[inline(always)]
fn newest(memories: &Memories, difference: impl Fn(&Pair) -> u64) -> Pair {
    let index = 'found: {
        each!(AT: {
            if difference(&Pair::of(&memories[AT])) == 0 {
                break 'found AT;
            }
        });
        return Pair::default();
    };
    // Always zero, and the verifier does not know it: without CAP_PERFMON it takes no sum of a place and a number
    // that it knows and that differs from path to path.
    let zero = (memories[0][4] >> 48) as usize;
    Pair::of(&memories[(index + zero) % RECENT_TRANSLATIONS])
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn end(number: u8) -> End {
        End::mapped(u32::from_ne_bytes([10, 0, 0, number]), 53_u16.to_be())
    }

    fn pair(service: u8, backend: u8) -> Pair {
        Pair { service: end(service), backend: end(backend), slot: 0 }
    }

    /// Services and backends, the newest first; none are zeros.
    fn numbers(memories: &Memories) -> Vec<(u8, u8)> {
        let number = |end: End| end.address4().to_ne_bytes()[3];
        let numbers = |pair: Pair| (number(pair.service), number(pair.backend));
        let numbers = |pair: Pair| if pair.is_empty() { (0, 0) } else { numbers(pair) };
        memories.iter().map(Pair::of).map(numbers).collect()
    }

    fn remembered(pairs: &[(u8, u8)]) -> Memories {
        let mut memories = Memories::default();
        for (service, backend) in pairs {
            remember(&mut memories, &pair(*service, *backend));
        }
        memories
    }

    #[test]
    fn the_words_are_those_of_the_layout() {
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
        let layout = Translation {
            service: address,
            backend: [7; 16],
            service_port: [0, 53],
            backend_port: [0x14, 0xe9],
            slot: 300,
            zero: 0,
        };
        let words: Memory = bytemuck::cast(layout);
        let pair = Pair::of(&words);
        assert_eq!(pair.service, end(1));
        assert_eq!(pair.backend.address, [u64::from_ne_bytes([7; 8]); 2]);
        assert_eq!((pair.backend.port, pair.slot), (5353_u16.to_be(), 300));
        assert_eq!(pair.memory(), words);
        assert!(!pair.is_empty() && Pair::default().is_empty());
    }

    #[test]
    fn what_is_dialled_comes_first_and_the_oldest_goes() {
        let eight: Vec<(u8, u8)> = (1..=8).map(|number| (number, 100)).collect();
        let none = (0, 0);
        for (shows, before, dialled, after, goes) in [
            ("the first", &[][..], (1, 100), &[(1, 100)][..], false),
            ("another", &[(1, 100)], (2, 101), &[(2, 101), (1, 100)], false),
            ("the same again", &[(1, 100), (2, 101)], (2, 101), &[(2, 101), (1, 100)], false),
            ("an older one again", &[(1, 100), (2, 101)], (1, 100), &[(1, 100), (2, 101)], false),
            ("another backend of the same", &[(1, 100)], (1, 101), &[(1, 101), (1, 100)], false),
            (
                "one more than there is room for",
                &eight,
                (9, 100),
                &[(9, 100), (8, 100), (7, 100), (6, 100), (5, 100), (4, 100), (3, 100), (2, 100)],
                true,
            ),
            (
                "the oldest again",
                &eight,
                (1, 100),
                &[(1, 100), (8, 100), (7, 100), (6, 100), (5, 100), (4, 100), (3, 100), (2, 100)],
                false,
            ),
        ] {
            let mut memories = remembered(before);
            assert_eq!(remember(&mut memories, &pair(dialled.0, dialled.1)), goes, "{shows}");
            let padded: Vec<_> = after.iter().copied().chain([none; 8]).take(8).collect();
            assert_eq!(numbers(&memories), padded, "{shows}");
        }
    }

    #[test]
    fn a_backend_that_is_dialled_itself_is_forgotten_and_its_places_are_used_again() {
        let mut memories = remembered(&[(1, 100), (2, 101), (3, 100)]);
        forget(&mut memories, &end(100));
        assert_eq!(numbers(&memories)[..4], [(0, 0), (2, 101), (0, 0), (0, 0)]);
        remember(&mut memories, &pair(4, 102));
        assert_eq!(numbers(&memories)[..3], [(4, 102), (2, 101), (0, 0)]);
    }

    #[test]
    fn the_newest_translation_wins() {
        let memories = remembered(&[(1, 100), (2, 100), (1, 101), (3, 102)]);
        for (shows, found, expected) in [
            ("a Service, its newest backend", of_service(&memories, &end(1)), pair(1, 101)),
            ("the newest of all", of_service(&memories, &end(3)), pair(3, 102)),
            ("a Service that was never dialled", of_service(&memories, &end(4)), Pair::default()),
            ("a backend of two Services, the newer one", of_backend(&memories, &end(100)), pair(2, 100)),
            ("a backend that left", of_backend(&memories, &end(101)), pair(1, 101)),
            ("a stranger", of_backend(&memories, &end(103)), Pair::default()),
        ] {
            assert_eq!(found, expected, "{shows}");
        }
        let other_port = End { port: 54_u16.to_be(), ..end(100) };
        assert!(of_backend(&memories, &other_port).is_empty(), "the port counts");
    }
}

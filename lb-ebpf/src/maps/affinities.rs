//! What clients of Services with session affinity were given.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use lb_common::layout::{Affinity, Client};
use lb_common::outcome::Event;
use lb_common::translation::{End, Pair};

use super::tables::AFFINITY;
use crate::maps::count_event;

/// A client that is remembered, in its place.
#[derive(Clone, Copy)]
pub(crate) struct Known(*mut u64);

/// What is remembered of `client`.
#[inline(always)]
pub(crate) fn affinity(client: &Client) -> Option<Known> {
    Some(Known(AFFINITY.get_ptr_mut(client)?.cast()))
}

impl Known {
    /// When it came last, in nanoseconds since the boot.
    #[inline(always)]
    pub(crate) fn used(self) -> u64 {
        self.word(3)
    }

    /// It came now.
    #[inline(always)]
    pub(crate) fn renew(self, now: u64) {
        // SAFETY: the value has four words.
        let used = unsafe { self.0.add(3) };
        // SAFETY: the value is aligned to 8, and its memory stays an element's.
        unsafe { used.write_volatile(now) };
    }

    /// The backend, and where it was in its set.
    #[inline(always)]
    pub(crate) fn pair(self) -> Pair {
        let rest = self.word(2);
        let backend = End { address: [self.word(0), self.word(1)], port: rest as u16 };
        Pair { service: End::default(), backend, slot: (rest >> 16) as u16 }
    }

    #[inline(always)]
    fn word(self, index: usize) -> u64 {
        // SAFETY: the value has four words.
        let word = unsafe { self.0.add(index) };
        // SAFETY: as above; another processor may write it, hence volatile.
        unsafe { word.read_volatile() }
    }
}

/// Remembers a backend: its address as two words; port and slot in one.
#[inline(always)]
pub(crate) fn remember_affinity(client: &Client, first: u64, second: u64, rest: u64) {
    store(client.netns, client.service.into(), first, second, rest);
}

/// A global function: the verifier goes through it once, and its key and value take no room from those that lead here.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn store(netns: u64, service: u64, first: u64, second: u64, rest: u64) -> u32 {
    let client = Client { netns, service: service as u32, zero: 0 };
    // SAFETY: the helper takes no arguments and cannot fail.
    let used = unsafe { bpf_ktime_get_boot_ns() };
    let value: Affinity = bytemuck::cast([first, second, rest, used]);
    if AFFINITY.insert(client, value, 0).is_err() {
        count_event(Event::UnstoredAffinity);
    }
    0
}

//! The loop, counted.

use lb_common::element::Element;
use lb_common::layout::{CELL_REFUSED, Connections, Counted};
use lb_common::outcome::{Counter, Event};

use super::tables::{self, LOOP, Maps};
use crate::maps::{add_one, count_event, words_from};

/// `BPF_NOEXIST` of the kernel's `linux/bpf.h`.
const ONLY_NEW: u64 = 1;

/// A connection of a client to `backend` of `service`.
#[inline(always)]
pub(crate) fn count_connection<F: Maps>(service: &Element<F>, backend: &F::Backend) {
    tables::count_connection(service.owner(), F::cell(backend).into());
}

/// A connection to `service` is refused: it has no backend.
#[inline(always)]
pub(crate) fn count_refusal<F: Maps>(service: &Element<F>) {
    tables::count_connection(service.owner(), CELL_REFUSED.into());
}

/// Adds one. Two programs can both find nothing and make the first count: the one that comes second finds it then. What has
/// no place of its own is added to service id 0, which the agent makes a place for.
#[inline(always)]
pub(super) fn count(service: u32, cell: u16) -> u32 {
    let mut key = Counted { service, cell, zero: 0 };
    if add(&key) {
        return 0;
    }
    if may_have_room() && (LOOP.insert(key, Connections { connections: 1 }, ONLY_NEW).is_ok() || add(&key)) {
        return 0;
    }
    count_event(Event::UncountedConnection);
    key.service = 0;
    add(&key);
    0
}

/// Whether a new place is worth a try: to be refused one by a full map takes as long as ten lookups, so that after a refusal
/// only one connection in so many asks again.
#[inline(always)]
fn may_have_room() -> bool {
    const ONE_IN: u64 = 1024;
    let Some(refused) = words_from(Counter::Event(Event::UncountedConnection).word()) else { return false };
    // SAFETY: the word is one of this CPU's own counters.
    unsafe { refused.read_volatile() }.is_multiple_of(ONE_IN)
}

#[inline(always)]
fn add(key: &Counted) -> bool {
    // Its memory stays one of this map's, also where the agent has taken the place back.
    let Some(counted) = LOOP.get_ptr_mut(key) else { return false };
    add_one(counted.cast());
    true
}

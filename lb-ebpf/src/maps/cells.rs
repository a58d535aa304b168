//! The loop, counted.

use lb_common::element::Element;
use lb_common::layout::{CELL_SELF_TEST, MOST_CELLS, PLACES_A_PAGE};
use lb_common::outcome::Event;

use super::tables::{self, LOOP, Maps};
use crate::maps::{add_one, count_event};

/// A connection of a client to `backend`.
#[inline(always)]
pub(crate) fn count_connection<F: Maps>(backend: &F::Backend) {
    tables::count_connection(F::place(backend).into());
}

/// A connection to `service` is refused: it has no backend. In place of its first one lies where that counts.
#[inline(always)]
pub(crate) fn count_refusal<F: Maps>(service: &Element<F>) {
    count_connection::<F>(&service.at(0));
}

/// Adds one at `place`. Where that is one for a whole cell, the Service found no place of its own.
#[inline(always)]
pub(super) fn count(place: u16) -> u32 {
    if u32::from(place) < MOST_CELLS && place != CELL_SELF_TEST {
        count_event(Event::UncountedConnection);
    }
    let Some(page) = LOOP.get_ptr_mut(u32::from(place) / PLACES_A_PAGE) else { return 0 };
    // SAFETY: a remainder is less than the counters of a page, which is this CPU's own.
    add_one(unsafe { page.cast::<u64>().add(usize::from(place) % PLACES_A_PAGE as usize) });
    0
}

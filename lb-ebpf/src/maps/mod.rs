//! Every map, and the only functions that touch one.

mod lookup;
mod tables;

pub(crate) use lookup::{backend, service};
pub(crate) use tables::Maps;

use lb_common::hook::Hook;
use lb_common::layout::AgentSocket;
use lb_common::outcome::{Counter, Event, Outcome};

use crate::call::Call;

/// Counts how a run at `hook` ended. Not by a [`Counter`], whose two kinds would be distinguished again
/// on every connection.
#[inline(always)]
pub(crate) fn count_run(hook: Hook, outcome: Outcome) {
    add_one(hook.first_word(), outcome as usize);
}

/// Counts what else happened.
#[inline(always)]
pub(crate) fn count_event(event: Event) {
    add_one(Counter::Event(event).word(), 0);
}

/// Adds one to word `first + further` of this CPU's counters. A plain add: nothing preempts between
/// two CPUs' copies, and a lost count under preemption costs less than an atomic on every connection.
#[inline(always)]
fn add_one(first: usize, further: usize) {
    if let Some(outcomes) = tables::OUTCOMES.get_ptr_mut(0) {
        // SAFETY: the words of a hook's outcomes and of the events lie within the element.
        let first = unsafe { outcomes.cast::<u64>().add(first) };
        // SAFETY: as above.
        let times = unsafe { first.add(further) };
        // SAFETY: the element is this CPU's own.
        let old = unsafe { times.read_volatile() };
        // SAFETY: as above.
        unsafe { times.write_volatile(old.wrapping_add(1)) };
    }
}

/// Whether the agent has entered this socket as its own.
#[inline(always)]
pub(crate) fn is_agents(call: &Call<'_>) -> bool {
    // SAFETY: without the flag to create one, the helper only looks; the socket is the call's.
    let found: *mut AgentSocket = unsafe { tables::AGENT_SOCKETS.get_ptr_mut(call.context()) };
    !found.is_null()
}

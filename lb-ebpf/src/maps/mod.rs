//! Every map, and the only functions that touch one.

mod lookup;
mod tables;

pub(crate) use lookup::{backend, service};
pub(crate) use tables::Maps;

use lb_common::hook::Hook;
use lb_common::layout::{AgentSocket, HookOutcomes};
use lb_common::outcome::{Counter, Event, Outcome};

use crate::call::Call;

/// Counts how the run of this call at `hook` ended. Not by a [`Counter`], whose two kinds would be distinguished
/// again on every connection.
///
/// Without CAP_PERFMON the verifier refuses to add numbers to one pointer that it knows, and that differ from path to
/// path, as outcomes are (`sanitize_ptr_alu` in kernel/bpf/verifier.c). So it must not know which one it is.
#[inline(always)]
pub(crate) fn count_run(call: &Call<'_>, hook: Hook, outcome: Outcome) {
    const WORDS: u32 = (size_of::<HookOutcomes>() / 8) as u32;
    let unknown = (call.unknown_zero() ^ outcome as u32) % WORDS;
    add_one(hook.first_word(), unknown as usize);
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

//! Every map, and the only functions that touch one.

mod affinities;
mod asked;
mod cells;
mod lookup;
mod place;
mod skipped;
mod sockets;
mod staleness;
mod tables;

pub(crate) use affinities::{affinity, remember_affinity};
pub(crate) use asked::is_anything_asked;
pub(crate) use cells::{count_connection, count_refusal};
pub(crate) use lookup::{backend, service, slot};
pub(crate) use place::find;
pub(crate) use skipped::is_skipped;
pub(crate) use sockets::{connected, connected_or_new, recent, recent_or_new};
pub(crate) use staleness::is_stale;
pub(crate) use tables::Maps;

use lb_common::hook::Hook;
use lb_common::layout::{AgentSocket, HookOutcomes, Outcomes};
use lb_common::outcome::{Counter, Event, Outcome};

use crate::call::Call;

/// Counts how a run at `hook` ended. Not by a [`Counter`], whose two kinds would be distinguished again
/// on every connection.
///
/// Without CAP_PERFMON the verifier refuses to add numbers to one pointer that it knows, and that differ from path to
/// path, as outcomes are (`sanitize_ptr_alu` in kernel/bpf/verifier.c). A word that is zero, and that it does not
/// know, makes the sum unknown.
#[inline(always)]
pub(crate) fn count_run(hook: Hook, outcome: Outcome) {
    /// Words of a hook's outcomes. The last one is reserved, and zero.
    const WORDS: usize = size_of::<HookOutcomes>() / 8;
    let Some(first) = words_from(hook.first_word()) else { return };
    // SAFETY: the hook's words lie within the element.
    let last = unsafe { first.add(WORDS - 1) };
    // SAFETY: as above; the element is this CPU's own.
    let zero = unsafe { last.read_volatile() } as usize;
    // SAFETY: as above: a remainder is less than their number.
    add_one(unsafe { first.add((zero + outcome as usize) % WORDS) });
}

/// Counts what else happened, which is little: in a function of its own, so that the programs stay short.
///
/// It does not know the event: written inline, the compiler makes one sum of a pointer and what differs between two events,
/// which the verifier refuses as in [`count_run`].
#[inline(always)]
pub(crate) fn count_event(event: Event) {
    tables::count_event(Counter::Event(event).word() as u64);
}

/// Adds one to a word of this CPU's counters.
#[inline(always)]
fn count_word(word: u64) -> u32 {
    if word >= (size_of::<Outcomes>() / 8) as u64 {
        return 0;
    }
    let Some(times) = words_from(word as usize) else { return 0 };
    add_one(times);
    1
}

/// This CPU's counters from this word on, which is one of theirs.
#[inline(always)]
fn words_from(first: usize) -> Option<*mut u64> {
    let outcomes = tables::OUTCOMES.get_ptr_mut(0)?;
    // SAFETY: the words of a hook's outcomes and of the events lie within the element.
    Some(unsafe { outcomes.cast::<u64>().add(first) })
}

/// A plain add: nothing preempts between two CPUs' copies, and a lost count under preemption costs less than an
/// atomic on every connection.
#[inline(always)]
fn add_one(times: *mut u64) {
    // SAFETY: the word is one of this CPU's own counters.
    let old = unsafe { times.read_volatile() };
    // SAFETY: as above.
    unsafe { times.write_volatile(old.wrapping_add(1)) };
}

/// Whether the agent has entered this socket as its own.
#[inline(always)]
pub(crate) fn is_agents(call: &Call<'_>) -> bool {
    // SAFETY: without the flag to create one, the helper only looks; the socket is the call's.
    let found: *mut AgentSocket = unsafe { tables::AGENT_SOCKETS.get_ptr_mut(call.context()) };
    !found.is_null()
}

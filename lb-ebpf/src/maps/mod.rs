//! Every map, and the only functions that touch one.

mod lookup;
mod tables;

pub(crate) use lookup::{backend, service};
pub(crate) use tables::Maps;

use lb_common::layout::AgentSocket;
use lb_common::outcome::Counter;

use crate::call::Call;

/// Adds one to a counter of this CPU. A plain add: nothing preempts between two CPUs' copies,
/// and a lost count under preemption costs less than an atomic on every connection.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(outcomes) = tables::OUTCOMES.get_ptr_mut(0) {
        // SAFETY: the word of a counter lies within the element.
        let times = unsafe { outcomes.cast::<u64>().add(counter.word()) };
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

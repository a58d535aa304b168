//! What the programs leave as it is dialled although it is a Service.

use lb_common::outcome::{OWN_MARK, Outcome};

use crate::call::Call;
use crate::maps;

/// Why a call to a Service is left alone, if it is: for the sake of who makes it, or since what the maps hold is too old.
/// Asked on hits alone, so that the many calls to no Service do not pay for it.
#[inline(always)]
pub(crate) fn left_alone(call: &Call<'_>) -> Option<Outcome> {
    if call.mark() != OWN_MARK && !maps::is_anything_asked() {
        None
    } else if is_agents(call) {
        Some(Outcome::AgentSocket)
    } else if maps::is_skipped() {
        Some(Outcome::Skipped)
    } else if maps::is_stale() {
        Some(Outcome::Stale)
    } else {
        None
    }
}

/// The mark is cheap to read, and any process with CAP_NET_RAW can set it: so it only says which
/// sockets are worth the second question.
#[inline(always)]
fn is_agents(call: &Call<'_>) -> bool {
    call.mark() == OWN_MARK && (cfg!(feature = "plant-mark-alone") || maps::is_agents(call))
}

/// Whether the call goes to what was dialled, so that this is where replies come from.
#[inline(always)]
pub(crate) const fn goes_untouched(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::NotAService | Outcome::AgentSocket | Outcome::Skipped | Outcome::Stale)
}

//! Service to backend: what `connect(2)` dials is rewritten before the kernel acts on it.
//!
//! `Err` is a way out too: it names why nothing was rewritten.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use lb_common::family::V4;
use lb_common::outcome::{Event, OWN_MARK, Outcome};
use lb_common::pick::pick;

use crate::call::Call;
use crate::log::log;
use crate::maps::{self, Maps};

/// How often all is read again when a region was rewritten under the program.
const TRIES: u32 = 3;

/// An IPv4 dial.
#[inline(always)]
pub(crate) fn connect4(call: &Call<'_>) -> Result<Outcome, Outcome> {
    tcp(call)?;
    log!(dialled(4, &call.frontend4()));
    let backend = backend::<V4>(call, &call.frontend4())?;
    log!(gets(&backend));
    call.rewrite4(&backend);
    Ok(Outcome::Forwarded)
}

/// An IPv4 Service dialled as `::ffff:a.b.c.d`. IPv6 itself is left alone.
#[inline(always)]
pub(crate) fn connect6(call: &Call<'_>) -> Result<Outcome, Outcome> {
    tcp(call)?;
    let frontend = call.mapped_frontend4().ok_or(Outcome::NotAService)?;
    log!(dialled(6, &frontend));
    let backend = backend::<V4>(call, &frontend)?;
    log!(gets(&backend));
    call.rewrite_mapped4(&backend);
    Ok(Outcome::Forwarded)
}

#[inline(always)]
fn tcp(call: &Call<'_>) -> Result<(), Outcome> {
    if call.is_tcp() { Ok(()) } else { Err(Outcome::NotOurProtocol) }
}

/// The backend for this call to `frontend`. The agent's own sockets pass, whatever they dial: its
/// way to the API server must not depend on what the API server said. They are recognized last,
/// so that the many calls that go to no Service do not pay for it.
#[inline(always)]
fn backend<F: Maps>(call: &Call<'_>, frontend: &F::Frontend) -> Result<F::Backend, Outcome> {
    match choose::<F>(frontend) {
        Err(Outcome::NotAService) => Err(Outcome::NotAService),
        _ if is_agents(call) => Err(Outcome::AgentSocket),
        chosen => chosen,
    }
}

/// The mark is cheap to read, and any process with CAP_NET_RAW can set it: so it only says which
/// sockets are worth the second question.
#[inline(always)]
fn is_agents(call: &Call<'_>) -> bool {
    call.mark() == OWN_MARK && (cfg!(feature = "plant-mark-alone") || maps::is_agents(call))
}

/// A backend of the service port at `frontend`.
#[inline(always)]
fn choose<F: Maps>(frontend: &F::Frontend) -> Result<F::Backend, Outcome> {
    for _ in 0..TRIES {
        let service = maps::service::<F>(frontend)?; // proven, or looked up again; then Unproven
        log!(found(service.owner(), service.count().into()));
        if service.count() == 0 {
            return Err(Outcome::NoBackends);
        }
        // SAFETY: the helper takes no arguments and cannot fail.
        let random = unsafe { bpf_get_prandom_u32() };
        #[cfg(feature = "plant-slow")]
        if random.is_multiple_of(64) {
            dawdle();
        }
        if let Ok(backend) = maps::backend::<F>(&service, pick(random, service.count())) {
            return Ok(backend);
        }
        maps::count_event(Event::StaleRegionRead);
    }
    Err(Outcome::Unproven)
}

/// Takes about a millisecond. A function of its own, which the verifier goes through once.
#[cfg(feature = "plant-slow")]
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn dawdle() -> u32 {
    for _ in 0..20_000 {
        // SAFETY: the helper takes no arguments and cannot fail.
        unsafe { aya_ebpf::helpers::bpf_ktime_get_ns() };
    }
    0
}

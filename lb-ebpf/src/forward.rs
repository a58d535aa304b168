//! Service to backend: what `connect(2)` and `sendto(2)` dial is rewritten before the kernel acts on it.
//!
//! `Err` is a way out too: it names why nothing was rewritten. Each protocol goes its own way from the first test on, so that
//! TCP does not pay for what UDP remembers.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use bytemuck::Zeroable as _;
use lb_common::element::Element;
use lb_common::family::{V4, V6};
use lb_common::outcome::{Event, Outcome};
use lb_common::pick::pick;
use lb_common::translation::Pair;

use crate::affinity;
use crate::call::{Call, Protocol};
use crate::left_alone::{goes_untouched, left_alone};
use crate::log::log;
use crate::maps::{self, Maps};
use crate::record;
use crate::settings::{replaces_kube_proxy, shows_tcp_peers};
use crate::trace::trace;
use crate::unrolled::unrolled;

/// An IPv4 dial.
#[inline(always)]
pub(crate) fn connect4(call: &Call<'_>) -> Result<Outcome, Outcome> {
    if !call.is_tcp() {
        return connect_udp4(call);
    }
    log!(dialled(4, &call.frontend4(Protocol::Tcp)));
    let backend = connect_tcp::<V4>(call, &call.frontend4(Protocol::Tcp))?;
    log!(gets(&backend));
    call.rewrite4(&backend);
    Ok(Outcome::Forwarded)
}

#[inline(always)]
fn connect_udp4(call: &Call<'_>) -> Result<Outcome, Outcome> {
    udp(call)?;
    let frontend = call.frontend4(Protocol::Udp);
    log!(dialled(4, &frontend));
    let backend = connect_udp::<V4>(call, &frontend)?;
    log!(gets(&backend));
    call.rewrite4(&backend);
    Ok(Outcome::Forwarded)
}

/// A dial of an AF_INET6 socket: of IPv6, or of IPv4 as `::ffff:a.b.c.d`.
#[inline(always)]
pub(crate) fn connect6(call: &Call<'_>) -> Result<Outcome, Outcome> {
    if !call.is_tcp() {
        return connect_udp6(call);
    }
    let Some(mapped) = call.mapped_frontend4(Protocol::Tcp) else {
        log!(dialled6(&call.frontend6(Protocol::Tcp)));
        let backend = connect_tcp::<V6>(call, &call.frontend6(Protocol::Tcp))?;
        log!(gets6(&backend));
        call.rewrite6(&backend);
        return Ok(Outcome::Forwarded);
    };
    log!(dialled(6, &mapped));
    let backend = connect_tcp::<V4>(call, &mapped)?;
    log!(gets(&backend));
    call.rewrite_mapped4(&backend);
    Ok(Outcome::Forwarded)
}

#[inline(always)]
fn connect_udp6(call: &Call<'_>) -> Result<Outcome, Outcome> {
    udp(call)?;
    let Some(mapped) = call.mapped_frontend4(Protocol::Udp) else {
        let frontend = call.frontend6(Protocol::Udp);
        log!(dialled6(&frontend));
        let backend = connect_udp::<V6>(call, &frontend)?;
        log!(gets6(&backend));
        call.rewrite6(&backend);
        return Ok(Outcome::Forwarded);
    };
    log!(dialled(6, &mapped));
    let backend = connect_udp::<V4>(call, &mapped)?;
    log!(gets(&backend));
    call.rewrite_mapped4(&backend);
    Ok(Outcome::Forwarded)
}

/// A datagram with an address, also from AF_INET6 sockets that send to an IPv4-mapped one.
#[inline(always)]
pub(crate) fn sendmsg4(call: &Call<'_>) -> Result<Outcome, Outcome> {
    udp(call)?;
    if call.is_to_the_peer4() {
        return Err(Outcome::NotAService);
    }
    let frontend = call.frontend4(Protocol::Udp);
    log!(sends(&frontend));
    let backend = send_udp::<V4>(call, &frontend)?;
    log!(gets(&backend));
    call.rewrite4(&backend);
    Ok(Outcome::Forwarded)
}

/// A datagram with an IPv6 address.
#[inline(always)]
pub(crate) fn sendmsg6(call: &Call<'_>) -> Result<Outcome, Outcome> {
    udp(call)?;
    let frontend = call.frontend6(Protocol::Udp);
    log!(sends6(&frontend));
    let backend = send_udp::<V6>(call, &frontend)?;
    log!(gets6(&backend));
    call.rewrite6(&backend);
    Ok(Outcome::Forwarded)
}

/// The backend for a datagram to `frontend`, remembered.
#[inline(always)]
fn send_udp<F: Maps>(call: &Call<'_>, frontend: &F::Frontend) -> Result<F::Backend, Outcome> {
    let service = F::service(frontend);
    let Choice { mut outcome, backend, slot } = kept_backend::<F>(call, frontend, Counts::New);
    if outcome == Outcome::NotAService {
        outcome = no_service::<F>(call, frontend);
    }
    if goes_untouched(outcome) {
        record::sends_elsewhere(call, &service);
    }
    if outcome != Outcome::Forwarded {
        return Err(outcome);
    }
    // What is dialled is gone after the rewrite: a record that is written then names the backend.
    let service = if cfg!(feature = "plant-record-after-rewrite") { F::backend(&backend) } else { service };
    record::sends(call, &Pair { service, backend: F::backend(&backend), slot: slot as u16 });
    Ok(backend)
}

/// The backend for a UDP socket that connects to `frontend`, remembered. A connect that is refused leaves the socket as it
/// was, and so what is remembered.
#[inline(always)]
fn connect_udp<F: Maps>(call: &Call<'_>, frontend: &F::Frontend) -> Result<F::Backend, Outcome> {
    let service = F::service(frontend);
    let Choice { outcome, backend, slot } = kept_backend::<F>(call, frontend, Counts::Each);
    if goes_untouched(outcome) {
        record::connects_elsewhere(call, &service);
    }
    if outcome != Outcome::Forwarded {
        return Err(outcome);
    }
    record::connects(call, &Pair { service, backend: F::backend(&backend), slot: slot as u16 });
    Ok(backend)
}

/// The backend for a TCP socket that connects to `frontend`; remembered only where `getpeername` is to show it.
#[inline(always)]
fn connect_tcp<F: Maps>(call: &Call<'_>, frontend: &F::Frontend) -> Result<F::Backend, Outcome> {
    if !shows_tcp_peers() {
        return backend::<F>(call, frontend);
    }
    // What the socket dialled before, and did not reach, is not what it is connected to.
    record::tcp_dials(call);
    let backend = backend::<F>(call, frontend)?;
    let (service, slot) = (F::service(frontend), 0);
    record::tcp_connects(call, &Pair { service, backend: F::backend(&backend), slot });
    Ok(backend)
}

#[inline(always)]
fn udp(call: &Call<'_>) -> Result<(), Outcome> {
    if call.is_udp() { Ok(()) } else { Err(Outcome::NotOurProtocol) }
}

/// The backend for this call to `frontend`. The agent's own sockets pass, whatever they dial: its
/// way to the API server must not depend on what the API server said. So do those of pods that are left out.
#[inline(always)]
fn backend<F: Maps>(call: &Call<'_>, frontend: &F::Frontend) -> Result<F::Backend, Outcome> {
    #[cfg(feature = "plant-skip-on-misses")]
    if maps::is_skipped() {
        return Err(Outcome::Skipped);
    }
    let Choice { outcome, backend, slot: _ } = choose::<F>(call, frontend);
    if outcome == Outcome::Forwarded {
        Ok(backend)
    } else if outcome == Outcome::NotAService {
        Err(no_service::<F>(call, frontend))
    } else if outcome == Outcome::Unproven {
        Err(left_alone(call).unwrap_or(outcome))
    } else {
        Err(outcome)
    }
}

/// Which way out a call takes that is to no service port: without kube-proxy, those to an address that we serve at other
/// ports end here.
#[inline(always)]
fn no_service<F: Maps>(call: &Call<'_>, frontend: &F::Frontend) -> Outcome {
    if !replaces_kube_proxy() || F::is_served(frontend) == 0 {
        return Outcome::NotAService;
    }
    left_alone(call).unwrap_or(Outcome::UnknownPort)
}

/// A backend of the service port at `frontend`.
#[inline(always)]
fn choose<F: Maps>(call: &Call<'_>, frontend: &F::Frontend) -> Choice<F> {
    let mut key = *frontend;
    if !maps::find::<F>(call, &mut key) {
        return Choice::none(Outcome::NotAService);
    }
    trace!(begins(&F::service(frontend)));
    unrolled!(2: {
        let choice = choose_once::<F>(call, &key, &Pair::default(), Counts::Each);
        if choice.outcome != Outcome::Unproven {
            return choice;
        }
    });
    Choice::none(Outcome::Unproven)
}

/// Which backend of `service` is next for this client: any, unless it keeps the one that it has.
#[inline(always)]
fn slot<F: Maps>(call: &Call<'_>, service: &Element<F>) -> affinity::Choice {
    if service.affinity() != 0 {
        return affinity::choose::<F>(call, service);
    }
    // SAFETY: the helper takes no arguments and cannot fail.
    let random = unsafe { bpf_get_prandom_u32() };
    #[cfg(feature = "plant-slow")]
    if random.is_multiple_of(64) {
        crate::dawdle::dawdle();
    }
    affinity::Choice { slot: pick(random, service.count()), is_new: false }
}

/// What a socket gets. Not a `Result`: without CAP_PERFMON the verifier takes no copy of what was never written, as
/// the compiler makes of the backend of an `Err`.
struct Choice<F: Maps> {
    /// [`Outcome::Forwarded`], or why not.
    outcome: Outcome,
    backend: F::Backend,
    slot: u32,
}

impl<F: Maps> Choice<F> {
    #[inline(always)]
    fn none(outcome: Outcome) -> Self {
        Self { outcome, backend: F::Backend::zeroed(), slot: 0 }
    }
}

/// What counts as a connection of a UDP socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// Each call: a connect.
    Each,
    /// A call that leads to another backend than before: a datagram.
    New,
}

/// As [`backend`], for a UDP socket, which keeps the backend that it remembers while that is in the set.
#[inline(always)]
fn kept_backend<F: Maps>(call: &Call<'_>, frontend: &F::Frontend, counts: Counts) -> Choice<F> {
    let mut key = *frontend;
    if !maps::find::<F>(call, &mut key) {
        return Choice::none(Outcome::NotAService);
    }
    trace!(begins(&F::service(frontend)));
    let remembered = record::remembered(call, &F::service(frontend));
    unrolled!(2: {
        let choice = choose_once::<F>(call, &key, &remembered, counts);
        if choice.outcome != Outcome::Unproven {
            return choice;
        }
    });
    Choice::none(left_alone(call).unwrap_or(Outcome::Unproven))
}

/// One try: what was read is not proven if the writer moved the element, or rewrote the region, under the program.
/// `remembered` is empty for a socket that keeps nothing.
#[inline(always)]
fn choose_once<F: Maps>(call: &Call<'_>, key: &F::Frontend, remembered: &Pair, counts: Counts) -> Choice<F> {
    let service = match maps::service::<F>(key) {
        Ok(service) => service,
        Err(way_out) => return Choice::none(way_out),
    };
    log!(found(service.owner(), service.count().into()));
    trace!(found(service.owner()));
    // Before anything is chosen, which may be remembered.
    if let Some(way_out) = left_alone(call) {
        return Choice::none(way_out);
    }
    if service.count() == 0 {
        maps::count_refusal::<F>(&service);
        return Choice::none(Outcome::NoBackends);
    }
    #[cfg(feature = "plant-affinity-left")]
    if let Some(backend) = affinity::last::<F>(call, &service) {
        return Choice { outcome: Outcome::Forwarded, backend, slot: 0 };
    }
    let kept = if remembered.is_empty() { None } else { maps::slot::<F>(&service, remembered) };
    let affinity::Choice { slot, is_new } = match kept {
        Some(slot) => affinity::Choice { slot, is_new: false },
        None => slot::<F>(call, &service),
    };
    match maps::backend::<F>(&service, slot) {
        Ok(backend) => {
            if is_new {
                affinity::remember::<F>(call, &service, &backend, slot);
            }
            if kept.is_none() || counts == Counts::Each {
                maps::count_connection::<F>(&backend);
            }
            trace!(chosen(F::place(&backend), kept.is_some(), service.affinity(), is_new));
            Choice { outcome: Outcome::Forwarded, backend, slot }
        }
        Err(way_out) => {
            maps::count_event(Event::StaleRegionRead);
            Choice::none(way_out)
        }
    }
}

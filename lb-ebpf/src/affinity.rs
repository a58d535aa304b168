//! Session affinity: a client keeps the backend that it was given, while that is in the set and it comes back in time.
//!
//! A client is a network namespace. The first choice is a function of client and service port, and no random number: two
//! connections at once agree without a lock.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use lb_common::element::Element;
use lb_common::layout::Client;
use lb_common::pick::{draw, pick};
use lb_common::translation::{End, Pair};

use crate::call::Call;
use crate::maps::{self, Maps};

/// The place in its set of the backend for this client.
#[derive(Clone, Copy)]
pub(crate) struct Choice {
    pub(crate) slot: u32,
    /// Whether the client is to be remembered with it.
    pub(crate) is_new: bool,
}

/// The backend of a client of `service`, which has session affinity and at least one backend.
#[inline(always)]
pub(crate) fn choose<F: Maps>(call: &Call<'_>, service: &Element<F>) -> Choice {
    let client = client(call, service);
    if let Some(known) = maps::affinity(&client) {
        // SAFETY: the helper takes no arguments and cannot fail.
        let now = unsafe { bpf_ktime_get_boot_ns() };
        let timeout = u64::from(service.affinity()) * 1_000_000_000;
        // An element can be recycled for another client while it is read: what it names is used only if it is in the set.
        if (cfg!(feature = "plant-affinity-forever") || now < known.used() + timeout)
            && let Some(slot) = in_set(service, &known.pair())
        {
            known.renew(now);
            return Choice { slot, is_new: false };
        }
    }
    Choice { slot: pick(draw(client.netns, client.service), service.count()), is_new: true }
}

/// What the client was given last.
#[cfg(feature = "plant-affinity-left")]
#[inline(always)]
pub(crate) fn last<F: Maps>(call: &Call<'_>, service: &Element<F>) -> Option<F::Backend> {
    if service.affinity() == 0 {
        return None;
    }
    let End { address: [first, second], port } = maps::affinity(&client(call, service))?.pair().backend;
    // As the backends of each family lie in memory: address, port, and a pool that nothing reads.
    let words = match size_of::<F::Backend>() {
        8 => [second >> 32 | u64::from(port) << 32, 0, 0],
        _ => [first, second, port.into()],
    };
    let bytes: [u8; 24] = bytemuck::cast(words);
    Some(bytemuck::pod_read_unaligned(&bytes[..size_of::<F::Backend>()]))
}

#[inline(always)]
fn in_set<F: Maps>(service: &Element<F>, pair: &Pair) -> Option<u32> {
    if cfg!(feature = "plant-affinity-slot") && u32::from(pair.slot) < u32::from(service.count()) {
        return Some(pair.slot.into());
    }
    maps::slot::<F>(service, pair)
}

/// Remembers that the client was given the backend of this slot.
#[inline(always)]
pub(crate) fn remember<F: Maps>(call: &Call<'_>, service: &Element<F>, backend: &F::Backend, slot: u32) {
    let client = client(call, service);
    let End { address: [first, second], port } = F::backend(backend);
    maps::remember_affinity(&client, first, second, u64::from(port) | u64::from(slot) << 16);
}

#[inline(always)]
fn client<F: Maps>(call: &Call<'_>, service: &Element<F>) -> Client {
    Client { netns: call.netns(), service: service.owner() as u32, zero: 0 }
}

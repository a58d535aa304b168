//! Service in a trie, client affinity and backend in a hash each, and the connection in an LRU hash.

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie};
use aya_ebpf::programs::SockAddrContext;
use lb_common::layout::{Backend4, Frontend4};
use lb_common::outcome::Outcome;

use crate::{dial, maps};

/// No Service has affinity.
#[inline(always)]
pub(crate) fn to_backend(ctx: &SockAddrContext) -> Result<Outcome, Outcome> {
    let dialled = dial::dialled(ctx);
    let address = dial::frontend(dialled)?;
    let [service, count] = maps::service_by_prefix(&address)?;
    // SAFETY: the context is the one that the kernel passed.
    let client = unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) };
    let backend = match maps::affinity(service, client) {
        Some(affinity) => affinity,
        None => maps::endpoint(service, dial::choose(count)?)?,
    };
    remember_and_rewrite(ctx, dialled, &backend, &address)
}

/// Every Service has it.
#[inline(always)]
pub(crate) fn to_the_clients_backend(ctx: &SockAddrContext) -> Result<Outcome, Outcome> {
    let dialled = dial::dialled(ctx);
    let address = dial::frontend(dialled)?;
    let [service, count] = maps::service_by_prefix(&address)?;
    // SAFETY: the context is the one that the kernel passed.
    let client = unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) };
    let backend = match maps::renewed_affinity(service, client) {
        Some(backend) => backend,
        None => {
            let backend = maps::endpoint(service, dial::choose(count)?)?;
            maps::begin_affinity(service, client, &backend)?;
            backend
        }
    };
    remember_and_rewrite(ctx, dialled, &backend, &address)
}

#[inline(always)]
fn remember_and_rewrite(
    ctx: &SockAddrContext,
    dialled: &mut bpf_sock_addr,
    backend: &Backend4,
    address: &Frontend4,
) -> Result<Outcome, Outcome> {
    // SAFETY: the context is the one that the kernel passed.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) };
    maps::remember(cookie, backend, address)?;
    dial::rewrite(dialled, backend);
    Ok(Outcome::Forwarded)
}

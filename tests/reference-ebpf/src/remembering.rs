//! UDP: service in a trie, client affinity in an LRU hash, backend in a hash, and two inserts into LRU hashes, one for each
//! direction. A datagram to an address is the same as a connection; its reply is looked up in one of them.

use aya_ebpf::helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie};
use aya_ebpf::programs::SockAddrContext;
use lb_common::layout::Backend4;
use lb_common::outcome::Outcome;

use crate::{dial, maps};

#[inline(always)]
pub(crate) fn to_backend(ctx: &SockAddrContext) -> Result<Outcome, Outcome> {
    let dialled = dial::dialled(ctx);
    let address = dial::datagram(dialled)?;
    let [service, count] = maps::service_by_prefix(&address)?;
    // SAFETY: the context is the one that the kernel passed.
    let client = unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) };
    let backend = match maps::affinity(service, client) {
        Some(backend) => backend,
        None => maps::endpoint(service, dial::choose(count)?)?,
    };
    // SAFETY: as above.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) };
    maps::remember_dialled(cookie, &address, &backend)?;
    maps::remember(cookie, &backend, &address)?;
    dial::rewrite(dialled, &backend);
    Ok(Outcome::Forwarded)
}

#[inline(always)]
pub(crate) fn to_service(ctx: &SockAddrContext) -> Result<Outcome, Outcome> {
    let shown = dial::dialled(ctx);
    let from = dial::datagram(shown)?;
    let backend = Backend4 { address: from.address, port: from.port, place: 0 };
    // SAFETY: the context is the one that the kernel passed.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) };
    let Some(service) = maps::remembered(cookie, &backend) else { return Err(Outcome::ShownAsItIs) };
    dial::show(shown, &service);
    Ok(Outcome::ShownAsDialled)
}

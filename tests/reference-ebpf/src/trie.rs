//! Service in a trie, client affinity and backend in a hash each, and the connection in an LRU hash.

use aya_ebpf::helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie};
use aya_ebpf::programs::SockAddrContext;
use lb_common::outcome::Outcome;

use crate::{dial, maps};

#[inline(always)]
pub(crate) fn to_backend(ctx: &SockAddrContext) -> Result<Outcome, Outcome> {
    let dialled = dial::dialled(ctx);
    let address = dial::frontend(dialled)?;
    let [service, count] = maps::service_by_prefix(&address)?;
    // SAFETY: the context is the one that the kernel passed.
    let client = unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) };
    let backend = match maps::affinity(service, client) {
        Some(backend) => backend,
        None => maps::endpoint(service, dial::choose(count)?)?,
    };
    // SAFETY: as above.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) };
    maps::remember(cookie, &backend, &address)?;
    dial::rewrite(dialled, &backend);
    Ok(Outcome::Forwarded)
}

//! Service, slot and backend in a hash each, and the connection in an LRU hash.

use aya_ebpf::helpers::bpf_get_socket_cookie;
use aya_ebpf::programs::SockAddrContext;
use lb_common::outcome::Outcome;

use crate::{dial, maps};

#[inline(always)]
pub(crate) fn to_backend(ctx: &SockAddrContext) -> Result<Outcome, Outcome> {
    let dialled = dial::dialled(ctx);
    let address = dial::frontend(dialled)?;
    let [service, count] = maps::service(&address)?;
    let slot = dial::choose(count)?;
    let backend = maps::backend(maps::backend_id(service, slot)?)?;
    // SAFETY: the context is the one that the kernel passed.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) };
    maps::remember(cookie, &backend, &address)?;
    dial::rewrite(dialled, &backend);
    Ok(Outcome::Forwarded)
}

//! What all shapes have in common with ours: the key, the counters, the choice, the rewrite.

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::programs::SockAddrContext;
use lb_common::layout::{Backend4, Frontend4};
use lb_common::outcome::{Outcome, Verdict};
use lb_common::pick::pick;

use crate::maps;

pub(crate) const PROCEED: i32 = 1;
const FAIL: i32 = 0;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;

/// The call in hand.
#[expect(
    clippy::mut_from_ref,
    reason = "aya hands every context out behind `&`; each program makes one call of this"
)]
#[inline(always)]
pub(crate) fn dialled(ctx: &SockAddrContext) -> &mut bpf_sock_addr {
    // SAFETY: the kernel passes every `cgroup/connect` program a valid `bpf_sock_addr` that
    // outlives the call, and nothing else aliases it.
    unsafe { &mut *ctx.sock_addr }
}

/// The address as a key, if it is TCP.
#[inline(always)]
pub(crate) fn frontend(dialled: &bpf_sock_addr) -> Result<Frontend4, Outcome> {
    if dialled.protocol != u32::from(IPPROTO_TCP) || dialled.type_ != SOCK_STREAM {
        return Err(Outcome::NotOurProtocol);
    }
    Ok(key(dialled, IPPROTO_TCP))
}

/// The same for UDP.
#[inline(always)]
pub(crate) fn datagram(dialled: &bpf_sock_addr) -> Result<Frontend4, Outcome> {
    let (protocol, kind) = (&raw const dialled.protocol, &raw const dialled.type_);
    // SAFETY: both are fields of the context. One by one: the kernel takes no read of both at once.
    let protocol = unsafe { protocol.read_volatile() };
    // SAFETY: as above.
    let kind = unsafe { kind.read_volatile() };
    if protocol != u32::from(IPPROTO_UDP) || kind != SOCK_DGRAM {
        return Err(Outcome::NotOurProtocol);
    }
    Ok(key(dialled, IPPROTO_UDP))
}

#[inline(always)]
fn key(dialled: &bpf_sock_addr, protocol: u8) -> Frontend4 {
    Frontend4 {
        address: dialled.user_ip4.to_ne_bytes(),
        port: (dialled.user_port as u16).to_ne_bytes(),
        protocol,
        zero: 0,
    }
}

/// A number below `count`, uniform.
#[inline(always)]
pub(crate) fn choose(count: u32) -> Result<u32, Outcome> {
    if count == 0 {
        return Err(Outcome::NoBackends);
    }
    // SAFETY: the helper takes no arguments and cannot fail.
    let random = unsafe { bpf_get_prandom_u32() };
    Ok(pick(random, count as u16))
}

#[inline(always)]
pub(crate) fn rewrite(dialled: &mut bpf_sock_addr, backend: &Backend4) {
    dialled.user_ip4 = u32::from_ne_bytes(backend.address);
    dialled.user_port = u32::from(u16::from_ne_bytes(backend.port));
}

/// Shows the Service as the other end.
#[inline(always)]
pub(crate) fn show(dialled: &mut bpf_sock_addr, service: &Frontend4) {
    dialled.user_ip4 = u32::from_ne_bytes(service.address);
    dialled.user_port = u32::from(u16::from_ne_bytes(service.port));
}

#[inline(always)]
pub(crate) fn end(outcome: Result<Outcome, Outcome>) -> i32 {
    let outcome = outcome.unwrap_or_else(|way_out| way_out);
    maps::count(outcome as u32);
    match outcome.verdict() {
        Verdict::Allow => PROCEED,
        Verdict::Refuse => FAIL,
    }
}

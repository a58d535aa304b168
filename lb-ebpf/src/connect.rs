//! `connect(2)`: service address to backend address.

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::programs::SockAddrContext;
use lb_common::layout::{Backend4, Frontend4};
use lb_common::outcome::{OWN_MARK, Outcome, REGION_MOVED};
use lb_common::pick::pick;

use crate::maps;

const IPPROTO_TCP: u8 = 6;
/// `SOCK_STREAM`: TCP and MPTCP sockets; a ping or UDP socket is another type.
const SOCK_STREAM: u32 = 1;
/// How often all is read again when a region was rewritten under the program.
const TRIES: u32 = 3;
/// `0000:ffff` in network order, the third word of an IPv4-mapped address.
const MAPPED: u32 = 0xffff_u32.to_be();

/// An IPv4 dial. `Err` is a way out too: it names why nothing was rewritten.
#[inline(always)]
pub(crate) fn to_backend4(ctx: &SockAddrContext) -> Result<Outcome, Outcome> {
    let dialled = dialled(ctx);
    tcp(dialled)?;
    let backend = ours(dialled, dialled.user_ip4)?;
    dialled.user_ip4 = u32::from_ne_bytes(backend.address);
    dialled.user_port = port(&backend);
    Ok(Outcome::Translated)
}

/// An IPv4 service dialled as `::ffff:a.b.c.d`. IPv6 itself is left alone.
#[inline(always)]
pub(crate) fn to_backend6(ctx: &SockAddrContext) -> Result<Outcome, Outcome> {
    let dialled = dialled(ctx);
    tcp(dialled)?;
    if dialled.user_ip6[0] != 0 || dialled.user_ip6[1] != 0 || dialled.user_ip6[2] != MAPPED {
        return Err(Outcome::NotAService);
    }
    let backend = ours(dialled, dialled.user_ip6[3])?;
    dialled.user_ip6[3] = u32::from_ne_bytes(backend.address);
    dialled.user_port = port(&backend);
    Ok(Outcome::Translated)
}

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

/// TCP, and what falls back to it: MPTCP and Fast Open come by the same way.
#[inline(always)]
fn tcp(dialled: &bpf_sock_addr) -> Result<(), Outcome> {
    if dialled.protocol == u32::from(IPPROTO_TCP) && dialled.type_ == SOCK_STREAM {
        Ok(())
    } else {
        Err(Outcome::NotOurProtocol)
    }
}

/// The backend for this call to `address`. The agent's own sockets pass, whatever they dial: its
/// way to the API server must not depend on what it has been told. They are told apart last, for
/// the many calls that go to no service of ours must not pay for it.
#[inline(always)]
fn ours(dialled: &bpf_sock_addr, address: u32) -> Result<Backend4, Outcome> {
    match choose(address, dialled.user_port) {
        Err(Outcome::NotAService) => Err(Outcome::NotAService),
        _ if mark(dialled) == OWN_MARK => Err(Outcome::Own),
        chosen => chosen,
    }
}

#[inline(always)]
fn mark(dialled: &bpf_sock_addr) -> u32 {
    // SAFETY: the field is a pointer whichever way the union is read.
    let socket = unsafe { dialled.__bindgen_anon_1.sk };
    // SAFETY: the kernel gives every `cgroup/connect` program the socket of the call, which
    // outlives it; the verifier turns the load into one of the socket's own field.
    unsafe { (*socket).mark }
}

/// A backend of the service port at `address` and `user_port` (network order, lower half).
#[inline(always)]
fn choose(address: u32, user_port: u32) -> Result<Backend4, Outcome> {
    let address = key(address, user_port as u16);
    for _ in 0..TRIES {
        let service = maps::service(&address)?; // proven, or looked up again; then Unproven
        if service.count() == 0 {
            return Err(Outcome::NoBackends);
        }
        // SAFETY: the helper takes no arguments and cannot fail.
        let random = unsafe { bpf_get_prandom_u32() };
        if let Ok(backend) = maps::backend(&service, pick(random, service.count())) {
            return Ok(backend);
        }
        maps::count(REGION_MOVED);
    }
    Err(Outcome::Unproven)
}

/// The key as one word: written to memory in parts it would be waited for when it is read as one.
#[inline(always)]
fn key(address: u32, port: u16) -> Frontend4 {
    bytemuck::cast(u64::from(address) | u64::from(port) << 32 | u64::from(IPPROTO_TCP) << 48)
}

/// The backend's port as the kernel wants it: network order in the lower half.
#[inline(always)]
fn port(backend: &Backend4) -> u32 {
    u32::from(u16::from_ne_bytes(backend.port))
}

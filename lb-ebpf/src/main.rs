//! Edgeloop's kernel programs: outcome in, verdict out.
#![no_std]
#![no_main]

mod connect;
mod maps;
mod refuse;

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

/// Points a `connect(2)` to an IPv4 service address at one of its backends.
///
/// Attach at `cgroup/connect4` on the root cgroup.
#[cgroup_sock_addr(connect4)]
fn lb_connect4(ctx: SockAddrContext) -> i32 {
    let outcome = connect::to_backend4(&ctx).unwrap_or_else(|way_out| way_out);
    maps::count(outcome as u32);
    refuse::with_errno(outcome.verdict())
}

/// The same for IPv4 services dialled through an AF_INET6 socket, as `::ffff:a.b.c.d`.
///
/// Attach at `cgroup/connect6` on the root cgroup.
#[cgroup_sock_addr(connect6)]
fn lb_connect6(ctx: SockAddrContext) -> i32 {
    let outcome = connect::to_backend6(&ctx).unwrap_or_else(|way_out| way_out);
    maps::count(outcome as u32);
    refuse::with_errno(outcome.verdict())
}

/// [`lb_connect4`] for kernels that lack `bpf_set_retval` (before 5.18).
#[cgroup_sock_addr(connect4)]
fn lb_connect4_old(ctx: SockAddrContext) -> i32 {
    let outcome = connect::to_backend4(&ctx).unwrap_or_else(|way_out| way_out);
    maps::count(outcome as u32);
    refuse::by_rewrite4(&ctx, outcome.verdict())
}

/// [`lb_connect6`] for kernels that lack `bpf_set_retval` (before 5.18).
#[cgroup_sock_addr(connect6)]
fn lb_connect6_old(ctx: SockAddrContext) -> i32 {
    let outcome = connect::to_backend6(&ctx).unwrap_or_else(|way_out| way_out);
    maps::count(outcome as u32);
    refuse::by_rewrite6(&ctx, outcome.verdict())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// `bpf_set_retval` and others need a licence that the kernel takes for the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual BSD/GPL\0";

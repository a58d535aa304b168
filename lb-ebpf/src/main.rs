//! Edgeloop's kernel programs: outcome in, verdict out.
#![no_std]
#![no_main]

mod affinity;
mod call;
#[cfg(any(feature = "plant-slow", feature = "plant-slow-look"))]
mod dawdle;
mod forward;
mod left_alone;
mod log;
mod maps;
mod record;
mod refuse;
mod reverse;
mod settings;
mod trace;
mod unrolled;

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use lb_common::hook::Hook;

use call::Call;
use log::log;
use trace::trace;

/// One program a line: its name, the hook of the cgroup it is attached at (`cgroup/HOOK`), what it
/// does with a call, and how it refuses.
macro_rules! programs {
    ($($name:ident: $section:ident $hook:ident, $does:path, $refuses:path;)*) => {$(
        #[cgroup_sock_addr($section)]
        #[inline(always)]
        fn $name(ctx: SockAddrContext) -> i32 {
            let call = Call::new(&ctx);
            let outcome = $does(&call).unwrap_or_else(|way_out| way_out);
            log!(ended(outcome));
            trace!(ended(&call, Hook::$hook, outcome));
            maps::count_run(Hook::$hook, outcome);
            $refuses(&call, outcome.verdict())
        }
    )*};
}

// The names that end with `_old` are for kernels that lack `bpf_set_retval` (before 5.18).
programs! {
    lb_connect4:     connect4 Connect4, forward::connect4, refuse::with_errno;
    lb_connect4_old: connect4 Connect4, forward::connect4, refuse::by_rewrite4;
    lb_connect6:     connect6 Connect6, forward::connect6, refuse::with_errno;
    lb_connect6_old: connect6 Connect6, forward::connect6, refuse::by_rewrite6;
    lb_sendmsg4:     sendmsg4 Sendmsg4, forward::sendmsg4, refuse::with_errno;
    lb_sendmsg4_old: sendmsg4 Sendmsg4, forward::sendmsg4, refuse::with_eperm;
    lb_sendmsg6:     sendmsg6 Sendmsg6, forward::sendmsg6, refuse::with_errno;
    lb_sendmsg6_old: sendmsg6 Sendmsg6, forward::sendmsg6, refuse::with_eperm;
    lb_recvmsg4:     recvmsg4 Recvmsg4, reverse::recvmsg4, refuse::never;
    lb_recvmsg6:     recvmsg6 Recvmsg6, reverse::recvmsg6, refuse::never;
    lb_getpeername4: getpeername4 Getpeername4, reverse::getpeername4, refuse::never;
    lb_getpeername6: getpeername6 Getpeername6, reverse::getpeername6, refuse::never;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// `bpf_set_retval` and others need a licence that the kernel takes for the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual BSD/GPL\0";

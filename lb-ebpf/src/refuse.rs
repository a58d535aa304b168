//! Telling the kernel the verdict, with and without `bpf_set_retval`.

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::helpers::bpf_set_retval;
use aya_ebpf::programs::SockAddrContext;
use lb_common::outcome::Verdict;

use crate::connect::dialled;

/// What a `cgroup/connect` program returns: go on, or fail (with EPERM unless said otherwise).
const PROCEED: i32 = 1;
const FAIL: i32 = 0;

const ECONNREFUSED: i32 = 111;
const LOOPBACK4: u32 = 0x7f00_0001_u32.to_be();
/// `0000:ffff` in network order.
const MAPPED: u32 = 0xffff_u32.to_be();

/// Refuses with ECONNREFUSED, from `connect(2)` itself.
#[inline(always)]
pub(crate) fn with_errno(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Allow => PROCEED,
        Verdict::Refuse => {
            // SAFETY: the helper takes a number and touches nothing of ours.
            unsafe { bpf_set_retval(-ECONNREFUSED) };
            FAIL
        }
    }
}

/// Refuses by sending the dial to loopback port 0, which the kernel answers with ECONNREFUSED.
/// A socket bound to a device would hang there: it gets EPERM.
#[inline(always)]
pub(crate) fn by_rewrite4(ctx: &SockAddrContext, verdict: Verdict) -> i32 {
    let dialled = dialled(ctx);
    if verdict == Verdict::Allow {
        return PROCEED;
    }
    if bound_to_a_device(dialled) {
        return FAIL;
    }
    dialled.user_ip4 = LOOPBACK4;
    dialled.user_port = 0;
    PROCEED
}

/// [`by_rewrite4`] for a dial of an IPv4-mapped address.
#[inline(always)]
pub(crate) fn by_rewrite6(ctx: &SockAddrContext, verdict: Verdict) -> i32 {
    let dialled = dialled(ctx);
    if verdict == Verdict::Allow {
        return PROCEED;
    }
    if bound_to_a_device(dialled) {
        return FAIL;
    }
    dialled.user_ip6[2] = MAPPED;
    dialled.user_ip6[3] = LOOPBACK4;
    dialled.user_port = 0;
    PROCEED
}

#[inline(always)]
fn bound_to_a_device(dialled: &bpf_sock_addr) -> bool {
    // SAFETY: `sk` is the variant that every sock_addr program is given.
    let socket = unsafe { dialled.__bindgen_anon_1.sk };
    // SAFETY: the verifier lets only a checked pointer to a live socket be read.
    !socket.is_null() && unsafe { (*socket).bound_dev_if } != 0
}

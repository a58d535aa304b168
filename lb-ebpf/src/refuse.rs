//! The verdict, returned to the kernel, with and without `bpf_set_retval`.

use aya_ebpf::helpers::bpf_set_retval;
use lb_common::outcome::Verdict;

use crate::call::Call;

/// What a program returns: go on, or fail (with EPERM unless said otherwise).
const PROCEED: i32 = 1;
const FAIL: i32 = 0;

const ECONNREFUSED: i32 = 111;

/// Refuses with ECONNREFUSED, from the call itself.
#[inline(always)]
pub(crate) fn with_errno(_: &Call<'_>, verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Allow => PROCEED,
        Verdict::Refuse => {
            // SAFETY: the helper takes a number and touches nothing of ours.
            unsafe { bpf_set_retval(-ECONNREFUSED) };
            FAIL
        }
    }
}

/// Refuses with EPERM, from the call itself.
#[inline(always)]
pub(crate) fn with_eperm(_: &Call<'_>, verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Allow => PROCEED,
        Verdict::Refuse => FAIL,
    }
}

/// For hooks that only show something: the kernel takes no other answer.
#[inline(always)]
pub(crate) fn never(_: &Call<'_>, _: Verdict) -> i32 {
    PROCEED
}

/// Refuses by sending the dial to loopback port 0, which the kernel answers with ECONNREFUSED.
/// A socket bound to a device would hang there, and a UDP socket would hear of it late or never: they get EPERM.
#[inline(always)]
pub(crate) fn by_rewrite4(call: &Call<'_>, verdict: Verdict) -> i32 {
    if verdict == Verdict::Allow {
        return PROCEED;
    }
    if !call.is_tcp() || call.is_bound_to_a_device() {
        return FAIL;
    }
    call.rewrite_to_nowhere4();
    PROCEED
}

/// [`by_rewrite4`] for an AF_INET6 socket.
#[inline(always)]
pub(crate) fn by_rewrite6(call: &Call<'_>, verdict: Verdict) -> i32 {
    if verdict == Verdict::Allow {
        return PROCEED;
    }
    if !call.is_tcp() || call.is_bound_to_a_device() {
        return FAIL;
    }
    call.rewrite_to_nowhere6();
    PROCEED
}

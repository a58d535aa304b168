//! Programs that take their time: not a bug, but it makes one show.

use aya_ebpf::helpers::bpf_ktime_get_ns;

/// Takes about 30 milliseconds: longer than the agent takes from one pass to the next while other programs keep the
/// processors busy.
#[cfg(feature = "plant-slow")]
#[inline(never)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dawdle() -> u32 {
    let mut sum = 0;
    for _ in 0..30 {
        sum |= dawdle_a_little();
    }
    sum
}

/// Takes about a millisecond. A function of its own, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dawdle_a_little() -> u32 {
    for _ in 0..20_000 {
        // SAFETY: the helper takes no arguments and cannot fail.
        unsafe { bpf_ktime_get_ns() };
    }
    0
}

//! Whether what the maps hold is older than the operator allows.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use lb_common::layout::Control;

use super::tables::CONTROL;

/// Whether no live source has been in sync for longer than `--max-stale`. It holds whatever became of the agent. Without the
/// flag it costs one load.
#[inline(always)]
pub(crate) fn is_stale() -> bool {
    CONTROL.get_ptr(0).is_some_and(|control| max_stale(control) != 0) && is_too_old() != 0
}

/// Zero without the flag.
#[inline(always)]
pub(super) fn max_stale(control: *const Control) -> u64 {
    // SAFETY: the element lives as long as the map.
    let word = unsafe { &raw const (*control).max_stale };
    // SAFETY: as above; the agent stores it as one word, which is aligned.
    unsafe { word.read_volatile() }
}

/// A global function: the verifier goes through it once, and not on each path that leads to it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_too_old() -> u32 {
    let Some(control) = CONTROL.get_ptr(0) else { return 0 };
    // SAFETY: the element lives as long as the map.
    let word = unsafe { &raw const (*control).in_sync_at };
    // SAFETY: as above. The clock is read after it: a time of the future would be one long past.
    let in_sync_at = unsafe { word.read_volatile() };
    // SAFETY: the helper takes no arguments and cannot fail.
    let age = unsafe { bpf_ktime_get_boot_ns() }.saturating_sub(in_sync_at);
    let most = max_stale(control);
    u32::from(most != 0 && age > most)
}

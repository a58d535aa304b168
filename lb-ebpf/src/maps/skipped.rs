//! Whether the caller is in a pod that is left out.

use aya_ebpf::helpers::generated::bpf_get_current_ancestor_cgroup_id;
use lb_common::layout::{Control, SKIP_LEVELS};

use super::tables::{CONTROL, SKIPPED};

/// Whether the calling process is in a pod that is skipped. The socket's pod cannot be asked for, and is the caller's but
/// where a socket was passed on. While no pod is skipped it costs one load.
#[inline(always)]
pub(crate) fn is_skipped() -> bool {
    CONTROL.get_ptr(0).is_some_and(|control| levels(control) != 0) && in_skipped_pod() != 0
}

/// `Control::skip_levels` as one word, the first level in its lowest byte.
#[inline(always)]
pub(super) fn levels(control: *const Control) -> u64 {
    // SAFETY: the element lives as long as the map.
    let levels = unsafe { &raw const (*control).skip_levels };
    // SAFETY: as above; the agent stores all levels as one word, which is aligned.
    unsafe { levels.cast::<u64>().read_volatile() }
}

/// A global function: the verifier goes through it once, and not on each path that leads to it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn in_skipped_pod() -> u32 {
    let Some(control) = CONTROL.get_ptr(0) else { return 0 };
    let mut levels = levels(control);
    for _ in 0..SKIP_LEVELS {
        let level = levels & 0xff;
        if level == 0 {
            break;
        }
        // SAFETY: the helper reads the current task's cgroups alone.
        let cgroup = unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
        if SKIPPED.get_ptr(cgroup).is_some() {
            return 1;
        }
        levels >>= 8;
    }
    0
}

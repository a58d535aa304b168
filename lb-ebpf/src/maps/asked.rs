//! Whether anything is asked about calls to Services at all.

use super::tables::CONTROL;
use super::{skipped, staleness};

/// Whether a pod is left out, or decisions may be too old. Both questions at once, by one lookup: on most nodes the answer to both
/// is no, on every call.
#[inline(always)]
pub(crate) fn is_anything_asked() -> bool {
    let Some(control) = CONTROL.get_ptr(0) else { return false };
    skipped::levels(control) | staleness::max_stale(control) != 0
}

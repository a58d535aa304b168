//! The words of the map `control`, which the writer changes in place.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lb_common::layout::Control;
use lb_common::node_port::Range;

use crate::model::Frontend;

use super::map::Page;

/// The words of [`Control`], mapped into this process.
#[derive(Debug)]
pub(super) struct ControlPage(Page<Control>);

impl ControlPage {
    pub(super) const fn new(page: Page<Control>) -> Self {
        Self(page)
    }

    pub(super) fn max_stale(&self) -> &AtomicU64 {
        // SAFETY: `max_stale` is the third word of 64 bits of the element.
        unsafe { self.0.long_word(2) }
    }

    pub(super) fn in_sync_at(&self) -> &AtomicU64 {
        // SAFETY: `in_sync_at` is the fourth word of 64 bits of the element.
        unsafe { self.0.long_word(3) }
    }

    /// As one word.
    pub(super) fn skip_levels(&self) -> &AtomicU64 {
        // SAFETY: `skip_levels` is the second word of 64 bits of the element.
        unsafe { self.0.long_word(1) }
    }

    /// Widens the range of node ports where `frontend` is one: before its element is written, or programs would not look for it.
    pub(super) fn admit(&self, frontend: &Frontend) {
        let now = Range(self.node_ports().load(Ordering::Relaxed));
        self.node_ports().store(widened(now, frontend).0, Ordering::SeqCst);
    }

    /// Sets the range to that of the node ports among `held`. Returns whether it was another one.
    pub(super) fn narrow<'a>(&self, held: impl Iterator<Item = &'a Frontend>) -> bool {
        let range = held.fold(Range::default(), widened);
        self.node_ports().swap(range.0, Ordering::SeqCst) != range.0
    }

    pub(super) fn node_ports(&self) -> &AtomicU32 {
        // SAFETY: the second word of the element is `node_ports`.
        unsafe { self.0.word(1) }
    }

    pub(super) fn next_service_id(&self) -> &AtomicU32 {
        // SAFETY: the element begins with `next_service_id`.
        unsafe { self.0.word(0) }
    }
}

/// `range`, and the port of `frontend` where that is a node port.
fn widened(range: Range, frontend: &Frontend) -> Range {
    let address = frontend.address;
    if address.ip().is_unspecified() { range.with(address.port()) } else { range }
}

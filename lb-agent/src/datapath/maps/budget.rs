//! Whether there is memory for another element. The kernel refuses one in time, but the agent's next page would end the
//! agent: so that some is always left for itself, and for elements that take another one's place.

use crate::datapath::memory::{Left, Limits, RESERVE};

/// New elements from one look at the limits to the next: they take far less than the reserve.
const EVERY: u32 = 64;

#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    /// New elements until the next look.
    unseen: u32,
    /// Elements that were removed: the map has their memory for others.
    spare: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { limits: Limits::own(), unseen: 0, spare: 0 }
    }

    pub(super) fn left(&self) -> Option<Left> {
        self.limits.left()
    }

    pub(super) fn allows_another(&mut self) -> bool {
        if self.unseen == 0 && self.limits.has_left(RESERVE) {
            self.unseen = EVERY;
        }
        let from = if self.unseen > 0 { &mut self.unseen } else { &mut self.spare };
        let allows = *from > 0;
        *from = from.saturating_sub(1);
        allows
    }

    pub(super) const fn removed(&mut self) {
        if self.spare < EVERY {
            self.spare += 1;
        }
    }
}

//! Dialling without end, to see when something shows first.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::harness::answer::{Answer, now};
use crate::harness::helper::Helper;
use crate::harness::pod::PATIENCE;

/// Ends its client when dropped.
pub struct Watch {
    client: Helper,
}

impl Watch {
    /// Returns once the first answer is in, so that what is done next is seen.
    pub(crate) fn new(mut client: Helper) -> Result<Self> {
        let _first: Answer = client.expect(PATIENCE)?;
        Ok(Self { client })
    }

    /// The first answer, among connections that began at `since` or later, that is as wanted. Each answer is
    /// looked at once: the next call goes on behind this one.
    pub fn first_since(
        &mut self,
        since: Duration,
        mut wanted: impl FnMut(&Answer) -> bool,
        within: Duration,
    ) -> Result<Answer> {
        let give_up = now() + within;
        let mut last = String::from("nothing");
        loop {
            let left = give_up.saturating_sub(now());
            ensure!(!left.is_zero(), "no answer was as wanted within {within:?}; the last was {last}");
            // The answer that decides may itself be one that takes its time.
            let answer: Answer = self.client.expect(left + PATIENCE)?;
            if answer.began >= since && wanted(&answer) {
                return Ok(answer);
            }
            answer.label().clone_into(&mut last);
        }
    }
}

//! Why the writer wakes, and all that waits for it at once.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::model::{HostAddresses, PeersReport, SelfTestRound};
use crate::source::Batch;
use crate::source::saved::Outcome;

/// Why the writer wakes, besides the clock.
#[derive(Debug)]
pub enum Wake {
    Source(Batch),
    /// The addresses of this machine are these from now on.
    Host(HostAddresses),
    /// The grace period of this number has passed.
    Grace(u64),
    /// The state was saved, or was not.
    Saved(Outcome),
    /// What became of UDP sockets whose backend is admitted no more.
    Peers(PeersReport),
    /// How a round of the self-test ended.
    SelfTest(SelfTestRound),
    Stop,
}

impl Wake {
    /// Whether what the maps should hold may be another from now on.
    pub(super) const fn is_for_maps(&self) -> bool {
        match self {
            Self::Source(_) | Self::Host(_) | Self::Grace(_) | Self::Stop => true,
            Self::Saved(_) | Self::Peers(_) | Self::SelfTest(_) => false,
        }
    }
}

/// Where wakes arrive.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: Receiver<Wake>,
    /// For the threads that wait on the writer's behalf.
    to_self: Sender<Wake>,
}

impl Inbox {
    pub(super) const fn new(receiver: Receiver<Wake>, to_self: Sender<Wake>) -> Self {
        Self { receiver, to_self }
    }

    pub(super) const fn sender(&self) -> &Sender<Wake> {
        &self.to_self
    }

    /// All that is waiting, so that a burst is one pass: nothing once `patience` is over.
    /// `None` when it is to stop, however much waits before that, and when no sender is left.
    pub(super) fn next(&self, patience: Duration) -> Option<Vec<Wake>> {
        let first = match self.receiver.recv_timeout(patience) {
            Ok(wake) => Some(wake),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let wakes: Vec<Wake> = first.into_iter().chain(self.receiver.try_iter()).collect();
        let stops = wakes.iter().any(|wake| matches!(wake, Wake::Stop));
        (!stops).then_some(wakes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_waits_is_one_burst_and_none_of_it_comes_before_a_stop() {
        let (sender, receiver) = channel();
        let inbox = Inbox::new(receiver, sender.clone());
        assert_eq!(inbox.next(Duration::ZERO).map(|wakes| wakes.len()), Some(0));
        for number in 0..3 {
            sender.send(Wake::Grace(number)).unwrap();
        }
        assert_eq!(inbox.next(Duration::ZERO).map(|wakes| wakes.len()), Some(3));
        for wake in [Wake::Grace(3), Wake::Stop, Wake::Grace(4)] {
            sender.send(wake).unwrap();
        }
        assert!(inbox.next(Duration::ZERO).is_none());
    }
}

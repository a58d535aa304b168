//! Waiting for grace periods, one at a time, on a thread of their own.

use std::sync::mpsc::Sender;

use crate::datapath::{Grace, grace_period};
use crate::plan::Mirror;

use super::inbox::Wake;

/// Whether a thread waits for a grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Idle,
    Running,
}

/// The one thread that may wait.
#[derive(Debug)]
pub(super) struct GracePeriods {
    grace: Grace,
    waiting: Waiting,
}

impl GracePeriods {
    pub(super) const fn new(grace: Grace) -> Self {
        Self { grace, waiting: Waiting::Idle }
    }

    /// Starts to wait, if anything in `mirror` needs it and nothing waits. The end comes as a wake.
    pub(super) fn start(&mut self, mirror: &mut Mirror, to_writer: &Sender<Wake>) {
        if self.waiting == Waiting::Running {
            return;
        }
        let Some(number) = mirror.start_grace() else { return };
        let (to_writer, grace) = (to_writer.clone(), self.grace);
        let thread = std::thread::Builder::new().name("grace".to_owned());
        let started = thread.spawn(move || {
            grace_period(grace);
            // The writer may have stopped.
            drop(to_writer.send(Wake::Grace(number)));
        });
        match started {
            Ok(_) => self.waiting = Waiting::Running,
            Err(error) => {
                tracing::warn!(%error, "could not wait for a grace period; regions stay taken until the next")
            }
        }
    }

    /// The grace period of this number has passed.
    pub(super) fn passed(&mut self, number: u64, mirror: Option<&mut Mirror>) {
        self.waiting = Waiting::Idle;
        if let Some(mirror) = mirror {
            mirror.release(number);
        }
    }
}

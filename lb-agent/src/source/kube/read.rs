//! What a watch sends while it is open: perhaps a list, then changes.

use std::time::Duration;

use tokio::time::timeout;

use super::ended::Ended;
use super::event::Event;
use super::frames::Frames;
use super::history::Reached;
use super::list::Whole;
use super::progress::Progress;
use super::sink::Closed;
use super::state::Trust;
use super::watch::{BRIEF, TOGETHER, Watch};
use crate::api::{RequestError, Response};

/// What a frame was.
enum Taken {
    /// An object that had not come in this list.
    New,
    /// An event or bookmark, up to this version where it says so.
    Change(Option<String>),
    /// The end of the list that a watch begins with.
    ListEnd(Whole),
}

impl Watch {
    /// Reads the list that a watch begins with to its end.
    pub(super) async fn read_list(
        &mut self,
        response: &mut Response,
        frames: &mut Frames,
    ) -> Result<Whole, Ended> {
        let mut progress = Progress::new(self.now(), self.timing.silence / 8);
        let mut begins = true;
        loop {
            while let Some(line) = frames.next()? {
                let taken = self.take(line);
                if taken.is_err() {
                    self.send(0).await?;
                }
                let taken = taken?;
                if std::mem::take(&mut begins) {
                    self.list_begins();
                }
                match taken {
                    Taken::New => progress.add(),
                    Taken::Change(_) => {}
                    Taken::ListEnd(whole) => return Ok(whole),
                }
                self.send(TOGETHER).await?;
            }
            if progress.is_stuck(self.now()) {
                self.send(0).await?;
                return Err(Ended::Endless);
            }
            let Ok(next) = timeout(progress.left(self.now()), response.next()).await else { continue };
            match next {
                Ok(Some(bytes)) => frames.push(&bytes),
                Ok(None) | Err(RequestError::Ended) => {
                    self.send(0).await?;
                    return Err(Ended::Endless);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads changes until the watch ends, or until it is time to leave it. Returns whether there were any that
    /// show that the server is as far as what is known.
    pub(super) async fn read_changes(
        &mut self,
        response: &mut Response,
        mut frames: Frames,
        leave: Option<Duration>,
    ) -> Result<bool, Ended> {
        let begun = self.now();
        let mut any_event = false;
        if self.course.trust != Trust::Shaken {
            self.in_sync()?;
        }
        loop {
            while let Some(line) = frames.next()? {
                let taken = self.take(line);
                if taken.is_err() {
                    self.send(0).await?;
                }
                if let Taken::Change(Some(version)) = taken? {
                    let reached = self.history.event(&version);
                    self.course.reached(version);
                    if reached == Reached::CaughtUp {
                        self.in_sync()?;
                    }
                    any_event |= reached != Reached::Below;
                }
                self.is_alive()?;
                self.send(TOGETHER).await?;
            }
            self.send(0).await?;
            let shaken = (self.course.trust == Trust::Shaken).then_some(begun + BRIEF);
            let until = [shaken, leave].into_iter().flatten().min();
            let next = match until {
                None => response.next().await,
                Some(until) => {
                    let left = until.saturating_sub(self.now());
                    let Ok(next) = timeout(left, response.next()).await else {
                        if shaken.is_some() {
                            self.is_alive()?;
                        }
                        if leave.is_some_and(|leave| self.now() >= leave) {
                            return Ok(any_event);
                        }
                        continue;
                    };
                    next
                }
            };
            match next? {
                Some(bytes) => frames.push(&bytes),
                None if frames.is_cut() => return Err(RequestError::Ended.into()),
                None => return Ok(any_event),
            }
        }
    }

    /// The watch goes on: after a failure that takes a moment to be seen, for a proxy without its API server may
    /// end one after the other.
    fn is_alive(&mut self) -> Result<(), Closed> {
        if self.course.trust == Trust::Shaken {
            self.course.lasts();
            self.in_sync()?;
        }
        Ok(())
    }

    /// Unless the server is not as far as what is known.
    fn in_sync(&self) -> Result<(), Closed> {
        if self.history.is_behind() { Ok(()) } else { self.sink.in_sync(self.kind, &self.client) }
    }

    /// Takes one event in.
    fn take(&mut self, line: &[u8]) -> Result<Taken, RequestError> {
        let is_listing = self.tracker.is_listing();
        Ok(match Event::read(line, self.course.resource)? {
            Event::Added(json) => {
                let applied = self.tracker.apply(json)?;
                if is_listing && applied.is_new { Taken::New } else { Taken::Change(applied.version) }
            }
            Event::Applied(json) => Taken::Change(self.tracker.apply(json)?.version),
            Event::Deleted(json) => Taken::Change(self.tracker.delete(json)?),
            Event::Bookmark { version, ends_list } if is_listing && ends_list => {
                Taken::ListEnd(Whole { version, is_named: true })
            }
            Event::Bookmark { version, .. } => Taken::Change(version),
            // YurtHub refuses lists sent by watches so, whatever the code says.
            Event::Error(status) => return Err(if is_listing { status.refusal() } else { status.into() }),
        })
    }

    /// Sends on what has gathered, unless it is less than `least`.
    pub(super) async fn send(&mut self, least: usize) -> Result<(), Closed> {
        if self.tracker.waiting() < least {
            return Ok(());
        }
        let (changes, problems) = (self.tracker.take_changes(), self.tracker.take_problems());
        self.sink.changes(self.kind, changes, problems).await
    }
}

//! Network namespaces are entered, one after the other.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::datapath::sockets::{Asker, ListError, enter};
use crate::host::namespaces::{self, Opener};
use crate::model::{Obstacle, Pods};
use crate::plan::admissions::Admissions;
use crate::shown::chain;

use super::ending::{Asks, Done, end_here};

/// No further network namespace is entered after this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// What sockets are held against in each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit<'a> {
    pub(super) asker: &'a Asker,
    pub(super) admissions: &'a Admissions,
    pub(super) asks: Asks,
}

/// A network namespace: its number, what opens to it, and how many sockets were found there that are to end.
type Place<'a> = (u64, Option<&'a Opener>, u64);

impl Visit<'_> {
    /// In the calling thread's own.
    pub(super) fn here(&self, found: u64) -> Done {
        end_here(self.asker, self.admissions, self.asks, found)
    }

    /// In others: those that were `found` to have sockets that are to end, with how many; or all. Returns as well how many could
    /// not be looked into, where it is not known what is in them.
    pub(super) fn others(
        &self,
        found: Option<BTreeMap<u64, u64>>,
        folders: &[PathBuf],
        pods: Pods,
    ) -> io::Result<(Done, u64)> {
        if found.as_ref().is_some_and(BTreeMap::is_empty) {
            return Ok(Default::default());
        }
        if pods == Pods::NotAllowed {
            return Ok(match found {
                Some(found) => (Done::left(Obstacle::NotAllowed, found.values().sum(), None), 0),
                None => (Done::default(), namespaces::others(folders)?.len() as u64),
            });
        }
        let openers = namespaces::others(folders)?;
        let places: Vec<Place<'_>> = match &found {
            Some(found) => {
                found.iter().map(|(number, sockets)| (*number, openers.get(number), *sockets)).collect()
            }
            None => openers.iter().map(|(number, opener)| (*number, Some(opener), 0)).collect(),
        };
        // A thread of its own, since nothing brings it back from where it went.
        let visited = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("peers-pods".to_owned());
            let thread = thread.spawn_scoped(scope, || self.all(&places))?;
            thread.join().map_err(|_panic| io::Error::other("the thread that entered pods panicked"))
        });
        let (done, not_entered) = visited?;
        Ok((done, if found.is_some() { 0 } else { not_entered }))
    }

    fn all(&self, places: &[Place<'_>]) -> (Done, u64) {
        let until = Instant::now() + PATIENCE;
        let (mut done, mut not_entered) = (Done::default(), 0);
        for (number, opener, sockets) in places {
            match go(*number, *opener, until) {
                Ok(()) => done.add(self.here(*sockets)),
                Err((obstacle, why)) => {
                    not_entered += 1;
                    let trouble = why.map(|why| format!("network namespace {number} was not entered: {why}"));
                    // Where it is not known that there are any, it may just have gone.
                    done.add(Done::left(obstacle, *sockets, trouble.filter(|_| *sockets > 0)));
                }
            }
        }
        (done, not_entered)
    }
}

/// The calling thread enters a network namespace.
fn go(number: u64, opener: Option<&Opener>, until: Instant) -> Result<(), (Obstacle, Option<String>)> {
    let Some(opener) = opener else { return Err((Obstacle::NoWay, None)) };
    if Instant::now() >= until {
        return Err((Obstacle::NoTime, None));
    }
    let namespace =
        namespaces::open(number, opener).map_err(|error| (Obstacle::NoWay, Some(error.to_string())))?;
    enter(&namespace).map_err(|error| {
        let obstacle =
            if matches!(error, ListError::MayNotEnter) { Obstacle::NotAllowed } else { Obstacle::NoWay };
        (obstacle, Some(chain(&error)))
    })
}

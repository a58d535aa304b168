//! The thread that saves: the writer of the maps waits for no disk.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::model::{Change, Moment};

use super::format::{FORMAT, Header, pack};
use super::{Owner, Place, disk};

/// A state to be saved.
#[derive(Debug)]
pub struct Job {
    pub changes: Vec<Change>,
    pub at: Moment,
    /// The [level](super::Pace::level) after it was written.
    pub level: u32,
}

/// What became of a job.
#[derive(Debug)]
pub enum Outcome {
    Written,
    /// The file has this state already.
    Same,
    Failed(io::Error),
}

/// Saves on a thread of its own, one job after the other.
#[derive(Debug)]
pub struct Saver {
    jobs: Sender<Job>,
}

impl Saver {
    /// `done` is called after each job, on the saver's thread. The thread ends with the last [`Saver`].
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn new(place: Place, done: impl Fn(Outcome) + Send + 'static) -> io::Result<Self> {
        let (jobs, waiting) = channel();
        std::thread::Builder::new().name("saver".to_owned()).spawn(move || run(&place, &waiting, done))?;
        Ok(Self { jobs })
    }

    /// Has `job` saved; returns false when the thread has ended.
    #[must_use]
    pub fn save(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }
}

fn run(place: &Place, jobs: &Receiver<Job>, done: impl Fn(Outcome)) {
    // What the file holds that another start has left; what this one wrote is known.
    let mut held = disk::digest(&place.file);
    for job in jobs {
        done(match save(place, job, held.as_ref()) {
            Ok(None) => Outcome::Same,
            Ok(now) => {
                held = now;
                Outcome::Written
            }
            Err(error) => Outcome::Failed(error),
        });
    }
}

/// Whose state a file holds, and its digest.
pub(super) type Held = (Owner, u64);

/// Returns what the file holds now, or nothing where it has this state already.
fn save(place: &Place, job: Job, held: Option<&Held>) -> io::Result<Option<Held>> {
    let Job { changes, at, level } = job;
    let Owner { node, server } = place.owner.clone();
    let header =
        Header { format: FORMAT, node, server, saved: at, level, namespaces: true, changes: changes.len() };
    let (file, digest) = pack(&header, changes)?;
    let now = (place.owner.clone(), digest);
    if held == Some(&now) {
        return Ok(None);
    }
    disk::replace(&place.file, &file)?;
    Ok(Some(now))
}

//! The thread that saves: the writer of the maps waits for no disk.

use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::model::{Change, Moment};

use super::format::{self, FORMAT, Header};
use super::{Place, disk};

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
    let mut held = disk::unpacked(&place.file).map(|(header, text)| (owner(&header), digest(&text)));
    for job in jobs {
        let text = format::body(&job.changes);
        let now = ((place.owner.node.clone(), place.owner.server.clone()), digest(&text));
        if held.as_ref() == Some(&now) {
            done(Outcome::Same);
            continue;
        }
        done(match save(place, &job, &text) {
            Ok(()) => {
                held = Some(now);
                Outcome::Written
            }
            Err(error) => Outcome::Failed(error),
        });
    }
}

fn owner(header: &Header) -> (String, String) {
    (header.node.clone(), header.server.clone())
}

fn digest(text: &[u8]) -> u64 {
    let mut digest = DefaultHasher::new();
    digest.write(text);
    digest.finish()
}

fn save(place: &Place, job: &Job, text: &[u8]) -> io::Result<()> {
    let header = Header {
        format: FORMAT,
        node: place.owner.node.clone(),
        server: place.owner.server.clone(),
        saved: job.at.clone(),
        level: job.level,
        changes: job.changes.len(),
    };
    disk::replace(Path::new(&place.file), &format::write(&header, text)?)
}

//! Connected UDP sockets whose backend is admitted no more are ended, on a thread of its own: their next call fails, and they
//! dial again.

mod due;
mod ending;
mod pass;
mod queue;
mod visit;

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use crate::model::{EndBy, PeersReport};
use crate::plan::admissions::Admissions;

use due::Due;
pub use ending::Asks;
use pass::Passes;
pub use pass::find;
pub use queue::PeersQueue;

/// What the operator settled for this thread.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    pub by: EndBy,
    pub pin_root: PathBuf,
    /// Where container runtimes keep network namespaces.
    pub namespaces: Vec<PathBuf>,
    pub asks: Asks,
}

/// Starts the thread. What `queue` brings decides which sockets end, and `send` is given what became of them, until it returns
/// false.
///
/// # Errors
/// When there is no thread for it.
pub fn start(
    config: PeersConfig,
    queue: PeersQueue,
    send: impl FnMut(PeersReport) -> bool + Send + 'static,
) -> io::Result<()> {
    std::thread::Builder::new().name("peers".to_owned()).spawn(move || run(config, &queue, send))?;
    Ok(())
}

fn run(config: PeersConfig, queue: &PeersQueue, mut send: impl FnMut(PeersReport) -> bool) {
    let (mut admissions, mut due) = (Admissions::default(), Due::default());
    let mut passes = Passes::new(config);
    let mut said = PeersReport::default();
    loop {
        if let Some(asked) = queue.wait(due.patience(Instant::now())) {
            let lost = asked.news.is_some_and(|news| admissions.take(news));
            if lost || asked.again {
                due.ask(Instant::now());
            }
        }
        let begin = Instant::now();
        if !due.take(begin) {
            continue;
        }
        passes.pass(&admissions);
        let left = passes.report().left.total() > 0;
        due.passed(begin, Instant::now(), left);
        if *passes.report() != said {
            said = passes.report().clone();
            if !send(said.clone()) {
                return;
            }
        }
    }
}

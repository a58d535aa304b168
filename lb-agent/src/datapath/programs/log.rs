//! What programs say of each call, where they were built to: from their ring buffer into the log.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// The map that aya-log's macros write to.
const RING: &str = "AYA_LOGS";
/// How long the thread may sleep through its end, in milliseconds.
const PERIOD: libc::c_int = 500;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("could not open the ring buffer of the programs")]
    Ring(#[source] aya_log::Error),
    #[error("could not start a thread")]
    Thread(#[source] io::Error),
}

/// Reads on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(super) struct ProgramLog {
    end: Arc<AtomicBool>,
}

impl ProgramLog {
    /// Of programs that are to be loaded from `object`; `None` where they say nothing.
    pub(super) fn of(object: &mut Ebpf) -> Result<Option<Self>, LogError> {
        if object.map(RING).is_none() {
            return Ok(None);
        }
        let ring = EbpfLogger::init_with_logger(object, IntoLog).map_err(LogError::Ring)?;
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = thread::Builder::new().name("program-log".to_owned());
        thread.spawn(move || read(ring, &ended)).map_err(LogError::Thread)?;
        Ok(Some(Self { end }))
    }
}

impl Drop for ProgramLog {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

fn read(mut ring: EbpfLogger<IntoLog>, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        let mut poll = libc::pollfd { fd: ring.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which is ours, of a descriptor that is open.
        unsafe { libc::poll(&raw mut poll, 1, PERIOD) };
        ring.flush();
    }
}

/// Hands the lines on.
#[derive(Debug)]
struct IntoLog;

impl Log for IntoLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        tracing::info!(line = %record.args(), "program");
    }

    fn flush(&self) {}
}

//! The doors of a running agent: its socket, and health and metrics over HTTP.
//!
//! They have a thread of their own, and read what the writer published: no request reaches the
//! writer or a source, and none waits for them.

pub mod http;
pub mod metrics;
pub mod observe;
pub mod socket;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use crate::datapath::maps::counters::CounterReader;
use crate::view::published::Published;

use http::HttpDoor;
use socket::SocketDoor;

/// Threads for what takes longer than a probe may wait: the whole status as text.
const HELPERS: usize = 2;

/// What all doors read.
pub type Newest = watch::Receiver<Arc<Published>>;

/// Closes the doors when dropped.
#[derive(Debug)]
pub struct Doors {
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Opens the doors.
///
/// # Errors
/// When there is no thread for them.
pub fn open(
    socket: SocketDoor,
    http: Option<HttpDoor>,
    newest: Newest,
    counters: CounterReader,
) -> io::Result<Doors> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HELPERS)
        .thread_name("doors-helper")
        .build()?;
    let (close, closed) = oneshot::channel();
    let thread = std::thread::Builder::new().name("doors".to_owned()).spawn(move || {
        runtime.block_on(async move {
            if let Some(http) = http {
                tokio::spawn(http.serve(newest.clone(), counters));
            }
            tokio::select! {
                // Dropped or sent to: both end it.
                _ = closed => {}
                () = socket.serve(newest) => {}
            }
        });
    })?;
    Ok(Doors { close: Some(close), thread: Some(thread) })
}

impl Drop for Doors {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been written to stderr, and ends nothing else.
            drop(thread.join());
        }
    }
}

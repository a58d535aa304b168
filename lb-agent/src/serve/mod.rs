//! The doors of a running agent: its socket, and health and metrics over HTTP.
//!
//! They have a thread of their own, and read what the writer published: no request reaches the
//! writer or a source, and none waits for them. What clients can take up is bounded: connections, the
//! time of each, and the length of what they send.

mod clients;
pub mod exposition;
pub mod http;
pub mod metrics;
pub mod observe;
pub mod request;
pub mod socket;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use crate::datapath::maps::counters::CounterReader;
use crate::view::published::Published;

use http::{HttpDoor, Known};
use socket::SocketDoor;

/// Threads for what takes longer than a probe may wait: the whole status as text.
const HELPERS: usize = 2;

/// Connections over HTTP at one time, as far as descriptors allow.
const HTTP_CLIENTS: usize = 64;
/// Clients of the socket at one time.
const SOCKET_CLIENTS: usize = 32;
/// Of all descriptors, one in so many is for the clients of one door: the others are for the API server,
/// files and maps.
const SHARE: u64 = 8;

/// What all doors read.
pub type Newest = watch::Receiver<Arc<Published>>;

/// Closes the doors when dropped.
#[derive(Debug)]
pub struct Doors {
    close: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<io::Error>,
    thread: Option<JoinHandle<()>>,
}

/// Opens the doors, in a process that may have so many descriptors. `metrics` is a door for them alone.
///
/// # Errors
/// When there is no thread for them.
pub fn open(
    socket: SocketDoor,
    http: Option<HttpDoor>,
    metrics: Option<HttpDoor>,
    newest: Newest,
    counters: CounterReader,
    descriptors: u64,
) -> io::Result<Doors> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HELPERS)
        .thread_name("doors-helper")
        .build()?;
    let (close, closed) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("doors".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let known = Arc::new(Known::new(newest.clone(), counters));
            let room_of_http = room(HTTP_CLIENTS, descriptors);
            let over_http = async {
                match http {
                    Some(door) => door.serve(Arc::clone(&known), room_of_http).await,
                    None => std::future::pending().await,
                }
            };
            let metrics_alone = async {
                match metrics {
                    Some(door) => door.serve_metrics(Arc::clone(&known), room_of_http).await,
                    None => std::future::pending().await,
                }
            };
            let error = tokio::select! {
                // Dropped or sent to: both end it.
                _ = closed => return,
                error = over_http => error,
                error = metrics_alone => error,
                error = socket.serve(newest.clone(), room(SOCKET_CLIENTS, descriptors)) => error,
            };
            // Nothing waits for it once the agent ends.
            drop(end.send(error));
        });
        // A status that is being written ends with the process.
        runtime.shutdown_background();
    })?;
    Ok(Doors { close: Some(close), ended, thread: Some(thread) })
}

/// How many clients of one door there may be, of at most `most`.
fn room(most: usize, descriptors: u64) -> usize {
    usize::try_from(descriptors / SHARE).unwrap_or(most).min(most)
}

impl Doors {
    /// Waits until they end by themselves; gives why. They have no reason to.
    pub async fn ended(&mut self) -> String {
        match (&mut self.ended).await {
            Ok(error) => error.to_string(),
            Err(_) => "their thread panicked".to_owned(),
        }
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been written to stderr.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_most_descriptors_to_others() {
        for (descriptors, http, socket) in
            [(u64::MAX, 64, 32), (4096, 64, 32), (512, 64, 32), (256, 32, 32), (64, 8, 8), (0, 0, 0)]
        {
            let rooms = [HTTP_CLIENTS, SOCKET_CLIENTS].map(|most| room(most, descriptors));
            assert_eq!(rooms, [http, socket], "{descriptors}");
        }
    }
}

//! How a command that waits is asked to leave.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Notices SIGINT and SIGTERM from now on; resolves with the first. To be called on a runtime.
pub(super) fn asked() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

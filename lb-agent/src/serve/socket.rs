//! The agent's socket: a client that connects receives the status as JSON.

use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::Newest;
use crate::view::status::AgentView;

/// An agent that does not reply within this time counts as none, and a client that does not read.
const PATIENCE: Duration = Duration::from_secs(2);
/// Clients at one time. Others wait in the kernel's queue.
const CLIENTS: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("could not listen at {}; name another socket with --socket", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is in use: another agent listens there, or it is no socket; name another with --socket", path.display())]
    InUse { path: PathBuf },
}

/// A socket that is listened at. It is removed when this is dropped.
#[derive(Debug)]
pub struct SocketDoor {
    path: PathBuf,
    listener: UnixListener,
}

impl Drop for SocketDoor {
    fn drop(&mut self) {
        // Gone already is as good.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Makes the socket, readable by its owner alone. One that a killed agent left is replaced.
///
/// # Errors
/// When the folder or the socket cannot be made, or something else lies at the path.
pub fn listen(path: &Path) -> Result<SocketDoor, ListenError> {
    let failed = |source| ListenError::Socket { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    if UnixStream::connect(path).is_ok() || !remove_socket(path).map_err(failed)? {
        return Err(ListenError::InUse { path: path.to_owned() });
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let door = SocketDoor { path: path.to_owned(), listener };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    door.listener.set_nonblocking(true).map_err(failed)?;
    Ok(door)
}

/// Removes a socket at which no process listens any more; false when something else lies there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_socket(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map(|()| true),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

impl SocketDoor {
    /// Serves until it is dropped.
    pub(super) async fn serve(self, newest: Newest) {
        let listener = self.listener.try_clone().and_then(tokio::net::UnixListener::from_std);
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, path = %self.path.display(), "no status can be had at the socket");
                return std::future::pending().await;
            }
        };
        let room = Arc::new(Semaphore::new(CLIENTS));
        loop {
            // Never closed, so that this cannot fail.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let newest = newest.clone();
            tokio::spawn(async move {
                // A client that went away, or does not read, is left.
                drop(tokio::time::timeout(PATIENCE, reply(stream, &newest)).await);
                drop(place);
            });
        }
    }
}

async fn reply(mut stream: tokio::net::UnixStream, newest: &Newest) -> io::Result<()> {
    let published = Arc::clone(&newest.borrow());
    let pid = std::process::id();
    // Of a large cluster it is long, and a probe must not wait for it.
    let text = tokio::task::spawn_blocking(move || serde_json::to_vec(&AgentView::new(&published, pid)));
    stream.write_all(&text.await??).await
}

/// Asks the agent behind the socket. `None` when none replies.
#[must_use]
pub fn ask(path: &Path) -> Option<AgentView> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

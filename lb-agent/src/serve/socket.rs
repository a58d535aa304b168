//! The agent's socket: whoever connects gets the view as JSON.

use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use crate::writer::Wake;

use crate::view::status::AgentView;

/// An agent that does not answer within this time is as good as none.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("could not listen at {}; name another socket with --socket", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is in use: another agent answers there, or it is no socket; name another with --socket", path.display())]
    InUse { path: PathBuf },
}

/// Removes the socket when the agent leaves.
#[derive(Debug)]
pub struct Served {
    path: PathBuf,
    pub listener: UnixListener,
}

impl Drop for Served {
    fn drop(&mut self) {
        // Gone already is as good.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Makes the socket, readable by its owner alone. One that a killed agent left is replaced.
///
/// # Errors
/// When the folder or the socket cannot be made, or the path is somebody else's.
pub fn listen(path: &Path) -> Result<Served, ListenError> {
    let failed = |source| ListenError::Socket { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    if UnixStream::connect(path).is_ok() || !remove_socket(path).map_err(failed)? {
        return Err(ListenError::InUse { path: path.to_owned() });
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(Served { path: path.to_owned(), listener })
}

/// Removes a socket that nobody listens at any more; false when something else lies there.
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

/// Answers for ever.
pub async fn serve(listener: &UnixListener, writer: Sender<Wake>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (answer, answered) = tokio::sync::oneshot::channel();
        if writer.send(Wake::Query(answer)).is_err() {
            return;
        }
        tokio::spawn(async move {
            if let Ok(Ok(view)) = tokio::time::timeout(PATIENCE, answered).await
                && let Ok(text) = serde_json::to_vec(&view)
            {
                // Whoever asked may have gone away.
                drop(stream.write_all(&text).await);
            }
        });
    }
}

/// Asks the agent behind the socket. `None` when none answers.
#[must_use]
pub fn ask(path: &Path) -> Option<AgentView> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

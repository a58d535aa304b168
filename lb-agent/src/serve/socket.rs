//! The agent's socket: a client that connects asks one thing, and receives it as JSON.

use std::io::{self, Read, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Mutex;

use super::Newest;
use super::clients::Clients;
use super::request::{self, Reply, Request};
use crate::telemetry::record::kept;
use crate::view::json;
use crate::view::published::Published;
use crate::view::status::AgentView;

/// An agent that does not reply within this time counts as none, and a client that does not read.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a client may count on where others wait for its place: more than a long status takes.
const STAY: Duration = Duration::from_millis(100);
/// No reply is longer, in bytes.
const LONGEST: u64 = 1 << 28;
/// A client that has not asked by then wants the status: `lb-agent` up to version 0.1 asks for nothing.
const TO_ASK: Duration = Duration::from_millis(50);

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
    /// The user that the agent runs as.
    owner: u32,
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
    let owner = std::fs::symlink_metadata(path).map_err(failed)?.uid();
    let door = SocketDoor { path: path.to_owned(), listener, owner };
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
    /// Serves until it is dropped: at most `room` clients at one time, all of the agent's own user or root.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub(super) async fn serve(self, newest: Newest, room: usize) -> io::Error {
        let listener = self.listener.try_clone().and_then(tokio::net::UnixListener::from_std);
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        let text = Arc::new(StatusText::new(newest));
        let mut clients = Clients::new(room, STAY);
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // The client has left, or this process lacks descriptors or memory for now.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if !is_admitted(stream.peer_cred().ok().map(|peer| peer.uid()), self.owner) {
                continue;
            }
            let text = Arc::clone(&text);
            clients
                .admit(async move {
                    // A client that went away, or does not read, is left.
                    drop(tokio::time::timeout(PATIENCE, reply(stream, text)).await);
                })
                .await;
        }
    }
}

/// Whether a client that this user runs may ask. The mode of the socket says the same, but only since a moment
/// after it was made, and others can change it.
const fn is_admitted(user: Option<u32>, owner: u32) -> bool {
    matches!(user, Some(user) if user == 0 || user == owner)
}

async fn reply(mut stream: tokio::net::UnixStream, text: Arc<StatusText>) -> io::Result<()> {
    let asked = tokio::time::timeout(TO_ASK, asked(&mut stream)).await.unwrap_or(Ok(Vec::new()))?;
    let request = Request::read(&asked);
    if request != Ok(Request::Status) {
        let published = Arc::clone(&text.newest.borrow());
        let text = tokio::task::spawn_blocking(move || request::reply(request, &published, kept)).await??;
        return stream.write_all(&text).await;
    }
    // It is made to the end for those who come next, also when this client has to leave before.
    let text = tokio::spawn(async move { text.newest().await }).await??;
    stream.write_all(&text).await
}

/// The line that a client sends; what is longer than a request may be is cut off, and is not understood then.
async fn asked(stream: &mut tokio::net::UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(request::LONGEST)).read_until(b'\n', &mut line).await?;
    Ok(line)
}

/// The status as JSON, which all who ask at the same time share: of a large cluster it is long.
struct StatusText {
    newest: Newest,
    last: Mutex<Option<(Arc<Published>, Bytes)>>,
}

impl StatusText {
    fn new(newest: Newest) -> Self {
        Self { newest, last: Mutex::default() }
    }

    async fn newest(&self) -> io::Result<Bytes> {
        let mut last = self.last.lock().await;
        let published = Arc::clone(&self.newest.borrow());
        if let Some((of, text)) = &*last
            && Arc::ptr_eq(of, &published)
        {
            return Ok(text.clone());
        }
        let (of, pid) = (Arc::clone(&published), std::process::id());
        // A probe must not wait for it.
        let text = tokio::task::spawn_blocking(move || json::compact(&AgentView::new(&of, pid)));
        let text = Bytes::from(text.await??);
        *last = Some((published, text.clone()));
        Ok(text)
    }
}

/// The process that listens at the socket, by the kernel's word; 0 where it lives in a process namespace that we
/// do not see. `None` when none listens, or it is another user's than root's and ours.
#[must_use]
pub fn listener(path: &Path) -> Option<i32> {
    let stream = UnixStream::connect(path).ok()?;
    let peer = peer(&stream).ok()?;
    let own = std::fs::metadata("/proc/self").ok()?.uid();
    is_admitted(Some(peer.uid), own).then_some(peer.pid)
}

fn peer(stream: &UnixStream) -> io::Result<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of_val(&peer) as libc::socklen_t;
    let (socket, to) = (stream.as_raw_fd(), (&raw mut peer).cast());
    // SAFETY: the kernel writes at most `length` bytes to `peer`, which is ours and so long.
    let result =
        unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, to, &raw mut length) };
    if result == 0 { Ok(peer) } else { Err(io::Error::last_os_error()) }
}

/// Asks the agent behind the socket. `None` when none replies.
#[must_use]
pub fn ask(path: &Path) -> Option<AgentView> {
    serde_json::from_slice(&received(path, &Request::Status).ok()?).ok()
}

/// Why an agent's reply is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the agent's socket {} may not be opened: it takes root on the node", path.display())]
    Forbidden {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the agent at {} does not reply within {} s: it is stopped or hangs; see its log, or read the maps alone with --pinned", path.display(), PATIENCE.as_secs())]
    Hangs { path: PathBuf },
    #[error("no agent replies at {}; start `lb-agent run`, name its socket with --socket, or read the maps alone with --pinned", path.display())]
    Silent {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the agent at {} is of another version, and does not know this question: ask the lb-agent of that version", path.display())]
    OtherVersion { path: PathBuf },
    /// The agent's own words.
    #[error("{0}")]
    Refused(String),
}

impl AskError {
    fn of(path: PathBuf, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::PermissionDenied {
            Self::Forbidden { path, source }
        } else if matches!(source.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            Self::Hangs { path }
        } else {
            Self::Silent { path, source }
        }
    }
}

/// Asks the agent behind the socket for what is made for one client.
///
/// # Errors
/// None replies, it does not understand, or what is asked for does not exist.
pub fn request(path: &Path, request: &Request) -> Result<Reply, AskError> {
    let text = received(path, request).map_err(|source| AskError::of(path.to_owned(), source))?;
    match serde_json::from_slice(&text) {
        Ok(Reply::Error(why)) => Err(AskError::Refused(why)),
        Ok(reply) => Ok(reply),
        // An earlier agent replies with its status whatever is asked.
        Err(_) => Err(AskError::OtherVersion { path: path.to_owned() }),
    }
}

fn received(path: &Path, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let line = serde_json::to_vec(request).map_err(io::Error::other)?;
    // An earlier agent does not read it.
    drop(stream.write_all(&[line.as_slice(), b"\n"].concat()));
    let mut text = Vec::new();
    match stream.take(LONGEST).read_to_end(&mut text) {
        Err(error) if text.is_empty() => Err(error),
        // An agent that did not read what was asked resets the connection behind its reply.
        Ok(_) | Err(_) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::watch;

    use super::*;
    use crate::store::{Rules, Store};

    #[test]
    fn the_process_behind_a_socket_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        assert_eq!(listener(&path), None);
        let door = listen(&path).unwrap();
        assert_eq!(listener(&path), Some(std::process::id().cast_signed()));
        drop(door);
        assert_eq!(listener(&path), None);
    }

    /// Where the status takes longer than a client may stay, those who come next would wait without end.
    #[tokio::test]
    async fn the_status_that_a_client_left_behind_is_made_to_the_end() {
        let store = Store::new("n1", Rules::default());
        let published = Arc::new(Published::first(&store, "file:/x", Instant::now()));
        let (_newest, newest) = watch::channel(published);
        let text = Arc::new(StatusText::new(newest));
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        theirs.write_all(b"\n").await.unwrap();
        let lasts = text.last.lock().await;
        let client = tokio::spawn(reply(ours, Arc::clone(&text)));
        // Past its question.
        tokio::time::sleep(TO_ASK * 2).await;
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        drop(lasts);

        let made = async {
            while text.last.lock().await.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE * 10, made).await.unwrap();
    }

    #[test]
    fn the_agents_own_user_and_root_are_served_and_no_other() {
        for (user, owner, is) in [
            (Some(0), 0, true),
            (Some(1000), 0, false),
            (Some(1000), 1000, true),
            (Some(0), 1000, true),
            (Some(1001), 1000, false),
            (None, 0, false),
        ] {
            assert_eq!(is_admitted(user, owner), is, "{user:?} at the socket of {owner}");
        }
    }
}

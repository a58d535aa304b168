//! `lb-agent cleanup`.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::announce::node::remove_condition;
use crate::api::ApiClient;
use crate::config::{PIN_ROOT, socket};
use crate::datapath::cleanup::remove_all;
use crate::datapath::lock::{self, Holder, Lock, LockError, acquire_existing};
use crate::serve::http;
use crate::serve::socket::{listener, remove_socket};
use crate::shown::Shown;

use super::source::ApiArgs;
use super::{signals, unless_closed};

/// How long the API server is asked to remove the condition: a node without one is cleaned up all the same.
const PATIENCE_OF_SERVER: Duration = Duration::from_secs(10);

/// How long an agent that was asked to leave may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: after the agent is stopped for good
  lb-agent cleanup")]
pub struct Args {
    /// Where maps and links are pinned.
    #[arg(long, env = "EDGELOOP_PIN_ROOT", value_name = "FOLDER", default_value = PIN_ROOT)]
    pin_root: PathBuf,
    /// The agent's socket, if it was given one.
    #[arg(long, env = "EDGELOOP_SOCKET", value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Ask an agent that runs to leave first.
    #[arg(long, env = "EDGELOOP_STOP")]
    stop: bool,
    /// Stay when everything is removed, until SIGTERM or SIGINT: for a pod that is to be ready then, and not
    /// to be started again.
    #[arg(long, env = "EDGELOOP_HOLD")]
    hold: bool,
    /// Where /healthz and /readyz answer with --hold, once everything is removed; nowhere unless given.
    #[arg(long, env = "EDGELOOP_HTTP", value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
    /// Remove the condition edgeloop.io/Covered from the Node when everything else is removed, as an agent with this flag keeps it.
    /// Where the API server cannot be asked, it stays, and a warning says so.
    #[arg(long, env = "EDGELOOP_NODE_CONDITION", requires = "node")]
    node_condition: bool,
    /// The name of the Node, for --node-condition.
    #[arg(long, env = "EDGELOOP_NODE", value_name = "NAME")]
    node: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
}

/// Detaches, then unpins. Connections that exist go on; new ones are no longer rewritten.
///
/// # Errors
/// When an agent runs and `--stop` was not given, or something cannot be removed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { pin_root, socket: named, stop, hold: stays, http, node_condition, node, api } = args;
    let socket = socket(named, &pin_root);
    let node = node.filter(|_| node_condition);
    if !stays && node.is_none() {
        remove(&pin_root, &socket, stop)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start a runtime")?;
    let end = runtime.block_on(async {
        // From here on: the first process of a container has no other end by a signal.
        let asked = signals::asked().context("could not listen for signals")?;
        remove(&pin_root, &socket, stop)?;
        if let Some(node) = node {
            take_back(&node, api).await;
        }
        if stays { hold(http, asked).await } else { Ok(ExitCode::SUCCESS) }
    });
    // A name server that hangs holds nothing up.
    runtime.shutdown_background();
    end
}

/// Removes the condition from the Node. What matters is done whether that succeeds or not.
async fn take_back(node: &str, api: ApiArgs) {
    let removed = async {
        let client = ApiClient::new(api.settle(None)?, None).await?;
        anyhow::Ok(remove_condition(&client, node, PATIENCE_OF_SERVER).await?)
    };
    let removed = tokio::time::timeout(PATIENCE_OF_SERVER, removed).await;
    let error = match removed {
        Ok(Ok(())) => {
            return drop(writeln!(io::stdout(), "removed the condition of the Node {}", Shown(node)));
        }
        Ok(Err(error)) => format!("{error:#}"),
        Err(_elapsed) => format!("no answer within {} s", PATIENCE_OF_SERVER.as_secs()),
    };
    tracing::warn!(
        node = %Shown(node),
        error,
        "everything is removed, but the Node's condition edgeloop.io/Covered stays as it is: remove it by \
         `kubectl edit node --subresource status`"
    );
}

/// Stays until it is asked to leave, and answers probes.
async fn hold(http: Option<SocketAddr>, asked: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let door = http.map(http::listen).transpose().context("everything is removed")?;
    let served = async {
        match door {
            Some(door) => door.serve_well().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = asked => Ok(ExitCode::SUCCESS),
        error = served => Err(error).context("everything is removed, but probes cannot be answered"),
    }
}

fn remove(pin_root: &Path, socket: &Path, stop: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let lock = match acquire_existing(pin_root) {
        Ok(lock) => lock,
        Err(LockError::Absent { path }) => {
            writeln!(out, "nothing of Edgeloop is pinned at {}", path.display())?;
            return Ok(());
        }
        Err(LockError::Held { holder, .. }) if stop => stopped(pin_root, &holder, socket)?,
        Err(LockError::Held { holder, .. }) => {
            bail!(
                "an agent serves from these maps: {holder}; stop it first, or let `cleanup --stop` ask it to leave"
            )
        }
        Err(error) => return Err(error.into()),
    };
    let removed = remove_all(&lock)?;
    // A killed agent left it. All is removed before anything is printed: the reader may be gone.
    remove_socket(socket)?;
    let mut lines = removed.iter().map(|path| writeln!(out, "removed {}", path.display()));
    unless_closed(lines.try_for_each(|printed| printed))
        .context("everything is removed, but could not be listed")
}

/// Asks the holder to leave and waits for the lock. The holder has to be an agent: it listens at the agent's
/// socket, or runs our program where nothing listens there.
fn stopped(pin_root: &Path, holder: &Holder, socket: &Path) -> anyhow::Result<Lock> {
    let Some(pid) = holder.pid else {
        bail!("{holder} holds the pin root and cannot be reached from here: stop it there")
    };
    if listener(socket) != Some(pid) && !lock::is_agent(pid) {
        bail!("{holder} holds the pin root and is no agent: end it yourself, then try again")
    }
    if let Some(process) = Process::open(pid)? {
        // Its number may have passed to another process since the lock was looked up.
        if lock::holder(pin_root).is_some_and(|now| now.pid == Some(pid)) {
            process.terminate().with_context(|| format!("could not ask {holder} to leave"))?;
        }
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match acquire_existing(pin_root) {
            Err(LockError::Held { .. }) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20))
            }
            Err(LockError::Held { holder, .. }) => {
                bail!("{holder} did not leave within {} s; nothing was removed", PATIENCE.as_secs())
            }
            other => return Ok(other?),
        }
    }
}

/// A process by descriptor, which never comes to stand for another one.
struct Process(OwnedFd);

impl Process {
    /// `None` when there is no process of this number any more.
    fn open(pid: i32) -> io::Result<Option<Self>> {
        // SAFETY: the call takes two numbers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd >= 0 {
            // SAFETY: the kernel made this descriptor for this call.
            return Ok(Some(Self(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })));
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            error => Err(error),
        }
    }

    /// Sends SIGTERM. That it has ended by itself is success.
    fn terminate(&self) -> io::Result<()> {
        let no_info: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: the descriptor is open, and no information goes with the signal.
        let result = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGTERM, no_info, 0)
        };
        match io::Error::last_os_error() {
            error if result != 0 && error.raw_os_error() != Some(libc::ESRCH) => Err(error),
            _ => Ok(()),
        }
    }
}

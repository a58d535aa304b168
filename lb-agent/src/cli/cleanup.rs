//! `lb-agent cleanup`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::config::{PIN_ROOT, socket};
use crate::datapath::cleanup::remove_all;
use crate::datapath::lock::{Holder, Lock, LockError, acquire_existing};
use crate::serve::socket::remove_socket;

use super::unless_closed;

/// How long an agent that was asked to leave may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
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
}

/// Detaches, then unpins. Connections that exist go on; new ones are no longer rewritten.
///
/// # Errors
/// When an agent runs and was not to be stopped, or something cannot be removed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { pin_root, socket: named, stop } = args;
    let mut out = std::io::stdout();
    let lock = match acquire_existing(&pin_root) {
        Ok(lock) => lock,
        Err(LockError::Absent { path }) => {
            writeln!(out, "nothing of Edgeloop is pinned at {}", path.display())?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(LockError::Held { holder, .. }) if stop => stopped(&pin_root, &holder)?,
        Err(LockError::Held { holder, .. }) => {
            bail!(
                "an agent serves from these maps: {holder}; stop it first, or let `cleanup --stop` ask it to leave"
            )
        }
        Err(error) => return Err(error.into()),
    };
    let removed = remove_all(&pin_root, &lock)?;
    // A killed agent left it. All is gone before anything is said: nobody may listen any more.
    remove_socket(&socket(named, &pin_root))?;
    let mut told = removed.iter().map(|path| writeln!(out, "removed {}", path.display()));
    unless_closed(told.try_for_each(|printed| printed))
        .context("everything is removed, but could not be listed")?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the holder to leave and waits for the lock.
fn stopped(pin_root: &Path, holder: &Holder) -> anyhow::Result<Lock> {
    let Some(pid) = holder.pid else {
        bail!("{holder} holds the pin root and cannot be reached from here: stop it there")
    };
    // SAFETY: the call takes two numbers.
    if unsafe { libc::kill(pid, libc::SIGTERM) } != 0 {
        bail!("could not ask {holder} to leave: {}", std::io::Error::last_os_error());
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

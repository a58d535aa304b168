//! Joining a cgroup and a namespace; leaving when the parent says so or is gone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};
use std::thread;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// A socket belongs to the cgroup that its creator was in, so this comes before the first one.
pub(crate) fn cgroup(path: &Path) -> Result<()> {
    fs::write(path.join("cgroup.procs"), process::id().to_string())
        .map_err(leave_if_gone)
        .with_context(|| format!("could not join the cgroup {}", path.display()))
}

/// For this thread and those it will make.
pub(crate) fn netns(path: &Path) -> Result<()> {
    let namespace = File::open(path)
        .map_err(leave_if_gone)
        .with_context(|| format!("could not open {}", path.display()))?;
    setns(namespace, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("could not join the network namespace {}", path.display()))
}

/// What our parent made for us is no more: it is about to end, by Ctrl-C, and reads no line of ours.
fn leave_if_gone(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::NotFound {
        process::exit(1);
    }
    error
}

/// Calls `then` once our standard input has ended: our parent closed it, or is no more.
pub(crate) fn at_end_of_input(then: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        wait_for_end_of_input();
        then();
    });
}

pub(crate) fn wait_for_end_of_input() {
    let mut ignored = [0; 64];
    loop {
        match io::stdin().read(&mut ignored) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::Interrupted => return,
            Ok(_) | Err(_) => {}
        }
    }
}

/// Returns only if that failed.
pub(crate) fn become_program(command: &[OsString]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no program is named")?;
    set_pdeathsig(Signal::SIGKILL).context("could not tie our life to our parent's")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("could not run {}", program.to_string_lossy()))
}

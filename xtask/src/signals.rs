//! Ctrl-C and SIGTERM go to the program that runs for us; we leave after it, so that it can clean up.

use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context, Result};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;

/// The running child; 0 when no child runs.
static CHILD: AtomicI32 = AtomicI32::new(0);
/// The signal that asked us to end; 0 when none came.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// From here on, signals are passed on. A handler is not inherited by children, as ignoring would be.
pub(crate) fn pass_on() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(to_child), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: `to_child` uses atomics, kill(2) and _exit(2) only, which a handler may.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("could not handle {signal}"))?;
    }
    Ok(())
}

/// Names the child to pass signals on to until the guard is dropped.
pub(crate) fn to(child: u32) -> Guard {
    CHILD.store(i32::try_from(child).unwrap_or(0), Ordering::SeqCst);
    Guard
}

pub(crate) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        CHILD.store(0, Ordering::SeqCst);
    }
}

/// Whether a signal asked us to end while a child ran.
pub(crate) fn asked_to_end() -> bool {
    ASKED.load(Ordering::SeqCst) != 0
}

extern "C" fn to_child(signal: libc::c_int) {
    ASKED.store(signal, Ordering::SeqCst);
    let child = CHILD.load(Ordering::SeqCst);
    if child == 0 {
        // SAFETY: ends the process without running anything of it.
        unsafe { libc::_exit(128 + signal) };
    }
    // On a terminal the child has it already, as a member of our group. Twice is no harm.
    kill(Pid::from_raw(child), Signal::try_from(signal).ok()).ok();
}

//! Ctrl-C and SIGTERM take the sites away before they end the process.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::thread;

use anyhow::{Context, Result};
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use nix::unistd::{pipe, write};

use crate::harness::claim;

/// Where the handler leaves the signal's number for the thread that acts on it.
static NOTES: OnceLock<OwnedFd> = OnceLock::new();

/// From the first call on. A handler may do next to nothing, so a thread of its own does the work.
pub(crate) fn undo_when_told_to_end() -> Result<()> {
    let (notes, writer) = pipe().context("could not make a pipe")?;
    if NOTES.set(writer).is_err() {
        return Ok(());
    }
    thread::spawn(move || end_when_told(File::from(notes)));

    let handler = SigAction::new(SigHandler::Handler(leave_note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: `leave_note` only reads an atomic and calls write(2), which a handler may.
        unsafe { sigaction(signal, &handler) }.with_context(|| format!("could not handle {signal}"))?;
    }
    Ok(())
}

extern "C" fn leave_note(signal: c_int) {
    if let Some(notes) = NOTES.get() {
        // A full pipe means that the thread already has a note to act on.
        write(notes, &signal.to_ne_bytes()[..]).ok();
    }
}

fn end_when_told(mut notes: File) {
    let mut note = [0; size_of::<c_int>()];
    if notes.read_exact(&mut note).is_err() {
        return;
    }
    let _nothing_else_is_removed_meanwhile = claim::demolish_all();
    let Ok(signal) = Signal::try_from(c_int::from_ne_bytes(note)) else { return };
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler runs for this signal any more, only the kernel's default.
    let ended = unsafe { sigaction(signal, &default) }.and_then(|_| raise(signal));
    if ended.is_err() {
        std::process::exit(1);
    }
}

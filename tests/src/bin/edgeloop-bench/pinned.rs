//! One processor for what is measured, before other work on it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A program with its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes a program that runs so.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (program, rest) = arguments.command.split_first().context("no program is named")?;
    stay_on_one_cpu()?;
    run_before_others();
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("could not run {}", program.display()))
}

/// The last one: the first is where most interrupts go.
pub(crate) fn stay_on_one_cpu() -> Result<()> {
    let cpus = std::thread::available_parallelism().context("could not count the CPUs")?;
    let mut only = CpuSet::new();
    only.set(cpus.get() - 1)?;
    // A machine that does not let us choose is measured as it is.
    sched_setaffinity(Pid::from_raw(0), &only).ok();
    Ok(())
}

/// Others that took turns with us would fill the caches with what is theirs. For the moment that we
/// run they wait, where we may ask for that.
pub(crate) fn run_before_others() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the call reads one number from a live place.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
    if result != 0 {
        eprintln!("no real-time priority here: what else runs will show in the figures");
    }
}

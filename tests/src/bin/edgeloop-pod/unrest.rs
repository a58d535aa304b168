//! A client that is interrupted in the middle of what it does, as often as can be.
//!
//! Where the kernel preempts nothing that runs in it, a program is held up only by interrupts. So threads of
//! the client sleep until the same moment, over and over: the timer that wakes them all holds up what runs.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::now;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_timerslack;
use nix::unistd::Pid;

/// Of each client.
const SLEEPERS: u32 = 16;
/// All sleep until the next multiple of it.
const BEAT: Duration = Duration::from_micros(500);

/// Leaves the first processor to the publisher, if there is another, and begins to be interrupted.
pub(crate) fn begin() -> Result<()> {
    leave_the_first().context("could not leave the first processor")?;
    for _ in 0..SLEEPERS {
        thread::spawn(sleep_on_the_beat);
    }
    Ok(())
}

fn leave_the_first() -> nix::Result<()> {
    let ours = sched_getaffinity(Pid::from_raw(0))?;
    let mut others = CpuSet::new();
    for cpu in (0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu) == Ok(true)).skip(1) {
        others.set(cpu)?;
    }
    if others == CpuSet::new() { Ok(()) } else { sched_setaffinity(Pid::from_raw(0), &others) }
}

fn sleep_on_the_beat() {
    // Without it the kernel may wake us early or late by 50 microseconds. Then so be it.
    set_timerslack(1).ok();
    loop {
        let since = now().as_nanos() % BEAT.as_nanos();
        thread::sleep(BEAT - Duration::from_nanos(u64::try_from(since).unwrap_or(0)));
    }
}

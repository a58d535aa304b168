//! Waiting until every program that runs now has ended.

use std::io;
use std::time::Duration;

/// Longer than any program runs: what is waited where the kernel offers nothing better.
const LONG: Duration = Duration::from_secs(1);

/// How a grace period is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// For an RCU grace period, by `membarrier(MEMBARRIER_CMD_GLOBAL)`: 4 to 17 ms. Where that is
    /// refused or proves nothing, one second instead.
    Rcu,
    /// Not at all: the bug that the proofs plant.
    None,
}

/// Returns when every program that was running at the call has ended.
pub fn grace_period(grace: Grace) {
    match grace {
        Grace::Rcu if is_rcu_waited_for() => {}
        Grace::Rcu => std::thread::sleep(LONG),
        Grace::None => {}
    }
}

/// With a single CPU online the kernel returns at once (`kernel/sched/membarrier.c`), although a
/// program can be preempted there. CPUs come and go while the agent runs, so they are counted for
/// each wait, and after it again: the last but one may have gone during the call.
fn is_rcu_waited_for() -> bool {
    cpus_online() > 1 && membarrier().is_ok() && cpus_online() > 1
}

fn cpus_online() -> i64 {
    // SAFETY: `sysconf` reads a number.
    unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }
}

fn membarrier() -> io::Result<()> {
    const GLOBAL: i64 = 1;
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

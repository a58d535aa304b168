//! Acting with the capabilities that the chart gives an agent.

use std::io;
use std::thread;

use anyhow::{Context, Result, bail};

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;
const NET_ADMIN: u32 = 12;
const BPF: u32 = 39;

#[repr(C)]
struct Header {
    version: u32,
    /// 0: the calling thread.
    pid: i32,
}

/// A word of 32 capabilities in each set.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Words {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Runs it in a thread of its own that holds CAP_BPF and CAP_NET_ADMIN alone: what the verifier adds to programs depends
/// on who loads them.
pub(super) fn guarded<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let limited = || {
        give_up_all_but_two().context("could not give up capabilities")?;
        work()
    };
    match thread::scope(|scope| scope.spawn(limited).join()) {
        Ok(result) => result,
        Err(_panic) => bail!("a thread with two capabilities panicked"),
    }
}

fn give_up_all_but_two() -> io::Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut words = [Words::default(); 2];
    for bit in [NET_ADMIN, BPF] {
        let word = &mut words[(bit / 32) as usize];
        word.effective |= 1 << (bit % 32);
        word.permitted |= 1 << (bit % 32);
    }
    // SAFETY: the kernel reads the header and two words, and writes at most the header's version.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

//! What this process may have of the system.

use std::io;

/// More than maps, files, an API server and all clients of the doors take up together.
const DESCRIPTORS: u64 = 4096;
/// With fewer, something will fail sooner or later.
const FEW: u64 = 256;

/// Raises the limit of descriptors, as far as that is allowed; gives what it is now. Many systems start
/// processes with 1,024, for the sake of programs that count on it: this one does not.
pub(super) fn raise_descriptors() -> u64 {
    let now = match limit() {
        Ok(limit) => raised(limit),
        Err(error) => {
            tracing::warn!(%error, "could not read the limit of descriptors");
            return 0;
        }
    };
    if now < FEW {
        tracing::warn!(
            limit = now,
            "few descriptors: let this process have {DESCRIPTORS}, as `ulimit -n` and LimitNOFILE= do"
        );
    }
    now
}

fn raised(limit: libc::rlimit) -> u64 {
    if limit.rlim_cur >= DESCRIPTORS {
        return limit.rlim_cur;
    }
    // Beyond the hard limit only with a capability.
    let hard = limit.rlim_max.max(DESCRIPTORS);
    for wanted in [
        libc::rlimit { rlim_cur: DESCRIPTORS, rlim_max: hard },
        libc::rlimit { rlim_cur: limit.rlim_max.min(DESCRIPTORS), ..limit },
    ] {
        if set(wanted).is_ok() {
            return wanted.rlim_cur;
        }
    }
    limit.rlim_cur
}

fn limit() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit`, which is ours.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result == 0 { Ok(limit) } else { Err(io::Error::last_os_error()) }
}

fn set(limit: libc::rlimit) -> io::Result<()> {
    // SAFETY: the kernel reads one `rlimit`, which is ours.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

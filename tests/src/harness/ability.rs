//! What not every kernel has that Edgeloop runs on, found by trying, and saying that a test is without it.

use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use lb_agent::datapath::probe::can_be_first;
use lb_agent::datapath::sockets::Walker;
use nix::errno::Errno;
use nix::libc;

use crate::harness::call::Call;
use crate::harness::programs;
use crate::harness::site::Site;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Programs choose the error of a call that they refuse: `bpf_set_retval`, 5.18.
    Errno,
    /// Multipath TCP, which can be left out of a kernel.
    Mptcp,
    /// Programs are asked about ping sockets, 6.1.
    PingHook,
    /// A program can be attached before those that are there: `BPF_F_BEFORE` at cgroups, 6.18.
    First,
    /// Virtual servers in the kernel, which kube-proxy has in one of its modes; their module can be left unloaded.
    Ipvs,
    /// A program can take the place of one that runs (`BPF_PROG_TYPE_EXT`), which some machines forbid.
    Extensions,
    /// Programs look on as the kernel walks over what it has: iterators are of the kind `BPF_PROG_TYPE_TRACING`, which some
    /// machines forbid.
    Iterators,
    /// The verifier puts a barrier where it would follow a processor's speculation for too long, so that the programs load without
    /// CAP_PERFMON: 6.17. By the version: a program that is refused is what the tests are to find.
    Barriers,
}

impl Ability {
    /// # Errors
    /// When it cannot be tried.
    pub fn is_here(self) -> Result<bool> {
        static FOUND: [OnceLock<bool>; 8] = [const { OnceLock::new() }; 8];
        let place = &FOUND[self as usize];
        if let Some(found) = place.get() {
            return Ok(*found);
        }
        let found = match self {
            Self::Errno => programs::may_set_errno()?,
            Self::Mptcp => makes_mptcp()?,
            Self::PingHook => asks_about_pings()?,
            Self::First => can_be_first()?,
            Self::Extensions => programs::may_extend()?,
            Self::Ipvs => Path::new("/proc/net/ip_vs").exists(),
            Self::Iterators => may_iterate(),
            Self::Barriers => release()? >= (6, 17),
        };
        Ok(*place.get_or_init(|| found))
    }

    /// Whether the calling test has to leave off, as this kernel lacks it; `cargo xtask` then counts it as ignored.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub fn is_missing(self) -> Result<bool> {
        let missing = !self.is_here()?;
        if missing {
            leave_off(&format!("this kernel has no {}", self.name()))?;
        }
        Ok(missing)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Errno => "bpf_set_retval",
            Self::Mptcp => "MPTCP",
            Self::PingHook => "hook for ping sockets",
            Self::First => "BPF_F_BEFORE for programs at cgroups",
            Self::Ipvs => "IPVS",
            Self::Extensions => "programs that take the place of others (BPF_PROG_TYPE_EXT)",
            Self::Iterators => "iterators (BPF_PROG_TYPE_TRACING)",
            Self::Barriers => {
                "barriers against speculation put by the verifier, and refuses the programs without CAP_PERFMON"
            }
        }
    }
}

/// Says why the calling test leaves off; `cargo xtask` then counts it as ignored.
///
/// # Errors
/// When it cannot be said.
pub fn leave_off(why: &str) -> Result<()> {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    // Not by `println!`, which the test harness keeps to itself.
    Ok(writeln!(std::io::stdout(), "test {name} ... ignored: {why}")?)
}

impl Call {
    /// Those of `calls` that this kernel can make.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub fn of_this_kernel(calls: &[Self]) -> Result<Vec<Self>> {
        let has_mptcp = Ability::Mptcp.is_here()?;
        Ok(calls.iter().copied().filter(|call| *call != Self::Mptcp || has_mptcp).collect())
    }
}

/// Such as (6, 18).
fn release() -> Result<(u32, u32)> {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = text.split(['.', '-']).map_while(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).with_context(|| format!("{text:?} is no version"))
}

fn makes_mptcp() -> Result<bool> {
    // SAFETY: plain numbers; what comes back is a descriptor or an error.
    let made = Errno::result(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP) });
    match made {
        Ok(socket) => {
            nix::unistd::close(socket)?;
            Ok(true)
        }
        // Not built in, or switched off.
        Err(Errno::EPROTONOSUPPORT | Errno::ENOPROTOOPT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A program that refuses everything is attached, and such a socket connects.
fn asks_about_pings() -> Result<bool> {
    const CONNECT4: u32 = 10;
    let site = Site::new()?;
    let node = site.node("n1")?;
    let pod = node.pod("pod", "10.244.1.2")?;
    let _link = programs::refuse(node.cgroup(), CONNECT4)?;
    Ok(pod.call(Call::Ping, "10.244.1.2:1")?.failed_with("EPERM"))
}

/// Not where the kernel forbids the agent's own iterator, although this is root.
fn may_iterate() -> bool {
    let is_forbidden = |error: &(dyn std::error::Error + 'static)| {
        let cause = error.downcast_ref::<std::io::Error>();
        cause.and_then(std::io::Error::raw_os_error) == Some(libc::EPERM)
    };
    Walker::load().err().is_none_or(|error| !std::error::Error::source(&error).is_some_and(is_forbidden))
}

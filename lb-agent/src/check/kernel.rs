//! The kernel: its version, and what it takes.

use std::io;
use std::path::Path;

use lb_common::hook::Hook;

use crate::datapath::probe::{self, Helper};
use crate::shown::{chain, line};

use super::finding::Finding;

const VERSION: &str = "/proc/sys/kernel/osrelease";
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// The oldest that the programs are designed for, and the oldest with links of cgroups.
const DESIGNED: Version = Version(5, 10);
const LINKS: Version = Version(5, 7);
/// From here on maps are charged to the memory cgroup, and not against `RLIMIT_MEMLOCK`.
pub(super) const CHARGES: Version = Version(5, 11);
/// From here on the verifier puts a barrier where it would go on by speculation for too long, and the programs load without CAP_PERFMON
/// ("bpf: Fall back to nospec for Spectre v1"). 6.18 was tried.
pub(super) const BARRIERS: Version = Version(6, 17);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub u32, pub u32);

pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![version(std::fs::read_to_string(VERSION))];
    findings.extend(Hook::ALL.into_iter().map(|hook| of_hook(hook, probe::hook(hook))));
    findings.extend(Helper::ALL.into_iter().map(|helper| of_helper(helper, probe::helper(helper))));
    findings.push(programs());
    findings.push(btf(Path::new(BTF).exists()));
    findings
}

/// The version of this one, where it can be read.
pub(super) fn this() -> Option<Version> {
    parse(&std::fs::read_to_string(VERSION).ok()?)
}

fn version(read: io::Result<String>) -> Finding {
    let what = "kernel";
    let text = match read {
        Ok(text) => text.trim().to_owned(),
        Err(error) => {
            let found = format!("{VERSION} cannot be read: {error}");
            return Finding::degraded(what, found, "its version is unknown", "mount /proc");
        }
    };
    match parse(&text) {
        Some(version) if version >= DESIGNED => Finding::ok(what, format!("Linux {text}")),
        Some(version) if version >= LINKS => Finding::degraded(
            what,
            format!("Linux {text}"),
            "it is older than what Edgeloop is designed for: nothing was tried there",
            "use Linux 5.10 or newer",
        ),
        Some(_) => Finding::missing(
            what,
            format!("Linux {text}"),
            "it has no links of cgroups (Linux 5.7): programs cannot stay attached",
            "use Linux 5.10 or newer",
        ),
        None => {
            Finding::degraded(what, format!("Linux {text}"), "its version is unknown", "see the other lines")
        }
    }
}

/// Of `6.1.0-50-cloud-amd64`, 6 and 1.
fn parse(text: &str) -> Option<Version> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some(Version(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn of_hook(hook: Hook, tried: io::Result<()>) -> Finding {
    let what = format!("hook {}", hook.name());
    match tried {
        Ok(()) => Finding::ok(what, "a program loads"),
        Err(error) => Finding::missing(
            &what,
            refused(&error),
            "connections cannot be rewritten there, so that the agent does not start",
            todo(&error),
        ),
    }
}

fn of_helper(helper: Helper, tried: io::Result<()>) -> Finding {
    let what = format!("helper {}", helper.name());
    let follows = match helper {
        Helper::SetRetval => {
            "a connection that is refused fails by way of port 0 of the loopback address: at once, but a trace shows \
             that address"
        }
        Helper::SocketCookie => "sockets cannot be told apart: session affinity will need it",
    };
    match tried {
        Ok(()) => Finding::ok(what, "a program that calls it loads"),
        Err(error) => Finding::degraded(&what, refused(&error), follows, todo(&error)),
    }
}

fn programs() -> Finding {
    let what = "the agent's programs";
    match probe::programs() {
        Ok(true) => Finding::ok(what, "load; what is refused gets ECONNREFUSED"),
        Ok(false) => Finding::ok(what, "load; what is refused goes to port 0 of the loopback address"),
        Err(error) => Finding::missing(
            what,
            line(&chain(&error)),
            "the agent does not start",
            "see the lines of hooks and capabilities",
        ),
    }
}

fn btf(is_there: bool) -> Finding {
    let what = "BTF of the kernel";
    if is_there {
        Finding::ok(what, BTF)
    } else {
        // Nothing of ours is relocated against it.
        Finding::ok(what, "absent, and not needed")
    }
}

fn refused(error: &io::Error) -> String {
    format!("the kernel refuses it: {error}")
}

fn todo(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "run as root, or with CAP_BPF and CAP_NET_ADMIN; a seccomp profile that forbids bpf(2) looks the same"
        }
        Some(libc::ENOSYS) => "use a kernel with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF",
        Some(libc::ENOMEM) => "give the agent's memory cgroup more memory",
        _ => "use a newer kernel, with CONFIG_CGROUP_BPF",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn a_version_says_what_follows() {
        for (text, state) in [
            ("6.18.44\n", State::Ok),
            ("5.10.0-32-cloud-amd64\n", State::Ok),
            ("5.9.16", State::Degraded),
            ("5.4.0-150-generic", State::Missing),
            ("4.19", State::Missing),
            ("odd", State::Degraded),
        ] {
            assert_eq!(version(Ok(text.to_owned())).state, state, "{text}");
        }
    }

    #[test]
    fn a_hook_that_the_kernel_refuses_keeps_the_agent_from_working() {
        let refused = || Err(io::Error::from_raw_os_error(libc::EINVAL));
        for hook in Hook::ALL {
            assert_eq!(of_hook(hook, refused()).state, State::Missing, "{hook:?}");
            assert_eq!(of_hook(hook, Ok(())).state, State::Ok, "{hook:?}");
        }
    }

    #[test]
    fn without_the_right_the_line_names_it() {
        let found = of_helper(Helper::SetRetval, Err(io::Error::from_raw_os_error(libc::EPERM)));
        assert!(found.todo.unwrap().contains("CAP_BPF"));
    }
}

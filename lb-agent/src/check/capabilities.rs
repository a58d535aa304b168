//! The capabilities of this process, one by one.

use super::finding::Finding;
use super::kernel::{BARRIERS, CHARGES, Version};
use crate::datapath::rights::{BPF, Held, NET_ADMIN, PERFMON, SYS_ADMIN, SYS_RESOURCE};

struct Capability {
    name: &'static str,
    bit: u32,
    need: Need,
}

enum Need {
    /// Without it, and without CAP_SYS_ADMIN, nothing works.
    Must { why: &'static str },
    /// It raises `RLIMIT_MEMLOCK`.
    ForLockedMemory,
    /// Some kernels refuse the programs without it. What is lost without it on others.
    ForPrograms { lost: &'static str },
    /// What is lost without it.
    May { lost: &'static str },
}

const CAPABILITIES: [Capability; 5] = [
    Capability { name: "CAP_BPF", bit: BPF, need: Need::Must { why: "maps and programs cannot be made" } },
    Capability {
        name: "CAP_NET_ADMIN",
        bit: NET_ADMIN,
        need: Need::Must { why: "programs cannot be attached" },
    },
    Capability { name: "CAP_SYS_RESOURCE", bit: SYS_RESOURCE, need: Need::ForLockedMemory },
    Capability {
        name: "CAP_PERFMON",
        bit: PERFMON,
        need: Need::ForPrograms {
            lost: "the kernel adds guards to the programs, which then take about 0.2 µs a connection, and has no iterator \
                   over UDP sockets",
        },
    },
    Capability {
        name: "CAP_SYS_ADMIN",
        bit: SYS_ADMIN,
        need: Need::May {
            lost: "programs of others at our hooks have no names here, nothing can be mounted, and UDP sockets of pods \
                   are not ended",
        },
    },
];

pub(super) fn findings(kernel: Option<Version>) -> Vec<Finding> {
    match Held::by_this_process() {
        Some(held) => of(held, kernel),
        None => vec![Finding::degraded(
            "capabilities",
            "/proc/self/status does not show them",
            "they are unknown",
            "mount /proc",
        )],
    }
}

fn of(held: Held, kernel: Option<Version>) -> Vec<Finding> {
    let is_before = |version: Version| kernel.is_some_and(|kernel| kernel < version);
    CAPABILITIES
        .iter()
        .map(|Capability { name, bit, need }| match need {
            _ if held.has(*bit) => Finding::ok(*name, "held"),
            _ if held.has(SYS_ADMIN) && ["CAP_BPF", "CAP_PERFMON"].contains(name) => {
                Finding::ok(*name, "not held; CAP_SYS_ADMIN stands in for it")
            }
            Need::ForLockedMemory if is_before(CHARGES) => Finding::degraded(
                name,
                "not held",
                "maps count against RLIMIT_MEMLOCK, which cannot be raised: those of many Services cannot be made",
                "grant it, raise the limit (LimitMEMLOCK=), or use Linux 5.11 or newer",
            ),
            Need::ForLockedMemory => Finding::ok(*name, "not held, and not needed by this kernel"),
            Need::Must { why } => Finding::missing(name, "not held", why, "run as root, or grant it"),
            Need::ForPrograms { .. } if is_before(BARRIERS) => Finding::missing(
                name,
                "not held",
                "the verifier refuses the programs: without it, kernels before 6.17 also follow what a processor does by speculation",
                "run as root, or grant it (securityContext.perfmon in the chart)",
            ),
            // What is lost without it is no fault of the machine.
            Need::May { lost } | Need::ForPrograms { lost } => Finding::ok(*name, format!("not held, and not needed: {lost}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn what_is_needed_and_not_held_is_missing() {
        let states = |held: u64| {
            of(Held(held), Some(Version(6, 18))).into_iter().map(|found| found.state).collect::<Vec<_>>()
        };
        use State::{Missing, Ok};
        for (shows, held, expected) in [
            ("nothing", 0, [Missing, Missing, Ok, Ok, Ok]),
            ("CAP_BPF and CAP_NET_ADMIN", 1 << 39 | 1 << 12, [Ok, Ok, Ok, Ok, Ok]),
            ("an older kernel's", 1 << 21 | 1 << 12, [Ok, Ok, Ok, Ok, Ok]),
            ("CAP_BPF alone", 1 << 39, [Ok, Missing, Ok, Ok, Ok]),
        ] {
            assert_eq!(states(held), expected, "{shows}");
        }
    }

    #[test]
    fn a_kernel_that_counts_locked_memory_wants_to_have_that_limit_raised() {
        let state = |held: u64| of(Held(held), Some(Version(5, 10)))[2].state;
        assert_eq!((state(1 << 39 | 1 << 12), state(1 << 24)), (State::Degraded, State::Ok));
    }

    #[test]
    fn kernels_before_6_17_want_the_capability_that_the_verifier_asks_for() {
        use State::{Missing, Ok};
        for (kernel, held, expected) in [
            (Some(Version(5, 10)), 1 << 39, Missing),
            (Some(Version(6, 16)), 1 << 39, Missing),
            (Some(Version(6, 17)), 1 << 39, Ok),
            (None, 1 << 39, Ok),
            (Some(Version(6, 1)), 1 << 38, Ok),
            (Some(Version(6, 1)), 1 << 21, Ok),
        ] {
            assert_eq!(of(Held(held), kernel)[3].state, expected, "{kernel:?} {held:x}");
        }
    }
}

//! The places in the kernel where a program of ours can run.

/// A hook of the cgroup, in the order of attaching: those that read a translation first, those
/// that make one last. They are detached in the reverse order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Hook {
    Recvmsg6 = 0,
    Recvmsg4 = 1,
    Getpeername6 = 2,
    Getpeername4 = 3,
    Sendmsg6 = 4,
    Sendmsg4 = 5,
    Connect6 = 6,
    Connect4 = 7,
}

impl Hook {
    pub const ALL: [Self; 8] = [
        Self::Recvmsg6,
        Self::Recvmsg4,
        Self::Getpeername6,
        Self::Getpeername4,
        Self::Sendmsg6,
        Self::Sendmsg4,
        Self::Connect6,
        Self::Connect4,
    ];

    /// Its name in status, of its link's pin, and of the section of its programs (`cgroup/NAME`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recvmsg6 => "recvmsg6",
            Self::Recvmsg4 => "recvmsg4",
            Self::Getpeername6 => "getpeername6",
            Self::Getpeername4 => "getpeername4",
            Self::Sendmsg6 => "sendmsg6",
            Self::Sendmsg4 => "sendmsg4",
            Self::Connect6 => "connect6",
            Self::Connect4 => "connect4",
        }
    }

    /// As in `enum bpf_attach_type` of the kernel's `linux/bpf.h`.
    #[must_use]
    pub const fn attach_type(self) -> u32 {
        match self {
            Self::Connect4 => 10,
            Self::Connect6 => 11,
            Self::Sendmsg4 => 14,
            Self::Sendmsg6 => 15,
            Self::Recvmsg4 => 19,
            Self::Recvmsg6 => 20,
            Self::Getpeername4 => 29,
            Self::Getpeername6 => 30,
        }
    }

    /// The names of its programs in the kernel object, the best first: where the kernel lacks
    /// `bpf_set_retval` (before 5.18) the second one refuses in another way.
    #[must_use]
    pub const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Connect4 => &["lb_connect4", "lb_connect4_old"],
            Self::Connect6 => &["lb_connect6", "lb_connect6_old"],
            Self::Sendmsg4 => &["lb_sendmsg4", "lb_sendmsg4_old"],
            Self::Recvmsg4 => &["lb_recvmsg4"],
            Self::Recvmsg6 => &["lb_recvmsg6"],
            Self::Getpeername4 => &["lb_getpeername4"],
            Self::Getpeername6 => &["lb_getpeername6"],
            Self::Sendmsg6 => &["lb_sendmsg6", "lb_sendmsg6_old"],
        }
    }

    /// What is lost without a program there, in one sentence without a full stop.
    #[must_use]
    pub const fn without(self) -> &'static str {
        match self {
            Self::Connect4 => "IPv4 connections to Services are not forwarded",
            Self::Connect6 => "connections of IPv6 sockets to Services are not forwarded",
            Self::Sendmsg4 | Self::Sendmsg6 => {
                "datagrams of unconnected UDP sockets to Services are not forwarded"
            }
            Self::Recvmsg4 | Self::Recvmsg6 => {
                "UDP clients are shown the backend's address and not the Service's"
            }
            Self::Getpeername4 | Self::Getpeername6 => {
                "getpeername shows the backend's address and not the Service's"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_that_read_a_translation_come_before_those_that_make_one() {
        let names: [&str; 8] = Hook::ALL.map(Hook::name);
        assert_eq!(
            names.map(|name| name.trim_end_matches(['4', '6'])),
            ["recvmsg", "recvmsg", "getpeername", "getpeername", "sendmsg", "sendmsg", "connect", "connect"]
        );
        for (at, hook) in Hook::ALL.iter().enumerate() {
            assert_eq!(*hook as usize, at);
        }
    }

    #[test]
    fn no_two_hooks_share_an_attach_type_or_a_program() {
        for (at, hook) in Hook::ALL.iter().enumerate() {
            for other in &Hook::ALL[..at] {
                assert_ne!(hook.attach_type(), other.attach_type());
                assert!(hook.programs().iter().all(|program| !other.programs().contains(program)));
            }
        }
    }
}

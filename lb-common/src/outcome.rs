//! What a program did with a call, and the verdict that follows.

/// Sockets of the agent itself carry this mark (`SO_MARK`), and the programs let them be: the
/// way to the API server must not lead through what the API server says. Packet filters see it
/// too, so it keeps clear of kube-proxy's bits (0x4000, 0x8000) and Cilium's (0x0f00).
pub const OWN_MARK: u32 = 0x0ed6_2000;

/// How many counters the `outcomes` map holds: room for the programs to come.
pub const COUNTERS: usize = 32;

/// Every way out of a program, and the counter it adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Outcome {
    /// The address was rewritten to a backend.
    Translated = 0,
    /// The address is none that we serve.
    NotAService = 1,
    /// Neither TCP nor a protocol that reads as it (MPTCP does).
    NotOurProtocol = 2,
    /// The Service has no backend that this node may use.
    NoBackends = 3,
    /// What the maps held did not prove itself, however often it was read.
    Unproven = 4,
    /// The socket is the agent's own.
    Own = 5,
}

/// What the kernel is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call goes on, with the address as it now is.
    Allow,
    /// The call fails with ECONNREFUSED.
    Refuse,
}

/// The counter of second looks: a lookup that met a write in progress and was repeated.
pub const LOOKED_AGAIN: u32 = 16;

/// The counter of regions that were given to another before their reader was done. It stays 0 as long
/// as grace periods are waited for.
pub const REGION_MOVED: u32 = 17;

impl Outcome {
    pub const ALL: [Self; 6] = [
        Self::Translated,
        Self::NotAService,
        Self::NotOurProtocol,
        Self::NoBackends,
        Self::Unproven,
        Self::Own,
    ];

    /// A service that cannot be served is refused: letting it pass would hand it to whoever
    /// comes next, which may leave the pool.
    #[must_use]
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Translated | Self::NotAService | Self::NotOurProtocol | Self::Own => Verdict::Allow,
            Self::NoBackends | Self::Unproven => Verdict::Refuse,
        }
    }

    /// Its name in status output and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Translated => "translated",
            Self::NotAService => "not_a_service",
            Self::NotOurProtocol => "not_our_protocol",
            Self::NoBackends => "no_backends",
            Self::Unproven => "unproven",
            Self::Own => "own",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_let_be_and_what_cannot_be_served_is_refused() {
        for (outcome, verdict) in [
            (Outcome::Translated, Verdict::Allow),
            (Outcome::NotAService, Verdict::Allow),
            (Outcome::NotOurProtocol, Verdict::Allow),
            (Outcome::NoBackends, Verdict::Refuse),
            (Outcome::Unproven, Verdict::Refuse),
            (Outcome::Own, Verdict::Allow),
        ] {
            assert_eq!(outcome.verdict(), verdict, "{}", outcome.label());
        }
    }

    #[test]
    fn counters_do_not_share_a_slot() {
        for (at, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, at);
            assert!((*outcome as u32) < LOOKED_AGAIN);
        }
        assert_ne!(LOOKED_AGAIN, REGION_MOVED);
    }
}

//! What a program did with a call, what else happened, and where both are counted.

use crate::hook::Hook;
use crate::layout::{HookOutcomes, Outcomes};

/// Sockets of the agent itself carry this mark (`SO_MARK`), by which the programs know those that
/// are worth a look into [`AGENT_SOCKETS`](crate::layout::AGENT_SOCKETS). Packet filters see it
/// too, so it keeps clear of kube-proxy's bits (0x4000, 0x8000) and Cilium's (0x0f00).
pub const OWN_MARK: u32 = 0x0ed6_2000;

/// How a run of a program ended: exactly one a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Outcome {
    /// The address was rewritten to a backend.
    Forwarded = 0,
    /// The address is not one that we serve.
    NotAService = 1,
    /// Neither UDP nor TCP, nor a protocol that reads as one of them (MPTCP does).
    NotOurProtocol = 2,
    /// The Service has no backend that this node may use.
    NoBackends = 3,
    /// What the maps held did not prove itself, however often it was read.
    Unproven = 4,
    /// The socket is the agent's own.
    AgentSocket = 5,
    /// The other end was shown as the Service that was dialled.
    ShownAsDialled = 6,
    /// The other end was shown as it is: no translation led there.
    ShownAsItIs = 7,
    /// The address is one that we serve, and the caller is in a pod that is left out.
    Skipped = 8,
    /// The address is one that we serve, at other ports than this one, and there is no kube-proxy to ask.
    UnknownPort = 9,
    /// The address is one that we serve, and no live source has been in sync for longer than `--max-stale`.
    Stale = 10,
}

/// What else happened during a run: any number a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Event {
    /// A lookup met a write in progress and was repeated.
    LookupRetry = 0,
    /// A region was given to another Service before its reader was done. It stays 0 as long as
    /// grace periods are waited for.
    StaleRegionRead = 1,
    /// A UDP socket dialled so many Services that the oldest one is not remembered any more: late replies of its
    /// backends are shown as they are.
    ForgottenTranslation = 2,
    /// The kernel had no memory to remember what a UDP socket dialled: replies are shown as they are.
    UnstoredTranslation = 3,
    /// There was no room, or the kernel had no memory, to remember a client of a Service with session affinity: it is
    /// given the same backend again only while its Service's set stays as large as it is.
    UnstoredAffinity = 4,
    /// There was no room, or the kernel had no memory, to count a connection for its service port: it is counted in sum, or
    /// not at all.
    UncountedConnection = 5,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    Run(Hook, Outcome),
    Event(Event),
}

/// What the program returns to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call goes on, with the address as it now is.
    Allow,
    /// The call fails with ECONNREFUSED.
    Refuse,
}

impl Outcome {
    pub const ALL: [Self; 11] = [
        Self::Forwarded,
        Self::NotAService,
        Self::NotOurProtocol,
        Self::NoBackends,
        Self::Unproven,
        Self::AgentSocket,
        Self::ShownAsDialled,
        Self::ShownAsItIs,
        Self::Skipped,
        Self::UnknownPort,
        Self::Stale,
    ];

    /// A Service that cannot be served is refused: a call that passes goes to what comes next,
    /// which may leave the pool.
    #[must_use]
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Forwarded
            | Self::NotAService
            | Self::NotOurProtocol
            | Self::AgentSocket
            | Self::ShownAsDialled
            | Self::ShownAsItIs
            | Self::Skipped
            | Self::Stale => Verdict::Allow,
            Self::NoBackends | Self::Unproven | Self::UnknownPort => Verdict::Refuse,
        }
    }

    /// Its name in status output and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::NotAService => "not_a_service",
            Self::NotOurProtocol => "not_our_protocol",
            Self::NoBackends => "no_backends",
            Self::Unproven => "unproven",
            Self::AgentSocket => "agent_socket",
            Self::ShownAsDialled => "shown_as_dialled",
            Self::ShownAsItIs => "shown_as_it_is",
            Self::Skipped => "skipped",
            Self::UnknownPort => "unknown_port",
            Self::Stale => "stale",
        }
    }
}

impl Event {
    pub const ALL: [Self; 6] = [
        Self::LookupRetry,
        Self::StaleRegionRead,
        Self::ForgottenTranslation,
        Self::UnstoredTranslation,
        Self::UnstoredAffinity,
        Self::UncountedConnection,
    ];

    /// Its name in status output, as a metric, and in the map, where it counts many.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::LookupRetry => "lookup_retries",
            Self::StaleRegionRead => "stale_region_reads",
            Self::ForgottenTranslation => "forgotten_translations",
            Self::UnstoredTranslation => "unstored_translations",
            Self::UnstoredAffinity => "unstored_affinities",
            Self::UncountedConnection => "uncounted_connections",
        }
    }
}

impl Hook {
    /// The index in [`Outcomes`] of the word of its first outcome; the others follow in order.
    #[must_use]
    #[inline(always)]
    pub const fn first_word(self) -> usize {
        self as usize * (size_of::<HookOutcomes>() / 8)
    }
}

impl Counter {
    /// The index of its word in [`Outcomes`].
    #[must_use]
    #[inline(always)]
    pub const fn word(self) -> usize {
        match self {
            Self::Run(hook, outcome) => hook.first_word() + outcome as usize,
            Self::Event(event) => Hook::ALL.len() * (size_of::<HookOutcomes>() / 8) + event as usize,
        }
    }

    /// How often, by the copy of one CPU.
    #[must_use]
    pub fn read(self, outcomes: &Outcomes) -> u64 {
        let words: &[u64; size_of::<Outcomes>() / 8] = bytemuck::cast_ref(outcomes);
        words[self.word()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_left_alone_and_what_cannot_be_served_is_refused() {
        for (outcome, verdict) in [
            (Outcome::Forwarded, Verdict::Allow),
            (Outcome::NotAService, Verdict::Allow),
            (Outcome::NotOurProtocol, Verdict::Allow),
            (Outcome::NoBackends, Verdict::Refuse),
            (Outcome::Unproven, Verdict::Refuse),
            (Outcome::AgentSocket, Verdict::Allow),
            (Outcome::ShownAsDialled, Verdict::Allow),
            (Outcome::ShownAsItIs, Verdict::Allow),
            (Outcome::Skipped, Verdict::Allow),
            (Outcome::UnknownPort, Verdict::Refuse),
            (Outcome::Stale, Verdict::Allow),
        ] {
            assert_eq!(outcome.verdict(), verdict, "{}", outcome.label());
        }
    }

    #[test]
    fn each_counter_is_the_field_of_its_name() {
        let mut outcomes = Outcomes::default();
        outcomes.connect4.forwarded = 1;
        outcomes.connect6.agent_socket = 2;
        outcomes.recvmsg6.not_a_service = 3;
        outcomes.sendmsg4.no_backends = 4;
        outcomes.events.lookup_retries = 5;
        outcomes.events.stale_region_reads = 6;
        outcomes.getpeername4.shown_as_dialled = 7;
        outcomes.recvmsg4.shown_as_it_is = 8;
        outcomes.connect6.skipped = 11;
        outcomes.events.forgotten_translations = 9;
        outcomes.events.unstored_translations = 10;
        outcomes.sendmsg6.unknown_port = 12;
        outcomes.connect4.stale = 13;
        outcomes.events.unstored_affinities = 11;
        outcomes.events.uncounted_connections = 14;
        for (counter, times) in [
            (Counter::Run(Hook::Connect4, Outcome::Forwarded), 1),
            (Counter::Run(Hook::Connect6, Outcome::AgentSocket), 2),
            (Counter::Run(Hook::Recvmsg6, Outcome::NotAService), 3),
            (Counter::Run(Hook::Sendmsg4, Outcome::NoBackends), 4),
            (Counter::Event(Event::LookupRetry), 5),
            (Counter::Event(Event::StaleRegionRead), 6),
            (Counter::Run(Hook::Getpeername4, Outcome::ShownAsDialled), 7),
            (Counter::Run(Hook::Recvmsg4, Outcome::ShownAsItIs), 8),
            (Counter::Run(Hook::Connect6, Outcome::Skipped), 11),
            (Counter::Event(Event::ForgottenTranslation), 9),
            (Counter::Event(Event::UnstoredTranslation), 10),
            (Counter::Run(Hook::Sendmsg6, Outcome::UnknownPort), 12),
            (Counter::Run(Hook::Connect4, Outcome::Stale), 13),
            (Counter::Event(Event::UnstoredAffinity), 11),
            (Counter::Event(Event::UncountedConnection), 14),
            (Counter::Run(Hook::Connect4, Outcome::NotOurProtocol), 0),
            (Counter::Run(Hook::Connect4, Outcome::Unproven), 0),
        ] {
            assert_eq!(counter.read(&outcomes), times, "{counter:?}");
        }
    }
}

//! The one form in which anything that needs attention is shown. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shown::line;

/// Something about one object or file that is not as an operator would expect it.
///
/// In order: the severe first, then by what they are about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// An object, as in `Service default/web`, a file, or a part of the agent.
    pub about: String,
    pub reason: Reason,
    /// One sentence without a full stop.
    pub message: String,
}

impl Diagnostic {
    /// Its severity follows from `reason`. Texts of others in it are made fit to be shown.
    #[must_use]
    pub fn new(about: impl Into<String>, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            severity: reason.severity(),
            about: line(&about.into()),
            reason,
            message: line(&message.into()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something is not served as its owner asks.
    Error,
    /// Served, and not in every way as one would expect.
    Warning,
    /// Good to know, and as someone wants it.
    Info,
}

impl Severity {
    /// Its name in status.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Why there is a diagnostic: what metrics count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The topology annotation is not understood.
    InvalidTopology,
    /// Annotations of several projects say a topology, and not the same.
    TwoTopologies,
    /// The Service has a topology and does not count, so that the topology has no effect.
    CannotBeFiltered,
    /// Another Service owns the address.
    Conflict,
    /// The topology reads node labels that were never known.
    WaitsForNode,
    /// The Service, or something that its decision reads, was never read since the start.
    Unread,
    /// The Service has endpoints in a form that is not read.
    EndpointsNotRead,
    /// No room in a map.
    NoRoom,
    /// The Service has a topology, and addresses that lead around it.
    ReachableAround,
    /// The Service has external IPs, and those are switched off.
    ExternalIpsOff,
    /// A DNS Service whose strict topology leaves this node without an endpoint.
    DnsOutOfReach,
    /// Left alone, as the operator or the owner wishes.
    LeftAlone,
    /// The agent is not in the host's network.
    HostNetwork,
    /// The kernel refused a write.
    WriteFailed,
    /// The kernel refused maps or programs.
    Kernel,
    /// Programs of others decide first.
    NotFirst,
    /// No live source has been in sync for longer than `--max-stale`.
    Stale,
    /// A file or an object cannot be used, or not as a whole; what it defined before stays.
    Unusable,
    /// A file was never usable since the start: what it defines is unknown.
    Unknown,
    /// A part of an object that is otherwise used.
    LeftOut,
    /// An object that several places define.
    Duplicate,
    /// A file with objects of kinds that have no say here.
    OtherKind,
    /// The connection to the API server.
    Connection,
    /// A saved state decides, or none can be saved.
    SavedState,
    /// The self-test fails.
    SelfTest,
}

impl Reason {
    pub const ALL: [Self; 25] = [
        Self::InvalidTopology,
        Self::TwoTopologies,
        Self::CannotBeFiltered,
        Self::Conflict,
        Self::WaitsForNode,
        Self::Unread,
        Self::EndpointsNotRead,
        Self::NoRoom,
        Self::ReachableAround,
        Self::ExternalIpsOff,
        Self::DnsOutOfReach,
        Self::LeftAlone,
        Self::HostNetwork,
        Self::WriteFailed,
        Self::Kernel,
        Self::NotFirst,
        Self::Stale,
        Self::Unusable,
        Self::Unknown,
        Self::LeftOut,
        Self::Duplicate,
        Self::OtherKind,
        Self::Connection,
        Self::SavedState,
        Self::SelfTest,
    ];

    /// Its name in status and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InvalidTopology => "invalid-topology",
            Self::TwoTopologies => "two-topologies",
            Self::CannotBeFiltered => "cannot-be-filtered",
            Self::Conflict => "conflict",
            Self::WaitsForNode => "waits-for-node",
            Self::Unread => "unread",
            Self::EndpointsNotRead => "endpoints-not-read",
            Self::NoRoom => "no-room",
            Self::ReachableAround => "reachable-around",
            Self::ExternalIpsOff => "external-ips-off",
            Self::DnsOutOfReach => "dns-out-of-reach",
            Self::LeftAlone => "left-alone",
            Self::HostNetwork => "host-network",
            Self::WriteFailed => "write-failed",
            Self::Kernel => "kernel",
            Self::NotFirst => "not-first",
            Self::Stale => "stale",
            Self::Unusable => "unusable",
            Self::Unknown => "unknown",
            Self::LeftOut => "left-out",
            Self::Duplicate => "duplicate",
            Self::OtherKind => "other-kind",
            Self::Connection => "connection",
            Self::SavedState => "saved-state",
            Self::SelfTest => "self-test",
        }
    }

    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::EndpointsNotRead
            | Self::NoRoom
            | Self::WriteFailed
            | Self::Kernel
            | Self::SelfTest
            | Self::Stale
            | Self::Unusable
            | Self::Unknown => Severity::Error,
            Self::InvalidTopology
            | Self::TwoTopologies
            | Self::CannotBeFiltered
            | Self::Conflict
            | Self::WaitsForNode
            | Self::Unread
            | Self::ReachableAround
            | Self::ExternalIpsOff
            | Self::DnsOutOfReach
            | Self::HostNetwork
            | Self::NotFirst
            | Self::LeftOut
            | Self::Duplicate
            | Self::Connection
            | Self::SavedState => Severity::Warning,
            Self::LeftAlone | Self::OtherKind => Severity::Info,
        }
    }
}

/// How many diagnostics there are of each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u32; Reason::ALL.len()]);

impl Counts {
    #[must_use]
    pub const fn of(&self, reason: Reason) -> u32 {
        self.0[reason as usize]
    }

    pub(super) fn add<'a>(&mut self, diagnostics: impl IntoIterator<Item = &'a Diagnostic>) {
        for diagnostic in diagnostics {
            self.0[diagnostic.reason as usize] += 1;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count += other);
    }

    /// Takes back what [`add`](Self::add) counted.
    pub(super) fn subtract<'a>(&mut self, diagnostics: impl IntoIterator<Item = &'a Diagnostic>) {
        for diagnostic in diagnostics {
            self.0[diagnostic.reason as usize] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name_in_json_and_metrics_and_one_place_among_the_counts() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.label());
            assert_eq!(reason as usize, place, "{reason:?}");
        }
    }

    #[test]
    fn severe_diagnostics_come_first() {
        let mut all = [
            Diagnostic::new("Service a/a", Reason::LeftAlone, "x"),
            Diagnostic::new("Service a/b", Reason::Conflict, "x"),
            Diagnostic::new("Service a/c", Reason::NoRoom, "x"),
        ];
        all.sort();
        assert_eq!(all.map(|found| found.reason), [Reason::NoRoom, Reason::Conflict, Reason::LeftAlone]);
    }
}

//! How UDP sockets end whose backend is admitted no more, and what became of them. Pure.

use serde::{Deserialize, Serialize};

/// How such sockets are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndBy {
    /// By the iterator where the kernel has one, else by `sock_diag`.
    #[default]
    Auto,
    /// By one walk of the kernel over what all sockets remember.
    Iterator,
    /// By asking each connected UDP socket of each network namespace.
    SockDiag,
    /// Not at all.
    Off,
}

impl EndBy {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Iterator => "iterator",
            Self::SockDiag => "sock-diag",
            Self::Off => "off",
        }
    }
}

/// Whether sockets in network namespaces of pods can be ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pods {
    #[default]
    Unknown,
    Entered,
    /// The agent may not enter them: it takes CAP_SYS_ADMIN.
    NotAllowed,
}

/// What became of UDP sockets so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeersReport {
    /// How they are found; `None` before it was tried.
    pub by: Option<EndBy>,
    /// Why not by the iterator, where that was wanted.
    pub no_iterator: Option<String>,
    pub pods: Pods,
    /// Since the agent's start.
    pub ended: u64,
    /// Those that were found last and could not be ended.
    pub left: u64,
    /// Network namespaces that could not be looked into last: it is not known what is in them.
    pub namespaces_left: u64,
    /// What went wrong last.
    pub trouble: Option<String>,
}

impl PeersReport {
    /// One sentence without a full stop; `None` before anything was looked at.
    #[must_use]
    pub fn describe(&self) -> Option<String> {
        let by = match self.by? {
            EndBy::Iterator => "an iterator",
            EndBy::SockDiag | EndBy::Auto | EndBy::Off => "sock_diag",
        };
        let pods = match self.pods {
            Pods::Unknown | Pods::Entered => "",
            Pods::NotAllowed => ", in the host's network alone (pods' take CAP_SYS_ADMIN)",
        };
        let why = self.no_iterator.as_ref().map(|why| format!("; no iterator: {why}")).unwrap_or_default();
        let namespaces = match self.namespaces_left {
            0 => String::new(),
            left => format!(" and those in {left} network namespaces that were not looked into"),
        };
        let left = match (self.left, self.namespaces_left) {
            (0, 0) => String::new(),
            (left, _) => format!("; LEFT: {left}{namespaces}"),
        };
        let trouble = self.trouble.as_ref().map(|what| format!("; {what}")).unwrap_or_default();
        Some(format!("{} ended, found by {by}{pods}{why}{left}{trouble}", self.ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_ended_and_what_is_left() {
        let report = PeersReport { by: Some(EndBy::Iterator), ended: 3, ..PeersReport::default() };
        assert_eq!(PeersReport::default().describe(), None);
        assert_eq!(report.describe().unwrap(), "3 ended, found by an iterator");
        let found = PeersReport {
            pods: Pods::NotAllowed,
            left: 2,
            trouble: Some("odd".to_owned()),
            ..report.clone()
        };
        assert_eq!(
            found.describe().unwrap(),
            "3 ended, found by an iterator, in the host's network alone (pods' take CAP_SYS_ADMIN); LEFT: 2; odd"
        );
        let asked = PeersReport {
            by: Some(EndBy::SockDiag),
            no_iterator: Some("why".to_owned()),
            namespaces_left: 4,
            ..report
        };
        assert_eq!(
            asked.describe().unwrap(),
            "3 ended, found by sock_diag; no iterator: why; LEFT: 0 and those in 4 network namespaces that were not looked into"
        );
    }
}

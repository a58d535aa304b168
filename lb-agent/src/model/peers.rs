//! How UDP sockets end whose backend is admitted no more, and what became of them. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How such sockets are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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

/// Whether sockets in network namespaces of pods can be ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pods {
    #[default]
    Unknown,
    Entered,
    /// The agent may not enter them: it takes CAP_SYS_ADMIN.
    NotAllowed,
}

/// Why a socket is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its Service admits its backend no more.
    Backend,
    /// No Service has what it dialled.
    Service,
}

/// Why a socket that is to end was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The agent may not enter its network namespace.
    NotAllowed,
    /// Nothing that the agent sees leads to its network namespace.
    NoWay,
    /// Other network namespaces took all the time of the pass.
    NoTime,
    /// The kernel did not end it.
    Refused,
}

/// How many sockets were ended, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ended {
    pub backend: u64,
    pub service: u64,
}

/// How many sockets were left, by obstacle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Left {
    pub not_allowed: u64,
    pub no_way: u64,
    pub no_time: u64,
    pub refused: u64,
}

/// What became of UDP sockets so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeersReport {
    /// How they are found; `None` before it was tried.
    pub by: Option<EndBy>,
    /// Why not by the iterator, where that was wanted.
    pub no_iterator: Option<String>,
    pub pods: Pods,
    /// Since the agent's start.
    pub ended: Ended,
    /// Those that were found last and could not be ended.
    pub left: Left,
    /// Network namespaces that could not be looked into last: it is not known what is in them.
    pub namespaces_left: u64,
    /// What went wrong last.
    pub trouble: Option<String>,
}

impl Cause {
    pub const ALL: [Self; 2] = [Self::Backend, Self::Service];

    /// As metrics name it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Service => "service",
        }
    }
}

impl Obstacle {
    pub const ALL: [Self; 4] = [Self::NotAllowed, Self::NoWay, Self::NoTime, Self::Refused];

    /// As metrics name it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::NoWay => "no-way",
            Self::NoTime => "no-time",
            Self::Refused => "refused",
        }
    }

    /// What is said of such sockets after their number.
    const fn describe(self) -> &'static str {
        match self {
            Self::NotAllowed => "in network namespaces that the agent may not enter (CAP_SYS_ADMIN)",
            Self::NoWay => {
                "in network namespaces that nothing leads to which the agent sees (--network-namespaces)"
            }
            Self::NoTime => "since others took too long",
            Self::Refused => "that the kernel did not end",
        }
    }
}

impl Ended {
    #[must_use]
    pub const fn of(self, cause: Cause) -> u64 {
        match cause {
            Cause::Backend => self.backend,
            Cause::Service => self.service,
        }
    }

    #[must_use]
    pub const fn total(self) -> u64 {
        self.backend + self.service
    }

    pub const fn count(&mut self, cause: Cause) {
        match cause {
            Cause::Backend => self.backend += 1,
            Cause::Service => self.service += 1,
        }
    }

    pub fn add(&mut self, other: Self) {
        self.backend += other.backend;
        self.service += other.service;
    }
}

impl Left {
    /// So many for one obstacle alone.
    #[must_use]
    pub fn for_one(obstacle: Obstacle, sockets: u64) -> Self {
        let mut left = Self::default();
        *left.mut_of(obstacle) = sockets;
        left
    }

    #[must_use]
    pub const fn of(self, obstacle: Obstacle) -> u64 {
        match obstacle {
            Obstacle::NotAllowed => self.not_allowed,
            Obstacle::NoWay => self.no_way,
            Obstacle::NoTime => self.no_time,
            Obstacle::Refused => self.refused,
        }
    }

    #[must_use]
    pub const fn total(self) -> u64 {
        self.not_allowed + self.no_way + self.no_time + self.refused
    }

    pub fn add(&mut self, other: Self) {
        for obstacle in Obstacle::ALL {
            *self.mut_of(obstacle) += other.of(obstacle);
        }
    }

    const fn mut_of(&mut self, obstacle: Obstacle) -> &mut u64 {
        match obstacle {
            Obstacle::NotAllowed => &mut self.not_allowed,
            Obstacle::NoWay => &mut self.no_way,
            Obstacle::NoTime => &mut self.no_time,
            Obstacle::Refused => &mut self.refused,
        }
    }
}

impl PeersReport {
    /// Of an agent that ends none.
    #[must_use]
    pub fn off() -> Self {
        Self { by: Some(EndBy::Off), ..Self::default() }
    }

    /// One sentence without a full stop; `None` before anything was looked at.
    #[must_use]
    pub fn describe(&self) -> Option<String> {
        let by = match self.by? {
            EndBy::Iterator => "an iterator",
            EndBy::SockDiag | EndBy::Auto => "sock_diag",
            EndBy::Off => return Some("none are ended (--end-udp-sockets off)".to_owned()),
        };
        let pods = match self.pods {
            Pods::Unknown | Pods::Entered => "",
            Pods::NotAllowed => ", in the host's network alone (pods' take CAP_SYS_ADMIN)",
        };
        let mut parts = vec![format!("{} ended, found by {by}{pods}", self.ended.total())];
        parts.extend(self.no_iterator.as_ref().map(|why| format!("no iterator: {why}")));
        let sockets = Obstacle::ALL.iter().filter(|one| self.left.of(**one) > 0);
        let mut left: Vec<String> =
            sockets.map(|one| format!("{} {}", self.left.of(*one), one.describe())).collect();
        if self.namespaces_left > 0 {
            left.push(format!(
                "those in {} network namespaces that were not looked into",
                self.namespaces_left
            ));
        }
        if !left.is_empty() {
            parts.push(format!("LEFT: {}", left.join(", ")));
        }
        parts.extend(self.trouble.clone());
        Some(parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_ended_and_what_is_left() {
        let report = PeersReport {
            by: Some(EndBy::Iterator),
            ended: Ended { backend: 2, service: 1 },
            ..PeersReport::default()
        };
        assert_eq!(PeersReport::default().describe(), None);
        assert_eq!(PeersReport::off().describe().unwrap(), "none are ended (--end-udp-sockets off)");
        assert_eq!(report.describe().unwrap(), "3 ended, found by an iterator");
        let found = PeersReport {
            pods: Pods::NotAllowed,
            left: Left { not_allowed: 2, refused: 1, ..Left::default() },
            trouble: Some("odd".to_owned()),
            ..report.clone()
        };
        assert_eq!(
            found.describe().unwrap(),
            "3 ended, found by an iterator, in the host's network alone (pods' take CAP_SYS_ADMIN); LEFT: 2 in network \
             namespaces that the agent may not enter (CAP_SYS_ADMIN), 1 that the kernel did not end; odd"
        );
        let asked = PeersReport {
            by: Some(EndBy::SockDiag),
            no_iterator: Some("why".to_owned()),
            namespaces_left: 4,
            ..report
        };
        assert_eq!(
            asked.describe().unwrap(),
            "3 ended, found by sock_diag; no iterator: why; LEFT: those in 4 network namespaces that were not looked into"
        );
    }

    #[test]
    fn each_obstacle_has_a_number_of_its_own() {
        let mut left = Left::default();
        for (obstacle, number) in Obstacle::ALL.into_iter().zip(1..) {
            left.add(Left::for_one(obstacle, number));
        }
        assert_eq!(Obstacle::ALL.map(|obstacle| left.of(obstacle)), [1, 2, 3, 4]);
        assert_eq!(left.total(), 10);
    }
}

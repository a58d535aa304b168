//! Whether the node is covered, by what the writer published. Pure.

use std::time::Instant;

use crate::model::SelfTest;
use crate::view::published::{Published, WaitsFor};

/// What the condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coverage {
    pub(super) reason: Reason,
    /// One sentence without a full stop.
    pub(super) message: String,
}

/// The condition's reason, one word. The status follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Covered,
    /// The maps are not open, or something that decides was never known.
    Waiting,
    NotAttached,
    /// With `--require-first`.
    NotFirst,
    /// With `--max-stale`.
    Stale,
    SelfTestFailed,
    /// The writer publishes nothing any more.
    Stuck,
}

impl Reason {
    pub(super) const fn is_covered(self) -> bool {
        match self {
            Self::Covered => true,
            Self::Waiting
            | Self::NotAttached
            | Self::NotFirst
            | Self::Stale
            | Self::SelfTestFailed
            | Self::Stuck => false,
        }
    }

    /// As the condition has it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Covered => "Covered",
            Self::Waiting => "Waiting",
            Self::NotAttached => "NotAttached",
            Self::NotFirst => "NotFirst",
            Self::Stale => "Stale",
            Self::SelfTestFailed => "SelfTestFailed",
            Self::Stuck => "Stuck",
        }
    }
}

impl Coverage {
    /// By what was published last. A source that is not in sync does not matter while what the kernel holds may be
    /// served: that is what Edgeloop is for.
    pub(super) fn of(published: &Published, now: Instant) -> Self {
        let waits = published.state.waits_for();
        let not = |reason, message: &str| Self { reason, message: message.to_owned() };
        if published.is_stuck(now) {
            return not(Reason::Stuck, "the agent's writer does not respond; what the kernel holds goes on");
        }
        if published.maps.is_none() {
            let why = published.kernel_error.as_deref();
            return not(Reason::Waiting, why.unwrap_or("not all Services and EndpointSlices are known yet"));
        }
        if waits.contains(&WaitsFor::Programs) {
            let why = published.kernel_error.as_deref();
            return not(Reason::NotAttached, why.unwrap_or(WaitsFor::Programs.describe()));
        }
        if published.staleness.is_some_and(|staleness| staleness.is_over()) {
            let why =
                "no source was in sync for longer than --max-stale: connections are left as they are dialled";
            return not(Reason::Stale, why);
        }
        for (what, reason) in [
            (WaitsFor::First, Reason::NotFirst),
            (WaitsFor::SelfTest, of_self_test(&published.self_test)),
            (WaitsFor::NodeLabels, Reason::Waiting),
            (WaitsFor::Namespaces, Reason::Waiting),
        ] {
            if waits.contains(&what) {
                return not(reason, what.describe());
            }
        }
        not(Reason::Covered, "programs are attached at every hook, and the maps are filled")
    }
}

/// What it means that readiness waits for the self-test.
const fn of_self_test(self_test: &SelfTest) -> Reason {
    match self_test {
        SelfTest::Failed { .. } => Reason::SelfTestFailed,
        SelfTest::Off | SelfTest::NotTested(_) | SelfTest::Pending | SelfTest::Passed { .. } => {
            Reason::Waiting
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::{PerFamily, Staleness};
    use crate::store::{Rules, Store};
    use crate::view::published::{AgentState, Fill, MapFill};

    fn published(state: AgentState, at: Instant) -> Published {
        let fill = PerFamily { v4: Fill::default(), v6: Fill::default() };
        let maps = MapFill { frontends: fill, backends: fill, clients: Fill::default() };
        let store = Store::new("n1", Rules::default());
        Published { state, maps: Some(maps), ..Published::first(&store, "https://10.0.0.1", at) }
    }

    #[test]
    fn a_node_is_covered_while_what_the_kernel_holds_may_be_served() {
        use WaitsFor::{First, Namespaces, NodeLabels, Programs, Source};
        let at = Instant::now();
        let hours = |hours| Duration::from_secs(hours * 3600);
        let aged = |max: Option<u64>, age| Some(Staleness { max: max.map(hours), age: hours(age) });
        let why = Arc::<str>::from("it does not arrive");
        let failed = SelfTest::Failed { why, passed: None };
        let waits = |waits: &[WaitsFor]| AgentState::NotReady(waits.to_vec());
        for (shows, published, expected) in [
            ("ready", published(AgentState::Ready, at), Reason::Covered),
            (
                "nothing is open yet",
                Published { maps: None, ..published(AgentState::Starting, at) },
                Reason::Waiting,
            ),
            ("the API server is gone", published(waits(&[Source]), at), Reason::Covered),
            (
                "gone for less than it may be",
                Published { staleness: aged(Some(12), 11), ..published(waits(&[Source]), at) },
                Reason::Covered,
            ),
            (
                "gone for longer",
                Published { staleness: aged(Some(12), 13), ..published(waits(&[Source]), at) },
                Reason::Stale,
            ),
            (
                "of any age",
                Published { staleness: aged(None, 9999), ..published(waits(&[Source]), at) },
                Reason::Covered,
            ),
            ("detached", published(waits(&[Programs]), at), Reason::NotAttached),
            ("detached, and all else", published(waits(&[Source, Programs, First]), at), Reason::NotAttached),
            ("another program is first", published(waits(&[First]), at), Reason::NotFirst),
            ("labels were never known", published(waits(&[NodeLabels]), at), Reason::Waiting),
            ("Namespaces were never known", published(waits(&[Source, Namespaces]), at), Reason::Waiting),
            (
                "the self-test has yet to pass",
                Published { self_test: SelfTest::Pending, ..published(waits(&[WaitsFor::SelfTest]), at) },
                Reason::Waiting,
            ),
            (
                "the self-test fails",
                Published { self_test: failed, ..published(waits(&[WaitsFor::SelfTest]), at) },
                Reason::SelfTestFailed,
            ),
        ] {
            let coverage = Coverage::of(&published, at);
            assert_eq!(coverage.reason, expected, "{shows}: {}", coverage.message);
            assert_eq!(coverage.reason.is_covered(), expected == Reason::Covered, "{shows}");
        }
        let stuck = Coverage::of(&published(AgentState::Ready, at), at + Duration::from_secs(11));
        assert_eq!(stuck.reason, Reason::Stuck);
    }

    #[test]
    fn why_programs_are_not_attached_is_in_the_message() {
        let at = Instant::now();
        let error = Some("the link of connect4 is gone".into());
        let detached = published(AgentState::NotReady(vec![WaitsFor::Programs]), at);
        let said = Coverage::of(&Published { kernel_error: error, ..detached }, at).message;
        assert_eq!(said, "the link of connect4 is gone");
    }
}

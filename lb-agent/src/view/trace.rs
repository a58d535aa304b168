//! One decision of the programs, as it is shown. Pure.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

use lb_common::hook::Hook;
use lb_common::outcome::{Outcome, Verdict};
use lb_common::trace::{
    Decision, HOW_AFFINITY, HOW_DRAWN, HOW_FIRST, HOW_LOOKED_UP, HOW_NOTHING, HOW_SOCKET,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::self_test::is_self_test;
use crate::model::{Protocol, ServicePortKey};
use crate::plan::cells::Cell;
use crate::shown::shown;

/// What `lb-agent trace` prints of one call.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionView {
    /// When, by the clock of the node.
    pub time: String,
    /// Of the process that makes the call, in the node's pid namespace.
    pub pid: u32,
    /// What the kernel calls it: of its name 15 bytes.
    pub process: String,
    /// `null` for a process that is in no pod, as far as its cgroup says.
    pub pod: Option<PodView>,
    /// `TCP`, `UDP`, or the number of another protocol.
    pub protocol: String,
    /// Where the program runs: `connect4`, `connect6`, `sendmsg4` or `sendmsg6`.
    pub hook: String,
    /// `null` where it was not kept until the end of the call.
    pub dialled: Option<String>,
    /// `NAMESPACE/NAME` of the Service; `null` where none was dialled, or its name is not known any more.
    pub service: Option<String>,
    pub port_name: Option<String>,
    /// The service port's id and revision, as `lb-agent services` has them; 0 where none was found.
    pub id: u32,
    pub revision: u32,
    pub verdict: VerdictView,
    /// The outcome of the program, as `lb-agent status` and the metrics count it.
    pub outcome: String,
    /// What it got; `null` unless it is forwarded.
    pub backend: Option<String>,
    /// The pool of the backend's node; `null` where it is in none, or that is not known.
    pub pool: Option<String>,
    /// How the backend was chosen; `null` unless it is forwarded.
    pub how: Option<HowView>,
}

/// A pod that a process is in.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct PodView {
    pub uid: String,
    /// `null` where the node does not say what it is called.
    pub namespace: Option<String>,
    pub name: Option<String>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum VerdictView {
    Forwarded,
    Refused,
    /// It goes to what was dialled.
    LeftAlone,
}

/// How a backend was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HowView {
    /// At random.
    Drawn,
    /// The first of this client of a Service with session affinity.
    FirstOfClient,
    /// The client had it before: session affinity.
    KeptByClient,
    /// The UDP socket had it before.
    KeptBySocket,
}

/// What the maps say of the numbers in records.
#[derive(Clone, Debug, Default)]
pub struct Meanings {
    pub keys: BTreeMap<u32, ServicePortKey>,
    /// By the number of the place that counts them.
    pub cells: BTreeMap<u16, Cell>,
}

impl Meanings {
    /// Whether the numbers of a record have a meaning here, where they can have one.
    #[must_use]
    pub fn has(&self, record: &Decision) -> bool {
        let is_chosen = !matches!(record.how, HOW_NOTHING | HOW_LOOKED_UP);
        (record.id == 0 || self.keys.contains_key(&record.id))
            && (!is_chosen || self.cells.contains_key(&record.place))
    }

    /// Whether it is a connection that the agent dials to test itself.
    #[must_use]
    pub fn is_self_test(&self, record: &Decision) -> bool {
        self.keys.get(&record.id).is_some_and(|key| is_self_test(&key.service))
    }
}

/// The decision as it is shown. `time` is when it was made, `process` the name of who called.
#[must_use]
pub fn decision(
    (record, hook, outcome): &(Decision, Hook, Outcome),
    time: String,
    process: &str,
    pod: Option<PodView>,
    meanings: &Meanings,
) -> DecisionView {
    let key = meanings.keys.get(&record.id);
    let cell = meanings.cells.get(&record.place);
    let dials = socket_address(record.dials, record.dials_port);
    let is_forwarded = *outcome == Outcome::Forwarded;
    // What is not forwarded dials what it dialled.
    let dialled = match (is_forwarded, record.how) {
        (false, _) => Some(dials),
        (true, HOW_NOTHING) => None,
        (true, _) => Some(socket_address(record.dialled, record.dialled_port)),
    };
    DecisionView {
        time,
        pid: record.process,
        process: shown(process),
        pod,
        protocol: Protocol::of_number(record.protocol)
            .map_or_else(|| record.protocol.to_string(), |protocol| protocol.label().to_owned()),
        hook: hook.name().to_owned(),
        dialled: dialled.map(|dialled| dialled.to_string()),
        service: key.map(|key| key.service.to_string()),
        port_name: key.map(|key| shown(&key.port_name)),
        id: record.id,
        revision: record.revision,
        verdict: verdict(*outcome),
        outcome: outcome.label().to_owned(),
        backend: is_forwarded.then(|| dials.to_string()),
        pool: cell.filter(|_| is_forwarded).and_then(|cell| Some(shown(cell.backend_pool.as_deref()?))),
        how: if is_forwarded { how(record.how) } else { None },
    }
}

const fn verdict(outcome: Outcome) -> VerdictView {
    match (outcome, outcome.verdict()) {
        (Outcome::Forwarded, _) => VerdictView::Forwarded,
        (_, Verdict::Refuse) => VerdictView::Refused,
        (_, Verdict::Allow) => VerdictView::LeftAlone,
    }
}

const fn how(number: u8) -> Option<HowView> {
    match number {
        HOW_DRAWN => Some(HowView::Drawn),
        HOW_FIRST => Some(HowView::FirstOfClient),
        HOW_AFFINITY => Some(HowView::KeptByClient),
        HOW_SOCKET => Some(HowView::KeptBySocket),
        _ => None,
    }
}

/// IPv4 addresses lie in it as `::ffff:a.b.c.d`.
fn socket_address(address: [u8; 16], port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(address).to_canonical(), u16::from_be_bytes(port))
}

/// Which decisions are shown.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `[NAMESPACE/]NAME` of a Service.
    pub service: Option<String>,
    /// Uid or `[NAMESPACE/]NAME` of a pod.
    pub pod: Option<String>,
    /// Refusals alone.
    pub refused: bool,
}

impl Wanted {
    /// Whether it is one of them.
    #[must_use]
    pub fn has(&self, decision: &DecisionView) -> bool {
        let Self { service, pod, refused } = self;
        let is_service = service
            .as_deref()
            .is_none_or(|wanted| decision.service.as_deref().is_some_and(|found| is_named(wanted, found)));
        let is_pod = pod.as_deref().is_none_or(|wanted| {
            decision.pod.as_ref().is_some_and(|pod| pod.uid == wanted || is_named(wanted, &pod.label()))
        });
        is_service && is_pod && (!refused || decision.verdict == VerdictView::Refused)
    }
}

/// Whether `found`, which is `NAMESPACE/NAME`, is meant; a name alone is one of any Namespace.
fn is_named(wanted: &str, found: &str) -> bool {
    found == wanted || !wanted.contains('/') && found.rsplit('/').next() == Some(wanted)
}

impl PodView {
    /// `NAMESPACE/NAME` where it is known, else the uid.
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            (Some(_) | None, None) | (None, Some(_)) => self.uid.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Family, ObjectName};
    use crate::plan::cells::Within;

    fn meanings() -> Meanings {
        let key = ServicePortKey {
            service: ObjectName { namespace: "default".into(), name: "web".into() },
            port_name: "http".into(),
            protocol: Protocol::Tcp,
            family: Family::V4,
        };
        let cell = Cell { client_pool: None, backend_pool: Some(Arc::from("p3")), within: Within::Any };
        Meanings { keys: BTreeMap::from([(7, key)]), cells: BTreeMap::from([(1, cell)]) }
    }

    fn mapped(last: [u8; 4]) -> [u8; 16] {
        let [a, b, c, d] = last;
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
    }

    fn record() -> Decision {
        Decision {
            process: 4711,
            dials: mapped([10, 244, 1, 3]),
            dials_port: [0x24, 0xa0],
            dialled: mapped([10, 96, 0, 11]),
            dialled_port: [0, 80],
            id: 7,
            revision: 2,
            place: 1,
            protocol: 6,
            how: HOW_DRAWN,
            ..Decision::default()
        }
    }

    fn view(record: Decision, outcome: Outcome) -> DecisionView {
        decision(&(record, Hook::Connect4, outcome), "now".to_owned(), "cu\x1brl", None, &meanings())
    }

    #[test]
    fn what_is_forwarded_shows_what_it_dialled_and_what_it_got() {
        let found = view(record(), Outcome::Forwarded);
        let expected = DecisionView {
            time: "now".to_owned(),
            pid: 4711,
            process: "cu\\u{1b}rl".to_owned(),
            pod: None,
            protocol: "TCP".to_owned(),
            hook: "connect4".to_owned(),
            dialled: Some("10.96.0.11:80".to_owned()),
            service: Some("default/web".to_owned()),
            port_name: Some("http".to_owned()),
            id: 7,
            revision: 2,
            verdict: VerdictView::Forwarded,
            outcome: "forwarded".to_owned(),
            backend: Some("10.244.1.3:9376".to_owned()),
            pool: Some("p3".to_owned()),
            how: Some(HowView::Drawn),
        };
        assert_eq!(found, expected);
        let unkept = view(Decision { how: HOW_NOTHING, id: 0, place: 0, ..record() }, Outcome::Forwarded);
        assert_eq!((unkept.dialled, unkept.how, unkept.pool, unkept.service), (None, None, None, None));
    }

    #[test]
    fn what_is_not_forwarded_shows_what_it_dialled_and_no_backend() {
        let dials = Decision { dials: mapped([10, 96, 0, 11]), dials_port: [0, 80], ..record() };
        for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Forwarded) {
            let found = view(dials, outcome);
            let refuses = outcome.verdict() == Verdict::Refuse;
            let expected = if refuses { VerdictView::Refused } else { VerdictView::LeftAlone };
            assert_eq!(found.verdict, expected, "{}", outcome.label());
            assert_eq!(found.dialled.as_deref(), Some("10.96.0.11:80"));
            assert_eq!((found.backend, found.pool, found.how), (None, None, None));
        }
    }

    #[test]
    fn what_is_wanted_is_said_by_name_with_or_without_namespace_or_by_uid() {
        let mut found = view(record(), Outcome::Forwarded);
        let pod = PodView { uid: "u1".into(), namespace: Some("default".into()), name: Some("a".into()) };
        found.pod = Some(pod);
        let wanted = |service: Option<&str>, pod: Option<&str>, refused| Wanted {
            service: service.map(str::to_owned),
            pod: pod.map(str::to_owned),
            refused,
        };
        for (service, pod, refused, is_one) in [
            (None, None, false, true),
            (None, None, true, false),
            (Some("default/web"), Some("u1"), false, true),
            (Some("web"), Some("a"), false, true),
            (None, Some("default/a"), false, true),
            (Some("other/web"), None, false, false),
            (Some("we"), None, false, false),
            (None, Some("u"), false, false),
            (None, Some("other/a"), false, false),
        ] {
            let wanted = wanted(service, pod, refused);
            assert_eq!(wanted.has(&found), is_one, "{wanted:?}");
        }
        found.pod = None;
        assert!(!wanted(None, Some("u1"), false).has(&found));
    }
}

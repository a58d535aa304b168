//! What of one node's answer others should say as well. Pure.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Fact;
use crate::select::topology::Level;
use crate::view::decisions::Action;
use crate::view::explain::{Explanation, PortView};
use crate::view::narrowed::NarrowedBy;
use crate::view::services::{ServiceLine, Services};
use crate::view::status::AgentView;

/// What is read of a node's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SeenStatus {
    pub kernel: Option<SeenKernel>,
    pub agent: Option<AgentView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SeenKernel {
    pub layout: u32,
    /// Each address that is served.
    pub services: Vec<IgnoredAny>,
}

/// All nodes should run one version, in one mode, over maps of one layout.
#[must_use]
pub fn of_status(status: &SeenStatus) -> Vec<Fact> {
    let of_all = |about: &str, value: String| Fact {
        about: about.to_owned(),
        among: String::new(),
        value: Some(value),
    };
    let agent = status.agent.iter();
    let agent = agent
        .flat_map(|agent| [of_all("version", agent.version.clone()), of_all("mode", agent.mode.clone())]);
    let kernel = status.kernel.iter().map(|kernel| of_all("layout", kernel.layout.to_string()));
    agent.chain(kernel).collect()
}

/// The nodes of one pool should decide alike.
#[must_use]
pub fn of_services(services: &Services) -> Vec<Fact> {
    let line = |line: &ServiceLine| {
        let ServiceLine { namespace, service, protocol, address, outcome, level, narrowed_by, .. } = line;
        let about = format!("{namespace}/{service} at {address}/{protocol}");
        let backends: Vec<&str> = line.backends.iter().map(String::as_str).collect();
        decision(about, services.pool.as_deref(), *outcome, level.as_deref(), *narrowed_by, &backends)
    };
    services.service_ports.iter().filter(|port| !port.kept).filter_map(line).collect()
}

/// The same of one Service.
#[must_use]
pub fn of_explanation(explanation: &Explanation) -> Vec<Fact> {
    let port = |port: &PortView| {
        let PortView { protocol, address, outcome, level, narrowed_by, .. } = port;
        let about = format!("{address}/{protocol}");
        let used = port.endpoints.iter().filter(|endpoint| endpoint.used);
        let mut backends: Vec<&str> = used.map(|endpoint| endpoint.backend.as_str()).collect();
        backends.sort_unstable();
        decision(about, explanation.pool.as_deref(), *outcome, level.as_deref(), *narrowed_by, &backends)
    };
    explanation.ports.iter().filter(|port| !port.kept).filter_map(port).collect()
}

/// Not where the node is a pool of its own, or its topology keeps to the node. Nodes at which an ordered list went
/// differently far are not compared.
fn decision(
    about: String,
    pool: Option<&str>,
    outcome: Action,
    level: Option<&str>,
    narrowed_by: Option<NarrowedBy>,
    backends: &[&str],
) -> Option<Fact> {
    let (pool, level) = (pool?, level?);
    if level == Level::Host.to_string() {
        return None;
    }
    let value = match outcome {
        Action::Forward => backends.join(" "),
        Action::Refuse => "refused".to_owned(),
        Action::Leave | Action::Wait => return None,
    };
    let value = narrowed_by.is_none().then_some(value);
    Some(Fact { about, among: format!("{pool} {level}"), value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::state::{StateOrigin, StateView};

    fn services(pool: Option<&str>, port: ServiceLine) -> Services {
        Services {
            node: "n1".to_owned(),
            pool: pool.map(str::to_owned),
            state: StateView { origin: StateOrigin::Live, age_seconds: Some(0), saved_at: None },
            service_ports: vec![port],
            ignored: Vec::new(),
        }
    }

    fn line(outcome: Action, level: &str, narrowed_by: Option<NarrowedBy>) -> ServiceLine {
        ServiceLine {
            namespace: "default".to_owned(),
            service: "web".to_owned(),
            port_name: String::new(),
            protocol: "TCP".to_owned(),
            address: "10.96.0.11:80".to_owned(),
            topology: None,
            origin: None,
            annotation: None,
            outcome,
            level: Some(level.to_owned()),
            why: None,
            kept: false,
            narrowed_by,
            backends: ["10.244.1.1:80", "10.244.2.1:80"].map(str::to_owned).into(),
            not_used: 0,
            kernel: None,
        }
    }

    #[test]
    fn decisions_are_compared_where_the_nodes_of_a_pool_should_agree() {
        use Action::{Forward, Leave, Refuse, Wait};
        let both = Some("10.244.1.1:80 10.244.2.1:80");
        for (shows, pool, outcome, level, narrowed_by, value) in [
            ("the pool", Some("east"), Forward, "pool east", None, Some(both)),
            ("all nodes", Some("east"), Forward, "all nodes", None, Some(both)),
            ("an empty set", Some("east"), Refuse, "pool east", None, Some(Some("refused"))),
            ("this node alone", Some("east"), Forward, "this node", None, None),
            ("no pool: a pool of one", None, Forward, "pool", None, None),
            ("left alone", Some("east"), Leave, "pool east", None, None),
            ("not known", Some("east"), Wait, "pool east", None, None),
            (
                "what is local may differ",
                Some("east"),
                Forward,
                "pool east",
                Some(NarrowedBy::Local),
                Some(None),
            ),
            (
                "what is hinted may differ",
                Some("east"),
                Forward,
                "pool east",
                Some(NarrowedBy::Hints),
                Some(None),
            ),
        ] {
            let facts = of_services(&services(pool, line(outcome, level, narrowed_by)));
            let values: Vec<Option<&str>> = facts.iter().map(|fact| fact.value.as_deref()).collect();
            assert_eq!(values, value.into_iter().collect::<Vec<_>>(), "{shows}");
            assert!(facts.iter().all(|fact| fact.about == "default/web at 10.96.0.11:80/TCP"), "{shows}");
        }
    }

    #[test]
    fn of_a_status_version_mode_and_layout_are_compared() {
        let status = r#"{"kernel":{"layout":9,"services":[{"a":1},{}]},"agent":{"version":"0.1.0","mode":"beside"},"new":1}"#;
        let status: SeenStatus = serde_json::from_str(status).unwrap();
        assert_eq!(status.kernel.as_ref().unwrap().services.len(), 2);
        let facts: Vec<String> =
            of_status(&status).iter().map(|fact| format!("{} {:?}", fact.about, fact.value)).collect();
        assert_eq!(facts, [r#"version Some("0.1.0")"#, r#"mode Some("beside")"#, r#"layout Some("9")"#]);
    }
}

//! Which pod of the agents is asked for a node. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Nodes, RemoteError};
use crate::api::query::escaped;

/// The container that runs the agent.
pub(super) const CONTAINER: &str = "agent";

/// Pods in one part of a list: at some kilobytes each a part is read as a whole.
const PART: u32 = 100;
/// The same of nodes, which list their images.
const PART_OF_NODES: u32 = 50;

/// A part of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Part<T> {
    #[serde(default)]
    pub(super) metadata: ListMetadata,
    pub(super) items: Option<Vec<T>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) metadata: NodeMetadata,
}

#[derive(Debug, Deserialize)]
pub(super) struct NodeMetadata {
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ListMetadata {
    #[serde(default, rename = "continue")]
    pub(super) continued: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pod {
    metadata: PodMetadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMetadata {
    name: String,
    deletion_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    node_name: String,
    containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: String,
    reason: String,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Deserialize)]
struct ContainerStatus {
    name: String,
    #[serde(default)]
    state: State,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<serde::de::IgnoredAny>,
    waiting: Option<Waiting>,
    terminated: Option<Waiting>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
}

/// The path of a part of the list of the agents' pods.
pub(super) fn path(namespace: &str, selector: &str, continued: &str) -> String {
    format!(
        "/api/v1/namespaces/{}/pods?labelSelector={}&limit={PART}{}",
        escaped(namespace),
        escaped(selector),
        from(continued)
    )
}

/// The path of a part of the list of all nodes.
pub(super) fn path_of_nodes(continued: &str) -> String {
    format!("/api/v1/nodes?limit={PART_OF_NODES}{}", from(continued))
}

fn from(continued: &str) -> String {
    match continued {
        "" => String::new(),
        token => format!("&continue={}", escaped(token)),
    }
}

/// By node, the name of the pod to ask, or why not. Of two pods on one node it is the one that runs and stays.
pub(super) fn by_node(pods: &[Pod], nodes: &Nodes) -> BTreeMap<String, Result<String, RemoteError>> {
    let mut found: BTreeMap<&str, &Pod> = BTreeMap::new();
    for pod in pods {
        let best = found.entry(pod.place()).or_insert(pod);
        if pod.worth() > best.worth() {
            *best = pod;
        }
    }
    let asked: BTreeSet<&str> = match nodes {
        Nodes::All => found.keys().copied().collect(),
        Nodes::These(names) => names.iter().map(String::as_str).collect(),
    };
    let answer = |node: &str| found.get(node).map_or(Err(RemoteError::NoPod), |pod| pod.to_ask());
    asked.into_iter().map(|node| (node.to_owned(), answer(node))).collect()
}

impl Pod {
    /// The name of its node, or its own where none has it yet.
    fn place(&self) -> &str {
        if self.spec.node_name.is_empty() { &self.metadata.name } else { &self.spec.node_name }
    }

    /// One that stays is worth more than one that goes, and one that runs more than either.
    fn worth(&self) -> (bool, bool) {
        (self.runs(), self.metadata.deletion_timestamp.is_none())
    }

    /// The image of the agent.
    pub(super) fn image(&self) -> Option<&str> {
        let mut containers = self.spec.containers.iter();
        containers.find(|container| container.name == CONTAINER).map(|container| container.image.as_str())
    }

    fn container(&self) -> Option<&State> {
        let mut containers = self.status.container_statuses.iter();
        containers.find(|container| container.name == CONTAINER).map(|container| &container.state)
    }

    fn runs(&self) -> bool {
        self.container().is_some_and(|state| state.running.is_some())
    }

    /// An agent that is not ready says why: it is asked as well.
    fn to_ask(&self) -> Result<String, RemoteError> {
        let pod = self.metadata.name.clone();
        if self.runs() { Ok(pod) } else { Err(RemoteError::NotRunning { pod, why: self.why_not() }) }
    }

    /// In Kubernetes' words, such as `CrashLoopBackOff`.
    fn why_not(&self) -> String {
        let PodStatus { phase, reason, .. } = &self.status;
        let state = self.container();
        let of_container = state.and_then(|state| state.waiting.as_ref().or(state.terminated.as_ref()));
        let words = [of_container.map_or("", |waiting| &waiting.reason), reason, phase];
        let word = words.into_iter().find(|word| !word.is_empty());
        let unbound = self.spec.node_name.is_empty().then_some("no node has it yet");
        unbound.or(word).unwrap_or("its state is not known").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, node: &str, state: Value, goes: bool) -> Pod {
        let deleted = goes.then_some("2026-01-01T00:00:00Z");
        let pod = json!({
            "metadata": {"name": name, "deletionTimestamp": deleted}, "spec": {"nodeName": node},
            "status": {"phase": "Pending", "containerStatuses": [
                {"name": "sidecar", "state": {"running": {}}}, {"name": "agent", "state": state}]},
        });
        serde_json::from_value(pod).unwrap()
    }

    fn said(pods: &[Pod], nodes: &Nodes) -> Vec<String> {
        let by_node = by_node(pods, nodes).into_iter();
        by_node
            .map(|(node, pod)| match pod {
                Ok(pod) => format!("{node}: {pod}"),
                Err(why) => format!("{node}: {why}"),
            })
            .collect()
    }

    #[test]
    fn of_each_node_the_pod_that_runs_and_stays_is_asked() {
        let running = || json!({"running": {"startedAt": "x"}});
        let waiting = || json!({"waiting": {"reason": "CrashLoopBackOff"}});
        for (shows, pods, expected) in [
            ("one", vec![pod("a", "n1", running(), false)], vec!["n1: a"]),
            (
                "the one that stays, whichever is first",
                vec![pod("a", "n1", running(), true), pod("b", "n1", running(), false)],
                vec!["n1: b"],
            ),
            (
                "the one that runs, while the next does not",
                vec![pod("b", "n1", waiting(), false), pod("a", "n1", running(), true)],
                vec!["n1: a"],
            ),
            (
                "in Kubernetes' word",
                vec![pod("a", "n1", waiting(), false)],
                vec!["n1: the container \"agent\" of its pod a does not run: CrashLoopBackOff"],
            ),
            (
                "before its image is there",
                vec![pod("a", "n1", json!({}), false)],
                vec!["n1: the container \"agent\" of its pod a does not run: Pending"],
            ),
            (
                "without a node",
                vec![pod("a", "", json!({}), false)],
                vec!["a: the container \"agent\" of its pod a does not run: no node has it yet"],
            ),
        ] {
            assert_eq!(said(&pods, &Nodes::All), expected, "{shows}");
        }
    }

    #[test]
    fn nodes_that_are_named_are_asked_and_no_others() {
        let running = || json!({"running": {}});
        let pods = [pod("a", "n1", running(), false), pod("b", "n2", running(), false)];
        let nodes = Nodes::These(["n2", "n9"].map(str::to_owned).into());
        assert_eq!(said(&pods, &nodes), ["n2: b", "n9: the agents have no pod there"]);
    }

    #[test]
    fn pods_are_asked_for_by_label_in_parts() {
        assert_eq!(
            path("kube-system", "a.io/b=c", ""),
            "/api/v1/namespaces/kube-system/pods?labelSelector=a.io%2Fb%3Dc&limit=100"
        );
        assert!(path("n", "a", "x=").ends_with("&limit=100&continue=x%3D"));
        assert_eq!(path_of_nodes(""), "/api/v1/nodes?limit=50");
        assert_eq!(path_of_nodes("x="), "/api/v1/nodes?limit=50&continue=x%3D");
    }
}

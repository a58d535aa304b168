//! What is read of a DaemonSet and its pods, and what is written to it. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::query::escaped;

/// The container that runs the agent.
pub(super) const CONTAINER: &str = "agent";
/// What it runs instead: it removes everything, and is ready from then on.
pub(super) const CLEANUP: [&str; 3] = ["cleanup", "--stop", "--hold"];

/// Pods in one part of a list: at some kilobytes each a part is read as a whole.
const PART: u32 = 200;

#[derive(Debug, Default, Deserialize)]
pub(super) struct DaemonSet {
    pub(super) metadata: DaemonSetMetadata,
    spec: DaemonSetSpec,
    #[serde(default)]
    pub(super) status: DaemonSetStatus,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct DaemonSetMetadata {
    #[serde(default)]
    pub(super) uid: String,
    /// Of its specification.
    #[serde(default)]
    pub(super) generation: i64,
}

#[derive(Debug, Default, Deserialize)]
struct DaemonSetSpec {
    #[serde(default)]
    selector: Selector,
    template: Template,
}

#[derive(Debug, Default, Deserialize)]
struct Template {
    spec: PodSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Requirement>>,
}

#[derive(Debug, Deserialize)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Option<Vec<String>>,
}

/// What its controller has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DaemonSetStatus {
    pub(super) observed_generation: i64,
    /// On how many nodes a pod is to run.
    pub(super) desired_number_scheduled: usize,
    current_number_scheduled: usize,
    updated_number_scheduled: usize,
    number_ready: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pods {
    #[serde(default)]
    pub(super) metadata: ListMetadata,
    pub(super) items: Option<Vec<Pod>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ListMetadata {
    #[serde(default, rename = "continue")]
    pub(super) continued: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    metadata: PodMetadata,
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMetadata {
    name: String,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    owner_references: Vec<Owner>,
}

#[derive(Debug, Deserialize)]
struct Owner {
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    node_name: String,
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    args: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: String,
    /// When the node's kubelet took it.
    start_time: Option<String>,
    conditions: Vec<Condition>,
    init_container_statuses: Vec<ContainerStatus>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct ContainerStatus {
    #[serde(default)]
    state: Value,
}

impl DaemonSet {
    pub(super) fn has_agent(&self) -> bool {
        self.spec.template.spec.containers.iter().any(|container| container.name == CONTAINER)
    }

    /// The path of a part of the list of its pods.
    pub(super) fn pods(&self, namespace: &str, continued: &str) -> String {
        let namespace = escaped(namespace);
        let selector = escaped(&self.spec.selector.text());
        let continued = match continued {
            "" => String::new(),
            token => format!("&continue={}", escaped(token)),
        };
        format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}&limit={PART}{continued}")
    }

    /// Another owner's pods may have the same labels.
    pub(super) fn owns(&self, pod: &Pod) -> bool {
        pod.metadata.owner_references.iter().any(|owner| owner.uid == self.metadata.uid)
    }
}

impl Selector {
    /// As a query has it.
    fn text(&self) -> String {
        let labels = self.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.match_expressions.iter().flatten().map(Requirement::text);
        labels.chain(expressions).collect::<Vec<_>>().join(",")
    }
}

impl Requirement {
    fn text(&self) -> String {
        let Self { key, operator, values } = self;
        let values = || values.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(",");
        match operator.as_str() {
            "In" => format!("{key} in ({})", values()),
            "NotIn" => format!("{key} notin ({})", values()),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        }
    }
}

impl Pod {
    /// The name of its node, or its own where none has it yet.
    pub(super) fn place(&self) -> &str {
        if self.spec.node_name.is_empty() { &self.metadata.name } else { &self.spec.node_name }
    }

    /// All of its containers have ended for good.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&*self.status.phase, "Succeeded" | "Failed")
    }

    pub(super) fn cleans_up(&self) -> bool {
        let mut containers = self.spec.containers.iter();
        containers.any(|container| container.name == CONTAINER && container.args == CLEANUP)
    }

    pub(super) fn is_going(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// `None`: it was never said.
    pub(super) fn is_ready(&self) -> Option<bool> {
        let ready = self.status.conditions.iter().find(|condition| condition.kind == "Ready");
        ready.map(|condition| condition.status == "True")
    }

    pub(super) fn is_bound(&self) -> bool {
        !self.spec.node_name.is_empty()
    }

    pub(super) fn is_taken(&self) -> bool {
        self.status.start_time.is_some()
    }

    /// Why a container of it does not run, in Kubernetes' word, such as `CrashLoopBackOff`.
    pub(super) fn waits_for(&self) -> Option<&str> {
        let PodStatus { init_container_statuses, container_statuses, .. } = &self.status;
        let mut states = init_container_statuses.iter().chain(container_statuses);
        states.find_map(|status| status.state.pointer("/waiting/reason")?.as_str())
    }
}

/// All pods at once are replaced by ones that clean up. `maxSurge` would start them beside the agents.
pub(super) fn patch() -> Vec<u8> {
    let patch = json!({"spec": {
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": null},
        },
        "template": {"spec": {"containers": [{"name": CONTAINER, "args": CLEANUP}]}},
    }});
    patch.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_are_asked_for_as_the_selector_has_them() {
        for (selector, expected) in [
            (json!({"matchLabels": {"app": "edgeloop"}}), "app%3Dedgeloop"),
            (json!({"matchLabels": {"a": "1", "b.io/c": "2"}}), "a%3D1%2Cb.io%2Fc%3D2"),
            (
                json!({"matchLabels": null, "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["1", "2"]},
                    {"key": "b", "operator": "NotIn", "values": ["3"]},
                    {"key": "c", "operator": "Exists"},
                    {"key": "d", "operator": "DoesNotExist"},
                ]}),
                "a%20in%20%281%2C2%29%2Cb%20notin%20%283%29%2Cc%2C%21d",
            ),
        ] {
            let daemon_set =
                json!({"metadata": {}, "spec": {"selector": selector, "template": {"spec": {}}}});
            let daemon_set: DaemonSet = serde_json::from_value(daemon_set).unwrap();
            assert_eq!(
                daemon_set.pods("kube-system", ""),
                format!("/api/v1/namespaces/kube-system/pods?labelSelector={expected}&limit=200")
            );
            assert!(daemon_set.pods("n", "x=").ends_with("&limit=200&continue=x%3D"));
        }
    }
}

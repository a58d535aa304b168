//! What is made at the API server for a while. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::query::escaped;

/// In pods and Services of the check.
const LABEL: &str = "edgeloop.io/check";
/// The pod that alone has what some clients are refused.
const ALONE: &str = "edgeloop.io/check-alone";
/// The key by which a Service keeps to the pool of the client's node.
const TOPOLOGY: &str = "openyurt.io/topologyKeys";
const OWN_POOL: &str = "openyurt.io/nodepool";
/// The server's port in its pod.
pub(super) const PORT: u16 = 8080;
/// The port of the Services.
pub(super) const SERVICE_PORT: u16 = 80;
/// A pod ends by itself after so many seconds, also where the command is gone by then.
const DEADLINE: u32 = 600;
pub(super) const CONTAINER: &str = "probe";
/// A Service with a server in each pool, and one with a server in the first pool alone.
pub(super) const SERVICES: [&str; 2] = ["own-pool", "one-pool"];

pub(super) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: "true"}}})
}

/// A server that answers with the name of its pool, bound to this node. The first one is alone in `one-pool`.
pub(super) fn pod(number: usize, pool: &str, node: &str, image: &str) -> Value {
    let mut labels = json!({LABEL: "true"});
    if number == 0 {
        labels[ALONE] = json!("true");
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod_name(number), "labels": labels},
        "spec": {
            "nodeName": node, "restartPolicy": "Never", "automountServiceAccountToken": false,
            "activeDeadlineSeconds": DEADLINE, "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": CONTAINER, "image": image, "imagePullPolicy": "IfNotPresent",
                "command": ["/lb-agent", "probe", "serve", "--port", PORT.to_string(), "--", pool],
                "ports": [{"containerPort": PORT, "protocol": "TCP"}, {"containerPort": PORT, "protocol": "UDP"}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

pub(super) fn pod_name(number: usize) -> String {
    format!("pool-{number}")
}

pub(super) fn service(name: &str) -> Value {
    let mut selector = json!({LABEL: "true"});
    if name == SERVICES[1] {
        selector[ALONE] = json!("true");
    }
    let port = |protocol: &str| json!({"name": protocol.to_lowercase(), "protocol": protocol, "port": SERVICE_PORT, "targetPort": PORT});
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "labels": {LABEL: "true"}, "annotations": {TOPOLOGY: OWN_POOL}},
        "spec": {"selector": selector, "ports": [port("TCP"), port("UDP")]},
    })
}

pub(super) const NAMESPACES: &str = "/api/v1/namespaces";

/// The path of a namespace, or of something in it.
pub(super) fn path(namespace: &str, rest: &str) -> String {
    format!("{NAMESPACES}/{}{rest}", escaped(namespace))
}

/// What is read of a pod.
#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: String,
    reason: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Reason>,
    terminated: Option<Reason>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reason {
    reason: String,
}

impl Pod {
    /// It runs and has an address.
    pub(super) fn runs(&self) -> bool {
        self.status.phase == "Running" && !self.status.pod_ip.is_empty()
    }

    /// It will not run any more: it is not restarted.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Failed" | "Succeeded")
    }

    /// In Kubernetes' words, such as `ErrImagePull`.
    pub(super) fn why_not(&self) -> &str {
        let Status { phase, reason, container_statuses, .. } = &self.status;
        let mut states = container_statuses.iter().map(|of| &of.state);
        let of_container = states.find_map(|state| state.waiting.as_ref().or(state.terminated.as_ref()));
        let words = [of_container.map_or("", |of| &of.reason), reason, phase];
        words.into_iter().find(|word| !word.is_empty()).unwrap_or("its state is not known")
    }
}

/// What is read of a Service.
#[derive(Debug, Deserialize)]
pub(super) struct Service {
    pub(super) spec: ServiceSpec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pod_alone_serves_one_pool_and_all_serve_the_other_service() {
        let labels = |pod: &Value| pod["metadata"]["labels"].as_object().unwrap().clone();
        let selects = |service: &Value, pod: &Value| {
            let labels = labels(pod);
            service["spec"]["selector"]
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        };
        let pods = [pod(0, "east", "n1", "x"), pod(1, "west", "n2", "x")];
        let [all, alone] = SERVICES.map(service);
        assert_eq!(
            pods.each_ref().map(|pod| (selects(&all, pod), selects(&alone, pod))),
            [(true, true), (true, false)]
        );
    }

    #[test]
    fn a_pod_that_does_not_run_says_why() {
        for (status, runs, why) in [
            (json!({"phase": "Running", "podIP": "10.0.0.1"}), true, "Running"),
            (json!({"phase": "Running"}), false, "Running"),
            (
                json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}),
                false,
                "ErrImagePull",
            ),
            (json!({"phase": "Failed", "reason": "Evicted"}), false, "Evicted"),
            (
                json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"reason": "StartError"}}}]}),
                false,
                "StartError",
            ),
            (json!({}), false, "its state is not known"),
        ] {
            let pod: Pod =
                serde_json::from_value(json!({"metadata": {"name": "x"}, "status": status})).unwrap();
            assert_eq!((pod.runs(), pod.why_not()), (runs, why));
            assert_eq!(pod.has_ended(), status["phase"] == "Failed", "{why}");
        }
    }
}

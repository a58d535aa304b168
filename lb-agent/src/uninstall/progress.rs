//! What is done of an uninstallation, and what is waited for. Pure.

use std::collections::BTreeMap;

use super::objects::{DaemonSet, Pod};

/// What has become of a node, the better the smaller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    /// Everything is removed there.
    Done,
    /// The control plane has marked it not ready, or its kubelet never took the pod.
    Unreachable,
    /// It is on its way, or fails: why.
    Behind(String),
}

/// Every node that has a pod, and how many lack one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) nodes: BTreeMap<String, At>,
    /// How many nodes have no pod yet; `None` while the DaemonSet's controller has not seen the change.
    pub(super) missing: Option<usize>,
}

/// How it looks.
///
/// 1. A pod is done when it runs the cleanup and is ready: its probes are answered once everything is removed.
/// 2. A pod of before that is not ready, or does not go, stands on a node that does not hear of the change; so does
///    a new one that no kubelet took. Whether that is so shows when the time is over: all pass through it.
/// 3. Where several pods stand on one node the worst counts. One that has ended for good counts for nothing: its
///    node gets another one.
pub(super) fn progress(daemon_set: &DaemonSet, pods: &[Pod]) -> Progress {
    let mut nodes: BTreeMap<String, At> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| daemon_set.owns(pod) && !pod.has_ended()) {
        let (place, at) = (pod.place().to_owned(), at(pod));
        nodes.entry(place).and_modify(|worst| *worst = at.clone().max(worst.clone())).or_insert(at);
    }
    let (status, generation) = (&daemon_set.status, daemon_set.metadata.generation);
    let is_seen = status.observed_generation >= generation;
    let missing = is_seen.then(|| status.desired_number_scheduled.saturating_sub(nodes.len()));
    Progress { nodes, missing }
}

fn at(pod: &Pod) -> At {
    match (pod.cleans_up(), pod.is_ready()) {
        (true, Some(true)) if !pod.is_going() => At::Done,
        (_, _) if !pod.is_bound() => At::Behind("it waits for the scheduler".to_owned()),
        (true, _) if !pod.is_taken() => At::Unreachable,
        (true, _) => {
            At::Behind(pod.waits_for().unwrap_or("its pod has not removed everything yet").to_owned())
        }
        (false, Some(false)) => At::Unreachable,
        (false, _) if pod.is_going() => At::Unreachable,
        (false, _) => At::Behind("its pod is still the one of before".to_owned()),
    }
}

impl Progress {
    pub(super) fn is_complete(&self) -> bool {
        self.missing == Some(0) && self.nodes.values().all(|at| *at == At::Done)
    }

    /// Only nodes that cannot be reached are left.
    pub(super) fn is_as_far_as_it_can(&self) -> bool {
        let is_left = |at: &At| matches!(at, At::Behind(_));
        self.missing == Some(0) && !self.nodes.values().any(is_left)
    }

    pub(super) fn done(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(|(_, at)| **at == At::Done).map(|(node, _)| node.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A pod is written `node:how`, where `old` and `new` say which it is, `+` that it is ready, `-` that it is not,
    /// `~` that it is to go, `!` that its kubelet took it, and `x` that it has ended.
    #[test]
    fn a_node_is_done_when_its_pod_cleans_up_and_is_ready_and_is_left_out_when_it_does_not_hear() {
        for (shows, pods, done, unreachable, behind) in [
            ("as it was before", "n1:old+!", "", "", "n1"),
            ("the agent is asked to end", "n1:old+!~", "", "n1", ""),
            ("gone, and the next one not there yet", "", "", "", ""),
            ("the next one is not taken yet", "n1:new", "", "n1", ""),
            ("it starts", "n1:new!", "", "", "n1"),
            ("it removes", "n1:new-!", "", "", "n1"),
            ("all is removed", "n1:new+!", "n1", "", ""),
            ("it was removed, and the pod goes", "n1:new+!~", "", "", "n1"),
            ("marked by the control plane", "n1:old-!", "", "n1", ""),
            ("and stuck", "n1:old-!~", "", "n1", ""),
            ("the worst of a node counts", "n1:new+! n1:old+!", "", "", "n1"),
            ("whichever comes first", "n1:old-! n1:new+!", "", "n1", ""),
            ("evicted ones count for nothing", "n1:old-!x n1:new+!", "n1", "", ""),
            ("several nodes", "n1:new+! n2:old-! n3:new-!", "n1", "n2", "n3"),
        ] {
            let progress = progress(&daemon_set(3, 3, 0), &parse(pods));
            let of = |is: fn(&At) -> bool| {
                let found = progress.nodes.iter().filter(|(_, at)| is(at)).map(|(node, _)| node.as_str());
                found.collect::<Vec<_>>().join(" ")
            };
            assert_eq!(of(|at| *at == At::Done), done, "{shows}");
            assert_eq!(of(|at| *at == At::Unreachable), unreachable, "{shows}");
            assert_eq!(of(|at| matches!(at, At::Behind(_))), behind, "{shows}");
        }
    }

    #[test]
    fn it_is_over_when_every_node_is_done_or_cannot_be() {
        for (shows, generations, desired, pods, is_complete, is_as_far) in [
            ("every node", (2, 2), 2, "n1:new+! n2:new+!", true, true),
            ("no node", (2, 2), 0, "", true, true),
            ("not seen yet", (2, 1), 0, "", false, false),
            ("a node without a pod", (2, 2), 2, "n1:new+!", false, false),
            ("a node that is off", (2, 2), 2, "n1:new+! n2:old-!~", false, true),
            ("a node that fails", (2, 2), 2, "n1:new+! n2:new-!", false, false),
            ("more than desired: a node is leaving", (2, 2), 1, "n1:new+! n2:new+!", true, true),
        ] {
            let (generation, observed) = generations;
            let progress = progress(&daemon_set(generation, observed, desired), &parse(pods));
            assert_eq!(progress.is_complete(), is_complete, "{shows}");
            assert_eq!(progress.is_as_far_as_it_can(), is_as_far, "{shows}");
        }
    }

    #[test]
    fn pods_of_others_are_passed_over_and_a_pod_says_why_it_waits() {
        let mut other = pod("n1:old+!");
        other["metadata"]["ownerReferences"] = json!([{"uid": "another"}]);
        let mut failing = pod("n2:new-!");
        failing["status"]["containerStatuses"] =
            json!([{"state": {"running": {}}}, {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]);
        let mut unbound = pod("n3:new");
        unbound["spec"]["nodeName"] = json!("");
        let mut other_args = pod("n4:new+!");
        other_args["spec"]["containers"][0]["args"] = json!(["cleanup", "--stop"]);
        let pods = [other, failing, unbound, other_args].map(|pod| serde_json::from_value(pod).unwrap());
        let progress = progress(&daemon_set(1, 1, 3), &pods);
        let expected = [
            ("n2".to_owned(), At::Behind("CrashLoopBackOff".to_owned())),
            ("n4".to_owned(), At::Behind("its pod is still the one of before".to_owned())),
            ("pod-n3".to_owned(), At::Behind("it waits for the scheduler".to_owned())),
        ];
        assert_eq!(progress.nodes, expected.into());
    }

    fn daemon_set(generation: i64, observed: i64, desired: usize) -> DaemonSet {
        let object = json!({
            "metadata": {"uid": "u", "generation": generation},
            "spec": {"template": {"spec": {}}},
            "status": {"observedGeneration": observed, "desiredNumberScheduled": desired},
        });
        serde_json::from_value(object).unwrap()
    }

    fn parse(pods: &str) -> Vec<Pod> {
        pods.split_whitespace().map(|text| serde_json::from_value(pod(text)).unwrap()).collect()
    }

    fn pod(text: &str) -> Value {
        let (node, how) = text.split_once(':').unwrap();
        let args =
            if how.starts_with("new") { json!(["cleanup", "--stop", "--hold"]) } else { json!(["run"]) };
        let ready = [('+', "True"), ('-', "False")].into_iter().find(|(sign, _)| how.contains(*sign));
        let ready: Vec<Value> =
            ready.map(|(_, status)| json!({"type": "Ready", "status": status})).into_iter().collect();
        json!({
            "metadata": {
                "name": format!("pod-{node}"), "ownerReferences": [{"uid": "u"}],
                "deletionTimestamp": how.contains('~').then_some("2026-01-01T00:00:00Z"),
            },
            "spec": {"nodeName": node, "containers": [{"name": "agent", "args": args}]},
            "status": {
                "phase": if how.contains('x') { "Failed" } else { "Running" },
                "startTime": how.contains('!').then_some("2026-01-01T00:00:00Z"),
                "conditions": ready,
            },
        })
    }
}

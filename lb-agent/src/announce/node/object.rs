//! A Node's object as it is read here, and the patches of it. Pure.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::query::escaped;
use crate::shown::line;

use super::coverage::Coverage;
use super::due::Known;

/// The condition's type.
pub(super) const CONDITION: &str = "edgeloop.io/Covered";

/// What is read of a Node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SeenNode {
    /// Another one is another Node, whatever its name.
    pub(super) uid: String,
    /// All of them, as they stand there.
    pub(super) taints: Vec<Value>,
    /// `None` where the Node has no such condition.
    pub(super) condition: Option<Known>,
}

/// Where the Node is.
pub(super) fn path(node: &str) -> String {
    format!("/api/v1/nodes/{}", escaped(node))
}

/// As the API server has it at hand.
pub(super) fn path_to_read(node: &str) -> String {
    format!("{}?resourceVersion=0", path(node))
}

/// Where its status is changed.
pub(super) fn path_of_status(node: &str) -> String {
    format!("{}/status", path(node))
}

impl SeenNode {
    /// `None` when this is no Node.
    pub(super) fn read(text: &str) -> Option<Self> {
        let node: Value = serde_json::from_str(text).ok()?;
        let uid = node.pointer("/metadata/uid")?.as_str().filter(|_| node["kind"] == "Node")?.to_owned();
        let list = |at: &str| node.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
        let condition =
            list("/status/conditions").iter().find(|condition| condition["type"] == CONDITION).map(|found| {
                let reason = found["reason"].as_str().unwrap_or_default().to_owned();
                Known { is_covered: found["status"] == "True", reason }
            });
        Some(Self { uid, taints: list("/spec/taints"), condition })
    }

    /// Removes the taints with this `key`, whatever their effect, by a JSON patch; `None` without such taints. The
    /// API server refuses it when by then this is another Node, or any taint is another.
    pub(super) fn without_taint(&self, key: &str) -> Option<Vec<u8>> {
        let places: Vec<usize> = (0..self.taints.len()).filter(|at| self.taints[*at]["key"] == key).collect();
        if places.is_empty() {
            return None;
        }
        let tests = [("/metadata/uid", json!(self.uid)), ("/spec/taints", json!(self.taints))];
        let tests = tests.map(|(path, value)| json!({"op": "test", "path": path, "value": value}));
        // From the last on: those before keep their places.
        let removals = places.iter().rev();
        let removals = removals.map(|at| json!({"op": "remove", "path": format!("/spec/taints/{at}")}));
        let steps: Vec<Value> = tests.into_iter().chain(removals).collect();
        Some(json!(steps).to_string().into_bytes())
    }

    /// Writes the condition, by a strategic merge patch: other conditions stay. The time of its transition stays
    /// where the status does.
    pub(super) fn with_condition(&self, coverage: &Coverage, now: Timestamp) -> Vec<u8> {
        let (is_covered, now) = (coverage.reason.is_covered(), format!("{now:.0}"));
        let mut condition = json!({
            "type": CONDITION,
            "status": if is_covered { "True" } else { "False" },
            "reason": coverage.reason.word(),
            "message": line(&coverage.message),
            "lastHeartbeatTime": now,
        });
        if self.condition.as_ref().is_none_or(|known| known.is_covered != is_covered) {
            condition["lastTransitionTime"] = json!(now);
        }
        patch_of(&condition)
    }
}

/// Removes the condition, by a strategic merge patch.
pub(super) fn without_condition() -> Vec<u8> {
    patch_of(&json!({"$patch": "delete", "type": CONDITION}))
}

fn patch_of(condition: &Value) -> Vec<u8> {
    json!({"status": {"conditions": [condition]}}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::coverage::Reason;
    use super::*;

    fn node(taints: &Value, conditions: &Value) -> SeenNode {
        let node = json!({
            "kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1", "uid": "u-1"},
            "spec": {"taints": taints}, "status": {"conditions": conditions},
        });
        SeenNode::read(&node.to_string()).unwrap()
    }

    fn read(patch: &[u8]) -> Value {
        serde_json::from_slice(patch).unwrap()
    }

    #[test]
    fn a_node_is_read_and_nothing_else_is_taken_for_one() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady"});
        let covered = json!({"type": "edgeloop.io/Covered", "status": "True", "reason": "Covered"});
        let unknown = json!({"type": "edgeloop.io/Covered", "status": "Unknown"});
        for (conditions, expected) in [
            (json!(null), None),
            (json!([ready]), None),
            (json!([ready, covered]), Some((true, "Covered"))),
            (json!([unknown]), Some((false, ""))),
        ] {
            let found = node(&json!(null), &conditions).condition;
            let expected =
                expected.map(|(is_covered, reason)| Known { is_covered, reason: reason.to_owned() });
            assert_eq!(found, expected, "{conditions}");
        }
        for text in ["", "{}", "[]", r#"{"kind": "Node"}"#, r#"{"kind": "Status", "metadata": {"uid": "u"}}"#]
        {
            assert_eq!(SeenNode::read(text), None, "{text}");
        }
    }

    #[test]
    fn one_taint_is_removed_and_others_are_compared_first() {
        let ours = json!({"key": "edgeloop.io/not-covered", "effect": "NoSchedule"});
        let evicts =
            json!({"key": "edgeloop.io/not-covered", "value": "x", "effect": "NoExecute", "timeAdded": "t"});
        let other = json!({"key": "other.io/not-ready", "effect": "NoSchedule"});
        let longer = json!({"key": "edgeloop.io/not-covered-too", "effect": "NoSchedule"});
        for (taints, removed) in [
            (json!(null), None),
            (json!([other, longer]), None),
            (json!([ours]), Some(vec![0])),
            (json!([other, ours]), Some(vec![1])),
            (json!([ours, other, evicts, longer]), Some(vec![2, 0])),
        ] {
            let patch = node(&taints, &json!(null)).without_taint("edgeloop.io/not-covered");
            let expected = removed.map(|places| {
                let mut steps = vec![
                    json!({"op": "test", "path": "/metadata/uid", "value": "u-1"}),
                    json!({"op": "test", "path": "/spec/taints", "value": taints}),
                ];
                steps.extend(
                    places.iter().map(|at| json!({"op": "remove", "path": format!("/spec/taints/{at}")})),
                );
                json!(steps)
            });
            assert_eq!(patch.map(|patch| read(&patch)), expected, "{taints}");
        }
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_transition_while_its_status_stays() {
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let stands = |status: &str| json!([{"type": CONDITION, "status": status, "reason": "x"}]);
        for (conditions, reason, status, transition) in [
            (json!(null), Reason::Covered, "True", true),
            (stands("True"), Reason::Covered, "True", false),
            (stands("True"), Reason::Stale, "False", true),
            (stands("False"), Reason::Stale, "False", false),
            (stands("Unknown"), Reason::Covered, "True", true),
        ] {
            let coverage = Coverage { reason, message: "two\nlines".to_owned() };
            let patch = read(&node(&json!(null), &conditions).with_condition(&coverage, now));
            let mut expected = json!({
                "type": "edgeloop.io/Covered", "status": status, "reason": reason.word(),
                "message": "two\\nlines", "lastHeartbeatTime": "2026-01-02T03:04:05Z",
            });
            if transition {
                expected["lastTransitionTime"] = json!("2026-01-02T03:04:05Z");
            }
            assert_eq!(patch, json!({"status": {"conditions": [expected]}}), "{conditions}");
        }
        let gone = json!({"status": {"conditions": [{"$patch": "delete", "type": "edgeloop.io/Covered"}]}});
        assert_eq!(read(&without_condition()), gone);
    }
}

//! Pods and Namespaces.

use serde_json::{Value, json};

use super::super::*;
use crate::model::{Pod, PodState, SkipLabel};

#[test]
fn the_label_skips_if_it_is_true_and_is_named_if_it_is_neither() {
    let neither = |value: &str| {
        vec![format!(
            "metadata.labels[\"edgeloop.io/skip\"]: {value:?} is neither true nor false; the label is left out"
        )]
    };
    for (labels, label, problems) in [
        (json!({"edgeloop.io/skip": "true"}), SkipLabel::Skip, vec![]),
        (json!({"edgeloop.io/skip": "true", "a": 5}), SkipLabel::Skip, vec![]),
        (json!({"edgeloop.io/skip": "false"}), SkipLabel::Absent, vec![]),
        (json!({"edgeloop.io/skip": "True"}), SkipLabel::Absent, neither("True")),
        (json!({"edgeloop.io/skip": ""}), SkipLabel::Absent, neither("")),
        (json!({"edgeloop.io/skipped": "true"}), SkipLabel::Absent, vec![]),
        (json!({}), SkipLabel::Absent, vec![]),
        (json!(null), SkipLabel::Absent, vec![]),
    ] {
        let metadata = json!({"name": "s", "uid": "u", "labels": labels});
        let found = convert(json!({"metadata": metadata}));
        assert_eq!((found.object.label, &found.problems), (label, &problems), "{labels}");
        let written = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let found = namespace(&written, &mut Interner::default()).unwrap();
        assert_eq!((&*found.object.name, found.object.label, found.problems), ("s", label, problems));
    }
}

#[test]
fn the_topology_of_a_namespace_is_kept_as_it_is_written() {
    for (annotations, expected) in [
        (json!(null), Some(None)),
        (json!({"openyurt.io/topologyKeys": "a"}), Some(None)),
        (json!({"edgeloop.io/topology": " a, *"}), Some(Some(" a, *"))),
        (json!({"edgeloop.io/topology": ""}), Some(Some(""))),
        (json!({"edgeloop.io/topology": 5}), None),
    ] {
        let object = json!({"metadata": {"name": "n", "annotations": annotations}});
        let object = serde_json::from_value(object).unwrap();
        let found = namespace(&object, &mut Interner::default()).ok();
        let topology = found.as_ref().map(|found| found.object.topology.as_deref());
        assert_eq!(topology, expected, "{annotations}");
    }
}

#[test]
fn a_pod_is_known_by_the_uid_that_its_cgroup_has() {
    let mirror = json!({"kubernetes.io/config.mirror": "0f1e"});
    for (shows, metadata, uid) in [
        ("its own", json!({"uid": "12-ab"}), Some("12-ab")),
        ("the mirror of a static pod", json!({"uid": "12-ab", "annotations": mirror}), Some("0f1e")),
        ("none", json!({}), None),
        ("an empty one", json!({"uid": ""}), None),
        ("one that is no text", json!({"uid": 5}), None),
    ] {
        let mut metadata = metadata;
        metadata["name"] = json!("s");
        let found = convert(json!({"metadata": metadata}));
        assert_eq!((found.object.uid.as_deref(), found.problems), (uid, vec![]), "{shows}");
    }
    let labels = json!({"edgeloop.io/skip": "true"});
    let problems = convert(json!({"metadata": {"name": "s", "labels": labels}})).problems;
    assert_eq!(problems, ["metadata.uid: is missing, and the pod cannot be skipped without it"]);
}

#[test]
fn where_a_pod_runs_and_whether_it_has_ended_is_read_if_it_is_there() {
    for (object, node, state) in [
        (json!({}), None, PodState::Live),
        (json!({"spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}), Some("n1"), PodState::Live),
        (json!({"spec": {"nodeName": ""}, "status": {"phase": "Pending"}}), None, PodState::Live),
        (json!({"spec": null, "status": {"phase": "Succeeded"}}), None, PodState::Ended),
        (json!({"spec": {}, "status": {"phase": "Failed"}}), None, PodState::Ended),
        (json!({"status": {"phase": "Unknown"}}), None, PodState::Live),
    ] {
        let mut written = object.clone();
        written["metadata"] = json!({"name": "s"});
        let found = convert(written).object;
        assert_eq!((found.node.as_deref(), found.state), (node, state), "{object}");
    }
}

fn convert(written: Value) -> Converted<Pod> {
    pod(&serde_json::from_value(written).unwrap(), &mut Interner::default()).unwrap()
}

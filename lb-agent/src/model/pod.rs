//! Pods and namespaces, as far as they say whose connections are left alone. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ObjectName;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    pub name: ObjectName,
    /// What its cgroup is named after; `None` where the object does not say it.
    pub uid: Option<Arc<str>>,
    /// The Node it runs on; `None` where the object does not say it.
    pub node: Option<Arc<str>>,
    pub label: SkipLabel,
    pub state: PodState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    pub name: Arc<str>,
    pub label: SkipLabel,
    /// The annotation `edgeloop.io/topology` as written: the topology of Services that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Arc<str>>,
}

/// Whether the annotation `edgeloop.io/topology` of Namespaces counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamespaceTopology {
    #[default]
    Off,
    On,
}

/// What the label `edgeloop.io/skip` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SkipLabel {
    #[default]
    Absent,
    /// The programs leave alone what the pod dials.
    Skip,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodState {
    #[default]
    Live,
    /// All its containers have ended for good: it has no cgroup any more.
    Ended,
}

//! The pods that are left out, as people see them. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pod of this node that is labelled edgeloop.io/skip, or lies in a Namespace that is.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedPod {
    /// NAMESPACE/NAME.
    pub pod: String,
    /// The cgroup by which the programs know it; `null` while it is not skipped for want of one.
    pub cgroup: Option<u64>,
}

/// What the writer knows of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skips {
    pub pods: Vec<SkippedPod>,
    /// Why pods that are labelled are not skipped, or others are.
    pub trouble: Option<String>,
}

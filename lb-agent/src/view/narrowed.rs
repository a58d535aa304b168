//! By what step two makes nodes of one pool use different backends. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::select::decide::{Decision, Why};

/// What leaves out endpoints that other nodes of the same pool may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NarrowedBy {
    /// `internalTrafficPolicy: Local`.
    Local,
    /// Hints in the slices, for nodes or for zones.
    Hints,
}

/// `None`: it keeps out no endpoint for its place.
pub(super) fn narrowed_by(decision: &Decision<'_>) -> Option<NarrowedBy> {
    decision.excluded.iter().find_map(|(_, why)| match why {
        Why::NotLocal => Some(NarrowedBy::Local),
        Why::HintedToOtherNodes | Why::HintedToOtherZones => Some(NarrowedBy::Hints),
        Why::ClusterIp(_)
        | Why::OtherHost
        | Why::OtherPool
        | Why::OtherLabel(_)
        | Why::OtherGroup
        | Why::NoSharedLabel
        | Why::NoLabelHere(_)
        | Why::NotUnderstood
        | Why::NotReady
        | Why::Draining => None,
    })
}

//! Why an endpoint is not used, in words an operator knows.

use std::sync::Arc;

use crate::model::ObjectName;
use crate::shown::Shown;

use super::candidate::Candidate;
use super::nodes::NodeIndex;

/// Why an endpoint is not used. Costs nothing to say at decision time; the sentence is made
/// when someone asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its address is the cluster IP of this Service.
    ClusterIp(ObjectName),
    /// Step one admits the client node alone.
    OtherHost,
    /// Step one admits the client node's pool alone.
    OtherPool,
    /// Step one admits the nodes that share this label's value with the client node.
    OtherLabel(Arc<str>),
    /// Step one admits the client node's node group alone.
    OtherGroup,
    /// Step one admits the nodes that share one label or more of several with the client node.
    NoSharedLabel,
    /// Step one goes by this label and the client node lacks it.
    NoLabelHere(Arc<str>),
    /// The topology was not understood, and such Services are to be refused.
    NotUnderstood,
    NotReady,
    /// Serving and terminating, while others are ready.
    Draining,
    HintedToOtherNodes,
    HintedToOtherZones,
    /// `internalTrafficPolicy: Local`, and it is not on the client node.
    NotLocal,
}

impl Why {
    /// One sentence about `candidate`, which was excluded for this reason, without a full stop.
    #[must_use]
    pub fn describe(&self, candidate: &Candidate<'_>, nodes: &NodeIndex) -> String {
        match self {
            Self::ClusterIp(owner) => format!("its address is the cluster IP of Service {owner}"),
            Self::OtherHost => not_this_node(candidate),
            Self::OtherPool => on_a_known_node(candidate, nodes, |node| match nodes.pool(node) {
                Some(pool) => format!("node {} is in pool {}", Shown(node), Shown(pool)),
                None => format!("node {} is in no pool", Shown(node)),
            }),
            Self::OtherLabel(key) => on_a_known_node(candidate, nodes, |node| {
                let (name, key, value) = (Shown(node), Shown(key), nodes.label_or_name(node, key));
                match value {
                    Some(value) => format!("node {name} has {key}={}", Shown(value)),
                    None => format!("node {name} has no label {key}"),
                }
            }),
            Self::OtherGroup => on_a_known_node(candidate, nodes, |node| match nodes.group(node) {
                Some(group) => format!("node {} is in node group {}", Shown(node), Shown(group)),
                None => format!("node {} is in no node group", Shown(node)),
            }),
            Self::NoSharedLabel => on_a_known_node(candidate, nodes, |node| {
                format!("node {} has none of the labels with this node's value", Shown(node))
            }),
            Self::NoLabelHere(key) => format!("this node has no label {}", Shown(key)),
            Self::NotUnderstood => "the topology is not understood".to_owned(),
            Self::NotReady => "it is not ready".to_owned(),
            Self::Draining => "it is draining while others are ready".to_owned(),
            Self::HintedToOtherNodes => {
                hinted("node", candidate.hints.map_or(&[], |hints| hints.nodes.as_slice()))
            }
            Self::HintedToOtherZones => {
                hinted("zone", candidate.hints.map_or(&[], |hints| hints.zones.as_slice()))
            }
            Self::NotLocal => format!("{} and internalTrafficPolicy is Local", not_this_node(candidate)),
        }
    }
}

fn not_this_node(candidate: &Candidate<'_>) -> String {
    match candidate.node {
        Some(node) => format!("node {} is not this node", Shown(node)),
        None => NO_NODE.to_owned(),
    }
}

fn on_a_known_node(
    candidate: &Candidate<'_>,
    nodes: &NodeIndex,
    describe: impl FnOnce(&str) -> String,
) -> String {
    match candidate.node {
        Some(node) if nodes.labels(node).is_some() => describe(node),
        Some(node) => format!("node {} is not known", Shown(node)),
        None => NO_NODE.to_owned(),
    }
}

const NO_NODE: &str = "it names no node";

fn hinted(kind: &str, to: &[Arc<str>]) -> String {
    let plural = if to.len() == 1 { "" } else { "s" };
    format!("it is hinted to {kind}{plural} {}", Shown(&to.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::model::Family;

    use super::super::decide::decide;
    use super::super::notation::{all, any_of, cast, cast_with, group, labels, slice, topology};
    use super::super::topology::OnInvalid;
    use super::*;

    /// The sentence is about the first endpoint that is out.
    #[test]
    fn a_reason_is_a_sentence_that_an_operator_can_act_on() {
        for (keys, endpoints, says) in [
            ("pool", "a@here c@far", "node far is in pool shanghai"),
            ("pool", "a@here d@loose", "node loose is in no pool"),
            ("pool", "a@here e@ghost", "node ghost is not known"),
            ("pool", "a@here f", "it names no node"),
            ("pool", "a@here c@far!", "node far is in pool shanghai"),
            ("host", "a@here b@near", "node near is not this node"),
            ("host", "a@here e@ghost", "node ghost is not this node"),
            ("host", "a@here f", "it names no node"),
            ("zone", "a@here b@near", "node near has topology.kubernetes.io/zone=z2"),
            ("region", "a@here d@loose", "node loose has no label topology.kubernetes.io/region"),
            ("rack", "a@here e@ghost", "node ghost is not known"),
            ("rack", "a@here f", "it names no node"),
            ("host, pool, *", "b@near c@far", "node far is in pool shanghai"),
            ("host, pool, *", "a@here c@far", "node far is not this node"),
            ("host, pool", "c@far", "node far is in pool shanghai"),
            ("host, pool", "b@near!", "it is not ready"),
            ("pool, zone", "a@here! b@near! c@far!", "it is not ready"),
            ("nonsense", "a@here", "the topology is not understood"),
            ("", "a@here b@near!", "it is not ready"),
            ("pool", "a@here b@near!", "it is not ready"),
            ("", "a@here b@near~", "it is draining while others are ready"),
            ("", "a@here>here b@near>near", "it is hinted to node near"),
            ("", "a@here>here b@near>near+far", "it is hinted to nodes near, far"),
            ("", "a@here>z1 b@near>z2", "it is hinted to zone z2"),
            ("", "a@here>z1 b@near>z2+z3", "it is hinted to zones z2, z3"),
        ] {
            assert_eq!(sentence(keys, false, &cast(), endpoints), says, "{keys:?} {endpoints:?}");
        }
    }

    #[test]
    fn under_traffic_policy_local_the_place_is_told_before_the_health() {
        for (keys, endpoints, says) in [
            ("", "a@here b@near", "node near is not this node and internalTrafficPolicy is Local"),
            ("", "a@here b@near!", "node near is not this node and internalTrafficPolicy is Local"),
            ("", "a@here f", "it names no node and internalTrafficPolicy is Local"),
            ("", "a@here b@here!", "it is not ready"),
            ("", "a@here b@here~", "it is draining while others are ready"),
            ("pool", "a@here c@far", "node far is in pool shanghai"),
        ] {
            assert_eq!(sentence(keys, true, &cast(), endpoints), says, "{keys:?} {endpoints:?}");
        }
    }

    #[test]
    fn a_client_node_that_lacks_what_is_asked_for_is_told_so() {
        for (own, keys, says) in [
            ("", "zone", "this node has no label topology.kubernetes.io/zone"),
            ("", "host, region", "this node has no label topology.kubernetes.io/region"),
            ("", "pool", "node far is in pool shanghai"),
        ] {
            assert_eq!(sentence(keys, false, &cast_with(own), "c@far"), says, "{keys:?}");
        }
    }

    #[test]
    fn a_reason_of_another_dialect_names_what_the_node_has() {
        let in_group = || cast_with("group=g1");
        for (topology, nodes, endpoints, says) in [
            (group(), in_group(), "a@here b@near", "node near is in no node group"),
            (group(), in_group(), "a@here e@ghost", "node ghost is not known"),
            (group(), in_group(), "a@here f", "it names no node"),
            (any_of(r#"["zone"]"#), cast(), "a@here b@near", "node near has topology.kubernetes.io/zone=z2"),
            (any_of(r#"["hostname"]"#), cast(), "a@here b@near", "node near has kubernetes.io/hostname=near"),
            (any_of(r#"["none"]"#), cast(), "a@here", "this node has no label none"),
            (
                any_of(r#"["zone","rack"]"#),
                cast(),
                "a@here b@near",
                "node near has none of the labels with this node's value",
            ),
            (any_of(r#"["zone","rack"]"#), cast(), "a@here e@ghost", "node ghost is not known"),
            (any_of(r#"["zone","rack"]"#), cast(), "a@here f", "it names no node"),
        ] {
            let slice = slice(Family::V4, endpoints);
            let decision = decide(&topology, OnInvalid::Refuse, false, &nodes, all(&slice));
            let (candidate, why) = &decision.excluded[0];
            assert_eq!(why.describe(candidate, &nodes), says, "{endpoints}");
        }
        let mut nodes = cast_with("");
        nodes.by_name.insert("near".into(), labels("group=g2"));
        let slice = slice(Family::V4, "a@here b@near");
        let decision = decide(&group(), OnInvalid::Refuse, false, &nodes, all(&slice));
        let (candidate, why) = &decision.excluded[0];
        assert_eq!(why.describe(candidate, &nodes), "node near is in node group g2");
    }

    fn sentence(keys: &str, local: bool, nodes: &NodeIndex, endpoints: &str) -> String {
        let slice = slice(Family::V4, endpoints);
        let decision = decide(&topology(keys), OnInvalid::Refuse, local, nodes, all(&slice));
        let (candidate, why) = &decision.excluded[0];
        why.describe(candidate, nodes)
    }
}

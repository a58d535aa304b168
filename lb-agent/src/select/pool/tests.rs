//! What each key of a topology keeps, and what it says of the rest.

use crate::model::Family;

use super::super::notation::{all, any_of, cast, cast_with, group, labels, names, slice, topology};
use super::*;

/// Everywhere at once: here, near (same pool), far (other pool), loose (no pool), on an
/// unknown node, and on none.
const EVERYWHERE: &str = "a@here b@near c@far d@loose e@ghost f";

#[test]
fn a_hard_key_keeps_what_it_reaches_and_nothing_else() {
    for (shows, keys, own, endpoints, stay) in [
        ("no topology", "", "pool=hangzhou", EVERYWHERE, "a b c d e f"),
        ("the client node alone", "host", "pool=hangzhou", EVERYWHERE, "a"),
        ("the client's pool", "pool", "pool=hangzhou", EVERYWHERE, "a b"),
        (
            "OpenYurt's zone is the pool, not the zone label",
            "kubernetes.io/zone",
            "pool=hangzhou zone=z1",
            EVERYWHERE,
            "a b",
        ),
        ("the pool by the other label", "pool", "desired=shanghai", EVERYWHERE, "a c"),
        ("a client without a pool is a pool of one", "pool", "", EVERYWHERE, "a"),
        ("nodes without a pool share none", "pool", "", "d@loose", ""),
        ("a client whose pool label is empty too", "pool", "pool=", EVERYWHERE, "a"),
        ("a pool that no other node is in", "pool", "pool=beijing", EVERYWHERE, "a"),
        (
            "nothing left is an empty set, never a wider one",
            "pool",
            "pool=hangzhou",
            "c@far d@loose e@ghost f",
            "",
        ),
        ("hostname does not fall back to the pool", "host", "pool=hangzhou", "b@near c@far", ""),
        ("readiness is not read", "pool", "pool=hangzhou", "a@here! b@near~ c@far", "a b"),
        (
            "hints are not read",
            "pool",
            "pool=hangzhou zone=z1",
            "a@here>z9+far b@near>z1 c@far>z1+here",
            "a b",
        ),
        ("hostname reads no label", "host", "", EVERYWHERE, "a"),
    ] {
        assert_eq!(stays(keys, &cast_with(own), endpoints), stay, "{shows}");
    }
}

#[test]
fn ordered_keys_go_outward_only_as_far_as_they_must() {
    for (shows, keys, endpoints, stay) in [
        ("the nearest that is ready", "host, pool, *", "a@here b@near c@far", "a"),
        ("all of the pool, no more", "pool, *", "a@here b@near c@far", "a b"),
        ("to the pool when this node has none", "host, pool, *", "b@near c@far", "b"),
        ("to anywhere when the pool has none", "host, pool, *", "c@far d@loose e@ghost f", "c d e f"),
        ("unready ones of the winning key stay for step two", "pool, *", "a@here b@near! c@far", "a b"),
        ("draining ones of the winning key stay for step two", "pool, *", "a@here b@near~ c@far", "a b"),
        ("wider when the pool is unready, with the unready", "pool, *", "a@here! c@far", "a c"),
        ("ready far beats draining near", "pool, *", "a@here~ c@far", "a c"),
        ("draining near when none is ready", "pool, *", "a@here~ c@far~", "a"),
        ("draining further out before nothing", "host, pool", "a@here! b@near~ c@far", "a b"),
        ("ready and terminating counts as ready", "host, pool", "a@here^ b@near", "a"),
        ("nothing usable is an empty set", "host, *", "a@here! c@far!", ""),
        ("no endpoint at all", "host, *", "", ""),
        ("never wider than asked", "host", "b@near c@far", ""),
        ("never wider than asked, in a list", "host, pool", "c@far d@loose e@ghost f", ""),
        ("a list of one goes by readiness, unlike the hard key", "pool ", "a@here! b@near!", ""),
        ("a list of one reaches no further", "pool ", "a@here b@near c@far", "a b"),
        ("the order is the operator's", "pool, host", "a@here b@near", "a b"),
        ("a label's value must be the client's", "zone, *", "a@here b@near c@far d@loose", "a c"),
        ("a label lies between two others", "zone, region", "b@near d@loose", "b"),
        ("a node that lacks the label does not share it", "region", "d@loose e@ghost f", ""),
        ("a label the operator allows", "rack", "a@here b@near c@far", "a c"),
        ("any reaches an unknown node and none", "*", "e@ghost f", "e f"),
    ] {
        assert_eq!(stays(keys, &cast(), endpoints), stay, "{shows}");
    }
}

#[test]
fn a_key_whose_label_the_client_lacks_is_skipped_but_never_host_or_pool() {
    for (shows, keys, own, endpoints, stay) in [
        ("skipped, the next one wins", "zone, pool", "pool=hangzhou", "a@here b@near c@far", "a b"),
        ("skipped, though this node has an endpoint", "zone, *", "", "a@here c@far", "a c"),
        ("an empty value counts as lacking", "zone, *", "zone=", "a@here c@far", "a c"),
        ("all skipped: nothing", "zone, region", "", "a@here c@far", ""),
        ("two that lack a label do not share it", "region", "", "d@loose", ""),
        ("the pool is then the client node", "pool, *", "", "a@here b@near", "a"),
        ("and goes on when that has none", "pool, *", "", "b@near d@loose", "b d"),
        ("hostname reads no label", "host, *", "", "a@here b@near", "a"),
    ] {
        assert_eq!(stays(keys, &cast_with(own), endpoints), stay, "{shows}");
    }
}

#[test]
fn before_the_client_node_was_ever_known_it_is_a_pool_of_one() {
    let mut nodes = cast();
    nodes.own = None;
    assert_eq!(stays("pool", &nodes, EVERYWHERE), "a");
    assert_eq!(stays("host", &nodes, EVERYWHERE), "a");
}

#[test]
fn a_node_that_changes_its_pool_takes_its_endpoints_along() {
    let mut nodes = cast();
    nodes.by_name.insert("far".into(), labels("pool=hangzhou"));
    nodes.by_name.insert("near".into(), labels("zone=z1"));
    assert_eq!(stays("pool", &nodes, EVERYWHERE), "a c");

    nodes.by_name.remove("far");
    assert_eq!(stays("pool", &nodes, EVERYWHERE), "a", "an unknown node never matches");
}

#[test]
fn what_is_not_understood_filters_nothing_or_everything() {
    let nodes = cast();
    let slice = slice(Family::V4, EVERYWHERE);
    let topology = topology("pool, nonsense");
    for (on_invalid, stay) in [(OnInvalid::Unfiltered, "a b c d e f"), (OnInvalid::Refuse, "")] {
        let filter = Filter::new(&topology, on_invalid, &nodes, &all(&slice));
        assert_eq!(left_by(&filter, &nodes, &all(&slice)), stay, "{on_invalid:?}");
    }
    assert_eq!(OnInvalid::default(), OnInvalid::Unfiltered, "as OpenYurt does");
}

#[test]
fn what_is_understood_does_not_heed_how_nonsense_is_treated() {
    let nodes = cast();
    let slice = slice(Family::V4, EVERYWHERE);
    for (keys, stay) in [("", "a b c d e f"), ("pool", "a b"), ("pool, *", "a b")] {
        let topology = topology(keys);
        let filter = Filter::new(&topology, OnInvalid::Refuse, &nodes, &all(&slice));
        assert_eq!(left_by(&filter, &nodes, &all(&slice)), stay, "{keys:?}");
    }
}

#[test]
fn a_node_group_is_the_known_nodes_with_this_nodes_label_or_without_one_as_this_node() {
    let groups = |own: &str, near: &str, loose: &str| {
        let mut nodes = cast_with(own);
        nodes.by_name.insert("near".into(), labels(near));
        nodes.by_name.insert("loose".into(), labels(loose));
        nodes
    };
    for (shows, nodes, endpoints, stay, level) in [
        ("the same label", groups("group=g1", "group=g1", ""), EVERYWHERE, "a b", "node group g1"),
        ("another label", groups("group=g1", "group=g2", ""), EVERYWHERE, "a", "node group g1"),
        (
            "without one as this node",
            groups("", "", "group=g1"),
            EVERYWHERE,
            "a b c",
            "nodes in no node group",
        ),
        (
            "an empty label counts as lacking",
            groups("group=", "group=", "group=g1"),
            EVERYWHERE,
            "a b c",
            "nodes in no node group",
        ),
        (
            "hard: nothing nearby",
            groups("group=g1", "", ""),
            "b@near c@far d@loose e@ghost f",
            "",
            "node group g1",
        ),
        (
            "readiness has no say",
            groups("group=g1", "group=g1", ""),
            "a@here! b@near! c@far",
            "a b",
            "node group g1",
        ),
        (
            "pools are something else",
            groups("group=g1 pool=p1", "pool=p1", ""),
            EVERYWHERE,
            "a",
            "node group g1",
        ),
    ] {
        assert_eq!(stays_by(&group(), &nodes, endpoints), (stay.to_owned(), level.to_owned()), "{shows}");
    }
    let mut nodes = cast_with("");
    nodes.own = None;
    assert_eq!(stays_by(&group(), &nodes, EVERYWHERE).0, "a", "this node's labels were never known");
}

#[test]
fn a_union_reaches_what_shares_any_label_and_nothing_else() {
    let lone = || cast_with("");
    for (shows, list, nodes, endpoints, stay) in [
        ("one label", r#"["zone"]"#, cast(), EVERYWHERE, "a c"),
        ("any of two, whatever their order", r#"["zone","region"]"#, cast(), EVERYWHERE, "a b c"),
        ("far stays though near is ready", r#"["hostname","zone"]"#, cast(), "a@here c@far d@loose", "a c"),
        ("readiness has no say", r#"["zone"]"#, cast(), "a@here! c@far~ b@near", "a c"),
        ("a name where no label says it", r#"["hostname"]"#, cast(), EVERYWHERE, "a"),
        ("the label where one does", r#"["hostname"]"#, cast_with("hostname=near"), EVERYWHERE, "a b"),
        ("this node lacks one of them", r#"["none","zone"]"#, cast(), EVERYWHERE, "a c"),
        ("this node lacks all: its own are out, too", r#"["zone","region"]"#, lone(), EVERYWHERE, ""),
        ("a key that no node has", r#"["*"]"#, cast(), EVERYWHERE, ""),
        ("nothing left is refused", r#"["hostname"]"#, cast(), "b@near e@ghost f", ""),
    ] {
        assert_eq!(stays_by(&any_of(list), &nodes, endpoints).0, stay, "{shows}");
    }
}

#[test]
fn a_union_goes_to_the_nodes_with_the_labels_that_this_node_has() {
    for (list, own, level) in [
        (r#"["zone"]"#, "zone=z1", "nodes with topology.kubernetes.io/zone=z1"),
        (r#"["zone","none"]"#, "zone=z1", "nodes with topology.kubernetes.io/zone=z1"),
        (r#"["hostname"]"#, "", "nodes with kubernetes.io/hostname=here"),
        (r#"["b","a"]"#, "a=1 b=2", "nodes with a=1 or b=2"),
        (r#"["b","a"]"#, "", "no node"),
    ] {
        assert_eq!(stays_by(&any_of(list), &cast_with(own), EVERYWHERE).1, level, "{list} {own}");
    }
}

fn stays_by(topology: &Topology, nodes: &NodeIndex, endpoints: &str) -> (String, String) {
    let slice = slice(Family::V4, endpoints);
    let filter = Filter::new(topology, OnInvalid::Unfiltered, nodes, &all(&slice));
    (left_by(&filter, nodes, &all(&slice)), filter.level().to_string())
}

fn stays(keys: &str, nodes: &NodeIndex, endpoints: &str) -> String {
    let slice = slice(Family::V4, endpoints);
    let topology = topology(keys);
    let filter = Filter::new(&topology, OnInvalid::Unfiltered, nodes, &all(&slice));
    left_by(&filter, nodes, &all(&slice))
}

fn left_by(filter: &Filter<'_>, nodes: &NodeIndex, candidates: &[Candidate<'_>]) -> String {
    names(candidates.iter().filter(|candidate| filter.excludes(candidate, nodes).is_none()))
}

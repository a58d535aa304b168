//! The language of the tests of this room and of `store`: a fixed cast of nodes, and endpoints and
//! labels written as words.
//!
//! The client is on `here`. `near` is in its pool, `far` in another, `loose` in none, and
//! `ghost` is a node that nothing is known of.
//!
//! An endpoint is written `name@node`, or `name` alone where it names no node; the name is one
//! letter. Behind it stands `!` when it is unready, `?` when it is not ready and serves, `~` when it is draining, `^` when it is
//! ready and terminating. Then, after `>`, its hints joined by `+`: zones start with `z`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::model::{
    Changed, Conditions, Dialect, Endpoint, Family, Hints, Labels, ObjectName, Protocol, ServicePortKey,
    Slice, SlicePort,
};

use super::candidate::{Candidate, candidates};
use super::nodes::NodeIndex;
use super::topology::Topology;

pub(super) const NODES: [(&str, &str); 4] = [
    ("here", "pool=hangzhou zone=z1 region=east rack=r1"),
    ("near", "pool=hangzhou zone=z2 region=east rack=r2"),
    ("far", "pool=shanghai zone=z1 region=west rack=r1"),
    ("loose", "zone=z3"),
];

/// What is known of the cast.
pub(super) fn cast() -> NodeIndex {
    cast_with(NODES[0].1)
}

/// The same, with other labels on the client node.
pub(super) fn cast_with(own: &str) -> NodeIndex {
    let mut nodes: BTreeMap<Arc<str>, Labels> =
        NODES.iter().map(|(node, text)| (Arc::from(*node), labels(text))).collect();
    nodes.insert("here".into(), labels(own));
    NodeIndex { here: "here".into(), own: Some(labels(own)), by_name: nodes.into(), ..NodeIndex::default() }
}

/// Labels by their short names.
pub(crate) fn labels(text: &str) -> Labels {
    text.split_whitespace()
        .filter_map(|label| label.split_once('='))
        .map(|(name, value)| (Arc::from(label_key(name)), Arc::from(value)))
        .collect()
}

fn label_key(name: &str) -> &str {
    match name {
        "pool" => "apps.openyurt.io/nodepool",
        "desired" => "apps.openyurt.io/desired-nodepool",
        "zone" => "topology.kubernetes.io/zone",
        "region" => "topology.kubernetes.io/region",
        "rack" => "example.com/rack",
        "group" => "apps.kubeedge.io/belonging-to",
        "hostname" => "kubernetes.io/hostname",
        other => other,
    }
}

/// The annotation with its keys written short; `rack` is the label that the operator allows.
pub(super) fn topology(short: &str) -> Topology {
    let items: Vec<String> = short.split(',').map(long_key).collect();
    Topology::parse(Some(&items.join(",")), &["example.com/rack".into()])
}

/// KubeEdge's node group.
pub(super) fn group() -> Topology {
    Topology::read(Dialect::KubeEdge, "range-nodegroup", &[])
}

/// SuperEdge's annotation with its keys written short, as in `["zone","rack"]`.
pub(super) fn any_of(list: &str) -> Topology {
    let keys = list.trim_matches(['[', ']']).split(',').map(|key| label_key(key.trim_matches('"')));
    let list: Vec<String> = keys.map(|key| format!("\"{key}\"")).collect();
    Topology::read(Dialect::SuperEdge, &format!("[{}]", list.join(",")), &[])
}

/// Blanks around the item stay: they make it a list of one instead of a hard key.
fn long_key(item: &str) -> String {
    let key = match item.trim() {
        "" => return item.to_owned(),
        "host" => "kubernetes.io/hostname",
        "pool" => "openyurt.io/nodepool",
        label => label_key(label),
    };
    item.replace(item.trim(), key)
}

/// The service port that [`slice`] belongs to.
pub(super) fn key(family: Family) -> ServicePortKey {
    ServicePortKey {
        service: ObjectName::new("default", "web"),
        port_name: "http".into(),
        protocol: Protocol::Tcp,
        family,
    }
}

/// A slice of `default/web` that holds these endpoints on port 8080, named `http`.
pub(super) fn slice(family: Family, text: &str) -> Slice {
    Slice {
        name: ObjectName::new("default", "web-1"),
        service: Some("web".into()),
        family: Some(family),
        headless: false,
        not_read: None,
        changed: Changed::default(),
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: text.split_whitespace().map(|word| endpoint(family, word)).collect(),
    }
}

pub(crate) fn endpoint(family: Family, word: &str) -> Endpoint {
    let (word, hints) = word.split_once('>').map_or((word, ""), |(word, hints)| (word, hints));
    let (word, conditions) = match word.chars().last() {
        Some('!') => (&word[..word.len() - 1], conditions(false, false, false)),
        Some('?') => (&word[..word.len() - 1], conditions(false, true, false)),
        Some('~') => (&word[..word.len() - 1], conditions(false, true, true)),
        Some('^') => (&word[..word.len() - 1], conditions(true, true, true)),
        _ => (word, conditions(true, true, false)),
    };
    let (name, node) = word.split_once('@').map_or((word, None), |(name, node)| (name, Some(node)));
    Endpoint {
        address: address(family, name.as_bytes()[0]),
        conditions,
        node: node.map(Arc::from),
        hints: (!hints.is_empty()).then(|| {
            let (zones, nodes) =
                hints.split('+').map(Arc::from).partition(|hint: &Arc<str>| hint.starts_with('z'));
            Box::new(Hints { zones, nodes })
        }),
    }
}

pub(super) fn conditions(ready: bool, serving: bool, terminating: bool) -> Conditions {
    Conditions { ready, serving, terminating }
}

pub(super) fn address(family: Family, last: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, 0, last).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).into(),
    }
}

/// The slice's endpoints as candidates of its service port.
pub(super) fn all(slice: &Slice) -> Vec<Candidate<'_>> {
    candidates([slice], &key(slice.family.unwrap()))
}

/// Their names, as written.
pub(super) fn names<'c, 'a: 'c>(candidates: impl IntoIterator<Item = &'c Candidate<'a>>) -> String {
    let names: Vec<String> =
        candidates.into_iter().map(|candidate| char::from(name(candidate)).to_string()).collect();
    names.join(" ")
}

fn name(candidate: &Candidate<'_>) -> u8 {
    match candidate.backend.ip() {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    }
}

//! Which changes touch which Services, and what is done with their ports.
//!
//! Services, endpoints and slices have names of one letter before a dash: Service `a` is
//! `default/a` on 10.96.0.97 with the port `http` = 80/TCP, and the slice `a-1` is one of its
//! slices, on port 8080. Endpoints and labels are written as in `select::notation`. The client is
//! on `n1`.

mod admitted;
mod claims;
mod dialects;
mod dials;
mod dirty;
mod namespaces;
mod nodes;
mod ports;
mod skips;
mod snapshot;
mod topologies;
mod unread;

use std::net::{IpAddr, Ipv4Addr};

use crate::model::{
    Change, Changed, Family, Kind, Node, Object, ObjectName, Protocol, Service, ServicePort, Slice, SlicePort,
};

use crate::select::decide::Decision;

use crate::select::notation::{endpoint, labels};

use super::{Disposition, Port, Rules, Store};

const HOST: &str = "kubernetes.io/hostname";
const POOL: &str = "openyurt.io/nodepool";
const ZONE: &str = "topology.kubernetes.io/zone";
const RACK: &str = "example.com/rack";

/// A store on `n1` that knows all there is, with nothing left to do. `RACK` is allowed.
fn store(objects: impl IntoIterator<Item = Object>) -> Store {
    let mut store = unsynced(objects);
    for kind in Kind::ALL {
        store.apply(Change::Synced(kind));
    }
    store.take_dirty();
    store
}

/// The same before a source said that this is all.
fn unsynced(objects: impl IntoIterator<Item = Object>) -> Store {
    let mut store = Store::new("n1", Rules { topology_labels: vec![RACK.into()], ..Rules::default() });
    for object in objects {
        store.apply(Change::Apply(object));
    }
    store.take_dirty();
    store
}

fn service(name: &str) -> Service {
    Service {
        name: ObjectName::new("default", name),
        created: None,
        skipped: None,
        discarded: false,
        addresses: vec![Ipv4Addr::new(10, 96, 0, name.as_bytes()[0]).into()],
        ports: vec![port("http", Protocol::Tcp, 80)],
        topology: None,
        uid: None,
        internal_local: false,
        affinity: None,
        foreign: None,
        further: None,
    }
}

fn with_topology(name: &str, keys: &str) -> Service {
    Service { topology: Some(keys.into()), ..service(name) }
}

fn port(name: &str, protocol: Protocol, port: u16) -> ServicePort {
    ServicePort { name: name.into(), protocol, port, node_port: None }
}

/// A slice of the Service that its first letter names.
fn slice(name: &str, endpoints: &str) -> Slice {
    Slice {
        name: ObjectName::new("default", name),
        service: Some(name[..1].into()),
        family: Some(Family::V4),
        headless: false,
        not_read: None,
        changed: Changed::default(),
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: endpoints.split_whitespace().map(|word| endpoint(Family::V4, word)).collect(),
    }
}

/// Labels are written `pool=p1 zone=z1`.
fn node(name: &str, text: &str) -> Node {
    Node { name: name.into(), labels: labels(text), odd_labels: Vec::new() }
}

/// Takes the change in. Returns the Services that it touched.
fn touched(store: &mut Store, change: Change) -> String {
    store.apply(change);
    dirty(store)
}

/// Their names; with the namespace where that is not `default`.
fn dirty(store: &mut Store) -> String {
    let names = store.take_dirty().into_iter().map(|service| match &*service.namespace {
        "default" => service.name.to_string(),
        _ => service.to_string(),
    });
    names.collect::<Vec<_>>().join(" ")
}

/// What is said of each port of `default/name`, in order.
fn said(store: &Store, name: &str) -> String {
    let ports = store.ports(&ObjectName::new("default", name));
    ports.iter().map(port_said).collect::<Vec<_>>().join("; ")
}

fn port_said(port: &Port<'_>) -> String {
    match &port.disposition {
        Disposition::Serve(decision) => decided(decision),
        Disposition::Leave(why) => why.describe(),
        Disposition::Keep { otherwise: None, .. } => "keep".to_owned(),
        Disposition::Keep { otherwise: Some(decision), .. } => format!("keep, or {}", decided(decision)),
    }
}

fn decided(decision: &Decision<'_>) -> String {
    if decision.chosen.is_empty() {
        return "refuse".to_owned();
    }
    let names = decision.chosen.iter().map(|candidate| match candidate.backend.ip() {
        IpAddr::V4(address) => char::from(address.octets()[3]).to_string(),
        IpAddr::V6(address) => char::from(address.octets()[15]).to_string(),
    });
    names.collect::<Vec<_>>().join(" ")
}

fn now(object: impl Into<Object>) -> Change {
    Change::Apply(object.into())
}

fn gone(object: impl Into<Object>) -> Change {
    Change::Delete(object.into().key())
}

impl From<Service> for Object {
    fn from(service: Service) -> Self {
        Self::Service(service)
    }
}

impl From<Slice> for Object {
    fn from(slice: Slice) -> Self {
        Self::Slice(slice)
    }
}

impl From<Node> for Object {
    fn from(node: Node) -> Self {
        Self::Node(node)
    }
}

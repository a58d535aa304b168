//! Our words: services, slices, endpoints, nodes. No Kubernetes types, no kernel types. Pure.

mod change;
mod client;
mod dialect;
mod frontend;
mod host;
mod kind;
mod mode;
mod moment;
mod peers;
mod pod;
mod report;
pub mod self_test;
mod shards;
mod slice;
mod staleness;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::shown::Shown;

pub use change::{Change, SliceOwner, Unread};
pub use client::{Memory, Process, Translation, UdpEnd};
pub use dialect::{Dialect, Foreign};
pub use frontend::Frontend;
pub use host::{HostAddresses, Network, NotANetwork};
pub use kind::Kind;
pub use mode::{First, Mode, TcpPeername};
pub use moment::{Age, Moment};
pub use peers::{Cause, EndBy, Ended, Left, Obstacle, PeersReport, Pods};
pub use pod::{Namespace, NamespaceTopology, Pod, PodState, SkipLabel};
pub use report::{
    ApiReport, Duplicate, Failure, FileNote, FileProblem, FileReport, KindState, KnownFile, OfFile,
    SourceReport, SourceState, path,
};
pub use self_test::{SelfTest, SelfTestPorts, SelfTestRound};
pub use shards::Shards;
pub use slice::{Changed, Slice, SlicePort};
pub use staleness::Staleness;

/// Namespace and name. Prints as `namespace/name`, as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectName {
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Shown(&self.namespace), Shown(&self.name))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// As people write it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The address that no host has.
    #[must_use]
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// One of each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerFamily<T> {
    pub v4: T,
    pub v6: T,
}

impl<T> PerFamily<T> {
    /// What `of` returns for each family.
    pub fn each(of: impl Fn(Family) -> T) -> Self {
        Self { v4: of(Family::V4), v6: of(Family::V6) }
    }

    #[must_use]
    pub const fn of(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    pub const fn of_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its number in IP headers (IANA).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol of that number in IP headers.
    #[must_use]
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }

    /// As Kubernetes writes it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// A Service, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub name: ObjectName,
    /// `metadata.creationTimestamp` in seconds since 1970; `None` where the object has none,
    /// which counts as the youngest.
    pub created: Option<i64>,
    /// Why this object does not count; `None` when it does.
    pub skipped: Option<Skipped>,
    /// Left alone at its owner's wish (`svc.openyurt.io/discard` on a LoadBalancer).
    pub discarded: bool,
    /// The cluster IPs, at most one of each family.
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<ServicePort>,
    /// The annotation `openyurt.io/topologyKeys` as written.
    pub topology: Option<Arc<str>>,
    /// Boxed, for few Services have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Box<Foreign>>,
    /// `metadata.uid`, kept only with a topology: an Event about it needs the uid.
    pub uid: Option<Arc<str>>,
    /// `internalTrafficPolicy: Local`.
    pub internal_local: bool,
    /// `sessionAffinity: ClientIP` with its timeout in seconds.
    pub affinity: Option<u32>,
    /// Boxed, for few Services have any.
    pub further: Option<Box<Further>>,
}

/// Addresses that a Service has besides its cluster IPs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Further {
    /// `status.loadBalancer.ingress[].ip` where a node answers for the load balancer (`ipMode` VIP or none).
    pub balancer: Vec<IpAddr>,
    pub sources: Sources,
    /// `externalIPs`.
    pub external: Vec<IpAddr>,
}

/// Who may dial the load balancer addresses of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sources {
    #[default]
    Any,
    /// Only those that `loadBalancerSourceRanges` names.
    Limited,
}

/// What an address is to the Service that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    ClusterIp,
    LoadBalancer,
    ExternalIp,
    /// Any address of the node, on a port of its own: written as the unspecified address.
    NodePort,
}

impl AddressKind {
    /// As it is called in a sentence.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ClusterIp => "cluster IP",
            Self::LoadBalancer => "load balancer address",
            Self::ExternalIp => "external IP",
            Self::NodePort => "node port",
        }
    }
}

/// Why a Service does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Skipped {
    ExternalName,
    Headless,
    /// `clusterIP` is empty: none was assigned yet.
    NoClusterIp,
    /// No cluster IP that is written can be used.
    UnusableClusterIp,
    /// The label `service.kubernetes.io/service-proxy-name` gives it to another proxy.
    OtherProxy(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// Unnamed is "".
    pub name: Arc<str>,
    pub protocol: Protocol,
    pub port: u16,
    /// The port on the addresses of nodes.
    pub node_port: Option<NonZeroU16>,
}

/// One endpoint of a slice: `addresses[0]` and what decides about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub address: IpAddr,
    pub conditions: Conditions,
    /// `None` is on no known node.
    pub node: Option<Arc<str>>,
    pub hints: Option<Box<Hints>>,
}

/// The three conditions, with nil already replaced: ready, serving, not terminating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
}

impl Conditions {
    /// Ready wins over terminating (`publishNotReadyAddresses`).
    #[must_use]
    pub const fn health(self) -> Health {
        match self {
            Self { ready: true, .. } => Health::Ready,
            Self { serving: true, terminating: true, .. } => Health::Draining,
            Self { .. } => Health::Unready,
        }
    }
}

/// What an endpoint is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Ready,
    /// Serving and terminating: used when nothing is ready.
    Draining,
    Unready,
}

/// `hints` of an endpoint. Both empty is stored as no hints at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hints {
    pub zones: Vec<Arc<str>>,
    pub nodes: Vec<Arc<str>>,
}

/// Labels with a non-empty value: an empty one counts as lacking.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: Arc<str>,
    pub labels: Labels,
    /// The keys of labels that are no texts. Where the operator has one of them say where the Node is, the Node is as one that
    /// cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub odd_labels: Vec<Arc<str>>,
}

/// One port of one Service in one IP family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePortKey {
    pub service: ObjectName,
    pub port_name: Arc<str>,
    pub protocol: Protocol,
    pub family: Family,
}

/// One object as a source last saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Object {
    Service(Service),
    Slice(Slice),
    Node(Node),
    Pod(Pod),
    Namespace(Namespace),
}

/// Names one object among all kinds. The namespace of what lies in none is "".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    pub kind: Kind,
    pub name: ObjectName,
}

impl ObjectKey {
    /// Of an object that lies in no namespace.
    pub(crate) fn of_cluster(kind: Kind, name: &Arc<str>) -> Self {
        Self { kind, name: ObjectName { namespace: "".into(), name: Arc::clone(name) } }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_of_cluster() {
            write!(f, "{} {}", self.kind.label(), Shown(&self.name.name))
        } else {
            write!(f, "{} {}", self.kind.label(), self.name)
        }
    }
}

impl Object {
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Service(service) => ObjectKey { kind: Kind::Service, name: service.name.clone() },
            Self::Slice(slice) => ObjectKey { kind: Kind::EndpointSlice, name: slice.name.clone() },
            Self::Node(node) => ObjectKey::of_cluster(Kind::Node, &node.name),
            Self::Pod(pod) => ObjectKey { kind: Kind::Pod, name: pod.name.clone() },
            Self::Namespace(namespace) => ObjectKey::of_cluster(Kind::Namespace, &namespace.name),
        }
    }
}

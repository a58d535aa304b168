//! The agent's test of itself: a Service of its own, which leads to listeners of its own. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use super::{
    Changed, Conditions, Endpoint, Family, Frontend, ObjectName, PerFamily, Protocol, Service, ServicePort,
    Slice, SlicePort,
};

/// What the self-test dials: addresses of the networks for documentation (RFC 5737, RFC 3849), which lead nowhere, and
/// tcpmux.
const ADDRESSES: PerFamily<IpAddr> = PerFamily {
    v4: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    v6: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
};
const PORT: u16 = 1;
/// How many frontends that is: room that Services do not get.
pub const FRONTENDS: u32 = 2;
/// No namespace of a cluster has this name.
const NAMESPACE: &str = "-";
const NAME: &str = "self-test";

/// Where the self-test's listeners are, each at its family's loopback address; `None` in a family that this machine
/// lacks.
pub type SelfTestPorts = PerFamily<Option<NonZeroU16>>;

/// How one round of the self-test ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelfTestRound {
    /// Why a connection did not arrive; `None` where it did, and in a family that was not dialled.
    pub failed: PerFamily<Option<Arc<str>>>,
}

/// What is known by the self-test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SelfTest {
    /// `--self-test off`.
    #[default]
    Off,
    /// It cannot be done here, and why; readiness does not wait for it.
    NotTested(Arc<str>),
    /// No round has ended since the programs were attached.
    Pending,
    Passed {
        at: Instant,
    },
    /// Two rounds in a row, or all until now.
    Failed {
        why: Arc<str>,
        /// When a round passed last.
        passed: Option<Instant>,
    },
}

impl SelfTest {
    /// Whether readiness waits for it.
    #[must_use]
    pub const fn is_waited_for(&self) -> bool {
        match self {
            Self::Off | Self::NotTested(_) | Self::Passed { .. } => false,
            Self::Pending | Self::Failed { .. } => true,
        }
    }

    /// When a round passed last.
    #[must_use]
    pub const fn passed(&self) -> Option<Instant> {
        match self {
            Self::Off | Self::NotTested(_) | Self::Pending => None,
            Self::Passed { at } => Some(*at),
            Self::Failed { passed, .. } => *passed,
        }
    }
}

/// What the self-test dials in this family.
#[must_use]
pub const fn frontend(family: Family) -> Frontend {
    Frontend { address: SocketAddr::new(*ADDRESSES.of(family), PORT), protocol: Protocol::Tcp }
}

/// Whether this is the self-test's Service, which no source has.
#[must_use]
pub fn is_self_test(service: &ObjectName) -> bool {
    *service.namespace == *NAMESPACE && *service.name == *NAME
}

/// Whether this slice is one of that Service.
#[must_use]
pub fn is_of_self_test(slice: &Slice) -> bool {
    *slice.name.namespace == *NAMESPACE
}

/// The Service that the self-test dials, and its slices: one endpoint in each family that has a listener.
#[must_use]
pub fn objects(ports: &SelfTestPorts) -> (Service, Vec<Slice>) {
    let families = || Family::ALL.into_iter().filter_map(|family| Some((family, (*ports.of(family))?)));
    let service = Service {
        name: ObjectName::new(NAMESPACE, NAME),
        created: None,
        skipped: None,
        discarded: false,
        addresses: families().map(|(family, _)| *ADDRESSES.of(family)).collect(),
        ports: vec![ServicePort { name: "".into(), protocol: Protocol::Tcp, port: PORT, node_port: None }],
        topology: None,
        uid: None,
        internal_local: false,
        affinity: None,
        foreign: None,
        further: None,
    };
    let slice = |(family, port): (Family, NonZeroU16)| Slice {
        name: ObjectName::new(NAMESPACE, family.label()),
        service: Some(NAME.into()),
        family: Some(family),
        headless: false,
        not_read: None,
        changed: Changed::default(),
        ports: vec![SlicePort { name: "".into(), protocol: Protocol::Tcp, port: port.get() }],
        endpoints: vec![Endpoint {
            address: loopback(family),
            conditions: Conditions { ready: true, serving: true, terminating: false },
            node: None,
            hints: None,
        }],
    };
    (service, families().map(slice).collect())
}

/// Where the listener of this family is.
#[must_use]
pub const fn loopback(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

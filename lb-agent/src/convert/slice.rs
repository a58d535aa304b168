//! EndpointSlices: where a Service's pods are, and in what state.

use std::net::IpAddr;
use std::num::NonZeroI64;
use std::sync::Arc;

use crate::model::{Changed, Conditions, Endpoint, Family, Hints, Kind, Slice, SlicePort};
use crate::shown::{Quoted, Shown};

use super::ip::address;
use super::written::Text;
use super::{Converted, Interner, Unusable, has_label, label, object_name, port, protocol, written};

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";

/// The label of a Node that `v1beta1` names it by.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Of `discovery.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    /// An endpoint's node is `nodeName`, or `topology["kubernetes.io/hostname"]` where that is absent:
    /// Kubernetes before 1.20 has no `nodeName`.
    V1beta1,
}

/// An `EndpointSlice`, as far as it matters here: whatever its source, this decides what counts.
///
/// 0. A slice that carries the label `service.kubernetes.io/headless`, or no `kubernetes.io/service-name`,
///    is of no Service. No other label has a say.
/// 1. Of each endpoint only `addresses[0]` counts. One that cannot be read, or is not of the
///    slice's family, is left out and named; the others stay. Where the slice's `addressType` is not an IP
///    family, none can be used, and the slice says so.
/// 2. Conditions that are nil read as ready, serving, not terminating.
/// 3. Ports without a number are left out silently: that is their ordinary form for a slice
///    that is not of a Service.
///
/// # Errors
/// The object has no name, or its Service cannot be read.
pub fn slice(
    object: &written::EndpointSlice,
    version: Version,
    names: &mut Interner,
) -> Result<Converted<Slice>, Unusable> {
    let metadata = &object.metadata;
    let (namespace, labels) = (metadata.namespace.as_deref(), metadata.labels.as_ref());
    let name = object_name(Kind::EndpointSlice, metadata.name.as_deref(), namespace, names)?;
    let mut problems = Vec::new();
    let family = family(&object.address_type);
    let headless = has_label(labels, HEADLESS);
    let service = if headless { None } else { label(labels, SERVICE_NAME)? };
    let service = service.filter(|service| !service.is_empty());
    let written = object.endpoints.as_deref().unwrap_or_default();
    let of = service.map(|service| format!(" of Service {}/{}", Shown(&name.namespace), Shown(service)));
    let reader = Reader { version, of: of.unwrap_or_default() };
    let ports = reader.ports(object.ports.as_deref().unwrap_or_default(), names, &mut problems);
    let endpoints = match family {
        Some(family) => reader.endpoints(written, family, names, &mut problems),
        None => Vec::new(),
    };
    let not_read = match family {
        None if !written.is_empty() => Some(Arc::from(of_no_family(&object.address_type))),
        None | Some(_) => None,
    };
    let converted = Slice {
        name,
        service: service.map(|service| names.share(service)),
        family,
        headless,
        not_read,
        ports,
        endpoints,
        changed: Changed(metadata.last_change.as_deref().and_then(milliseconds)),
    };
    Ok(Converted { object: converted, problems })
}

/// Since 1970, of a time as Kubernetes writes it; what is not one is as if it were not there.
fn milliseconds(written: &str) -> Option<NonZeroI64> {
    NonZeroI64::new(written.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

fn of_no_family(address_type: &str) -> String {
    match address_type {
        "" => "its addressType is missing".to_owned(),
        written => format!("its addressType {} is neither IPv4 nor IPv6", Quoted(written)),
    }
}

fn family(address_type: &str) -> Option<Family> {
    match address_type {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        _ => None,
    }
}

/// What the ports and endpoints of one slice have in common.
struct Reader {
    version: Version,
    /// ` of Service NAMESPACE/NAME`; empty where it is of none.
    of: String,
}

impl Reader {
    fn ports(
        &self,
        written: &[written::EndpointPort],
        names: &mut Interner,
        problems: &mut Vec<String>,
    ) -> Vec<SlicePort> {
        let mut kept = Vec::with_capacity(written.len());
        for (index, item) in written.iter().enumerate() {
            let Some(number) = item.port else { continue };
            let (field, why) = match (protocol(item.protocol.as_deref()), port(number)) {
                (Ok(protocol), Ok(port)) => {
                    let name = names.share(item.name.as_deref().unwrap_or_default());
                    kept.push(SlicePort { name, protocol, port });
                    continue;
                }
                (Err(why), _) => ("protocol", why),
                (Ok(_), Err(why)) => ("port", why),
            };
            problems.push(format!("ports[{index}].{field}: {why}; the port{} is left out", self.of));
        }
        kept.shrink_to_fit();
        kept
    }

    fn endpoints(
        &self,
        written: &[written::Endpoint],
        family: Family,
        names: &mut Interner,
        problems: &mut Vec<String>,
    ) -> Vec<Endpoint> {
        let mut kept = Vec::with_capacity(written.len());
        let of = &self.of;
        for (index, item) in written.iter().enumerate() {
            match first_address(item, family) {
                Ok(address) => kept.push(self.endpoint(address, item, names)),
                Err(why) => problems
                    .push(format!("endpoints[{index}].addresses[0]: {why}; the endpoint{of} is left out")),
            }
        }
        kept.shrink_to_fit();
        kept
    }

    fn endpoint(&self, address: IpAddr, written: &written::Endpoint, names: &mut Interner) -> Endpoint {
        let conditions = written.conditions.as_ref();
        Endpoint {
            address,
            conditions: Conditions {
                ready: conditions.and_then(|given| given.ready).unwrap_or(true),
                serving: conditions.and_then(|given| given.serving).unwrap_or(true),
                terminating: conditions.and_then(|given| given.terminating).unwrap_or(false),
            },
            node: self.node(written).map(|node| names.share(node)),
            hints: written.hints.as_ref().and_then(|given| hints(given, names)),
        }
    }

    fn node<'w>(&self, written: &'w written::Endpoint) -> Option<&'w str> {
        let named = written.node_name.as_deref();
        let by_label = || match written.topology.as_ref()?.get(HOSTNAME)? {
            Text::Read(node) => Some(node.as_str()),
            Text::Odd => None,
        };
        let node = match self.version {
            Version::V1 => named,
            Version::V1beta1 => named.or_else(by_label),
        };
        node.filter(|node| !node.is_empty())
    }
}

fn first_address(written: &written::Endpoint, family: Family) -> Result<IpAddr, String> {
    let first = written.addresses.iter().flatten().next().ok_or("there is no address")?;
    let address = address(first)?;
    if Family::of(address) != family {
        return Err(format!("{} is not of the slice's addressType", Quoted(first)));
    }
    Ok(address)
}

fn hints(written: &written::EndpointHints, names: &mut Interner) -> Option<Box<Hints>> {
    let zones: Vec<Arc<str>> =
        written.for_zones.iter().flatten().map(|zone| names.share(&zone.name)).collect();
    let nodes: Vec<Arc<str>> =
        written.for_nodes.iter().flatten().map(|node| names.share(&node.name)).collect();
    (!zones.is_empty() || !nodes.is_empty()).then(|| Box::new(Hints { zones, nodes }))
}

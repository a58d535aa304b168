//! EndpointSlices: where a Service's pods are, and in what state.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Conditions, Endpoint, Family, Hints, Kind, Slice, SlicePort};

use super::{Converted, Interner, Nameless, address, label, object_name, port, protocol, written};

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";

/// An `EndpointSlice`, as far as it matters here.
///
/// 1. Of each endpoint only `addresses[0]` counts. One that cannot be read, or is not of the
///    slice's family, is left out and named; the others stay.
/// 2. Conditions that are nil read as ready, serving, not terminating.
/// 3. Ports without a number are left out silently: that is their ordinary form for a slice
///    that is not of a Service.
///
/// # Errors
/// The object has no name.
pub fn slice(object: &written::EndpointSlice, names: &mut Interner) -> Result<Converted<Slice>, Nameless> {
    let metadata = &object.metadata;
    let name = object_name(Kind::EndpointSlice, metadata, names)?;
    let mut problems = Vec::new();
    let family = family(&object.address_type);
    let ports = ports(object.ports.as_deref().unwrap_or_default(), names, &mut problems);
    let written = object.endpoints.as_deref().unwrap_or_default();
    let endpoints = family.map(|family| endpoints(written, family, names, &mut problems)).unwrap_or_default();
    let service = label(metadata, SERVICE_NAME).filter(|service| !service.is_empty());
    let converted = Slice {
        name,
        service: service.map(|service| names.share(service)),
        family,
        headless: label(metadata, HEADLESS).is_some(),
        ports,
        endpoints,
    };
    Ok(Converted { object: converted, problems })
}

fn family(address_type: &str) -> Option<Family> {
    match address_type {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        _ => None,
    }
}

fn ports(
    written: &[written::EndpointPort],
    names: &mut Interner,
    problems: &mut Vec<String>,
) -> Vec<SlicePort> {
    let mut kept = Vec::with_capacity(written.len());
    for (index, item) in written.iter().enumerate() {
        let Some(number) = item.port else { continue };
        match (protocol(item.protocol.as_deref()), port(number)) {
            (Ok(protocol), Ok(port)) => {
                let name = names.share(item.name.as_deref().unwrap_or_default());
                kept.push(SlicePort { name, protocol, port });
            }
            (Err(why), _) => problems.push(format!("ports[{index}].protocol: {why}; the port is left out")),
            (Ok(_), Err(why)) => problems.push(format!("ports[{index}].port: {why}; the port is left out")),
        }
    }
    kept.shrink_to_fit();
    kept
}

fn endpoints(
    written: &[written::Endpoint],
    family: Family,
    names: &mut Interner,
    problems: &mut Vec<String>,
) -> Vec<Endpoint> {
    let mut kept = Vec::with_capacity(written.len());
    for (index, item) in written.iter().enumerate() {
        match first_address(item, family) {
            Ok(address) => kept.push(endpoint(address, item, names)),
            Err(why) => {
                problems.push(format!("endpoints[{index}].addresses[0]: {why}; the endpoint is left out"))
            }
        }
    }
    kept.shrink_to_fit();
    kept
}

fn first_address(written: &written::Endpoint, family: Family) -> Result<IpAddr, String> {
    let first = written.addresses.iter().flatten().next().ok_or("there is no address")?;
    let address = address(first)?;
    if Family::of(address) != family {
        return Err(format!("\"{first}\" is not of the slice's addressType"));
    }
    Ok(address)
}

fn endpoint(address: IpAddr, written: &written::Endpoint, names: &mut Interner) -> Endpoint {
    let conditions = written.conditions.as_ref();
    let node = written.node_name.as_deref().filter(|node| !node.is_empty());
    Endpoint {
        address,
        conditions: Conditions {
            ready: conditions.and_then(|given| given.ready).unwrap_or(true),
            serving: conditions.and_then(|given| given.serving).unwrap_or(true),
            terminating: conditions.and_then(|given| given.terminating).unwrap_or(false),
        },
        node: node.map(|node| names.share(node)),
        hints: written.hints.as_ref().and_then(|given| hints(given, names)),
    }
}

fn hints(written: &written::EndpointHints, names: &mut Interner) -> Option<Box<Hints>> {
    let zones: Vec<Arc<str>> =
        written.for_zones.iter().flatten().map(|zone| names.share(&zone.name)).collect();
    let nodes: Vec<Arc<str>> =
        written.for_nodes.iter().flatten().map(|node| names.share(&node.name)).collect();
    (!zones.is_empty() || !nodes.is_empty()).then(|| Box::new(Hints { zones, nodes }))
}

//! Services: which addresses and ports they have, and whether they count at all.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::model::{Dialect, Family, Foreign, Further, Kind, Service, ServicePort, Skipped, Sources};

use super::ip::{address, of_balancer};
use super::written::{Labels, Text};
use super::{
    Converted, Interner, NOT_TEXT, Unusable, annotation, label, object_name, port, protocol, written,
};

const DISCARD: &str = "svc.openyurt.io/discard";
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";

/// `sessionAffinityConfig.clientIP.timeoutSeconds` where it is not given.
const AFFINITY_SECONDS: u32 = 10_800;

/// A Service, as far as it matters here.
///
/// 1. The cluster IPs are `clusterIPs`, or `clusterIP` where that is absent; at most one of
///    each family, the first.
/// 2. It does not count when it is an `ExternalName`, is headless, has no cluster IP, or has
///    the label that gives it to another proxy.
/// 3. It is discarded only as a `LoadBalancer`.
/// 4. What cannot be read (an address, a port) is left out and named; the rest stays.
/// 5. Load balancer addresses count where nodes answer them themselves: `ipMode` VIP or none.
/// 6. An annotation of another project than OpenYurt that is no text is left out and named: it may not be meant for us.
///
/// # Errors
/// The object has no name, or a label or annotation that is read is no text.
pub fn service(object: &written::Service, names: &mut Interner) -> Result<Converted<Service>, Unusable> {
    let metadata = &object.metadata;
    let (namespace, annotations) = (metadata.namespace.as_deref(), metadata.annotations.as_ref());
    let name = object_name(Kind::Service, metadata.name.as_deref(), namespace, names)?;
    let absent = written::ServiceSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&absent);
    let mut problems = Vec::new();

    let addresses = addresses(spec, &mut problems);
    let skipped = skipped(metadata, spec, &addresses)?;
    let ports = ports(spec, names, &mut problems);
    let further = if skipped.is_none() { further(object, spec, &mut problems) } else { None };
    let topology = annotation(annotations, Dialect::OpenYurt.annotation())?.map(|keys| names.share(keys));
    let foreign = foreign(annotations, names, &mut problems);
    let has_topology = topology.is_some() || foreign.is_some();
    let uid = match &metadata.uid {
        Some(Text::Read(uid)) if has_topology && !uid.is_empty() => Some(uid.as_str()),
        Some(Text::Read(_) | Text::Odd) | None => None,
    };
    let converted = Service {
        name,
        created: metadata.creation_timestamp.as_ref().map(|time| time.0.as_second()),
        discarded: is_type(spec, "LoadBalancer") && annotation(annotations, DISCARD)? == Some("true"),
        uid: uid.map(Arc::from),
        topology,
        foreign,
        internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        affinity: affinity(spec, &mut problems),
        further,
        addresses,
        ports,
        skipped,
    };
    Ok(Converted { object: converted, problems })
}

/// The annotations of other projects that say a topology.
fn foreign(
    annotations: Option<&Labels>,
    names: &mut Interner,
    problems: &mut Vec<String>,
) -> Option<Box<Foreign>> {
    let mut read = |dialect: Dialect| match annotations?.get(dialect.annotation())? {
        Text::Read(written) => Some(names.share(written)),
        Text::Odd => {
            let key = dialect.annotation();
            problems.push(format!("metadata.annotations[\"{key}\"]: {NOT_TEXT}; it is left out"));
            None
        }
    };
    let foreign = Foreign { kubeedge: read(Dialect::KubeEdge), superedge: read(Dialect::SuperEdge) };
    (foreign != Foreign::default()).then(|| Box::new(foreign))
}

/// `type: ExternalName` and headless Services have no address of their own to dial.
fn addresses(spec: &written::ServiceSpec, problems: &mut Vec<String>) -> Vec<IpAddr> {
    if is_type(spec, "ExternalName") || is_headless(spec) {
        return Vec::new();
    }
    let mut found: Vec<IpAddr> = Vec::new();
    for (field, written) in cluster_ips(spec) {
        match address(written) {
            Err(why) => problems.push(format!("{field}: {why}; it is left out")),
            Ok(new) if found.iter().any(|old| Family::of(*old) == Family::of(new)) => {
                problems.push(format!("{field}: {new} is a second one of its family; it is left out"));
            }
            Ok(new) => found.push(new),
        }
    }
    found.shrink_to_fit();
    found
}

/// The cluster IPs as written, each with its field; empty ones do not count.
fn cluster_ips(spec: &written::ServiceSpec) -> Vec<(String, &str)> {
    let many = spec.cluster_ips.as_deref().unwrap_or_default();
    if many.is_empty() {
        let one = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty());
        return one.map(|ip| ("spec.clusterIP".to_owned(), ip)).into_iter().collect();
    }
    many.iter()
        .enumerate()
        .filter(|(_, ip)| !ip.is_empty())
        .map(|(index, ip)| (format!("spec.clusterIPs[{index}]"), ip.as_str()))
        .collect()
}

fn is_headless(spec: &written::ServiceSpec) -> bool {
    cluster_ips(spec).iter().any(|(_, ip)| *ip == "None")
}

fn skipped(
    metadata: &written::ServiceMetadata,
    spec: &written::ServiceSpec,
    addresses: &[IpAddr],
) -> Result<Option<Skipped>, Unusable> {
    Ok(if is_type(spec, "ExternalName") {
        Some(Skipped::ExternalName)
    } else if is_headless(spec) {
        Some(Skipped::Headless)
    } else if let Some(proxy) = label(metadata.labels.as_ref(), PROXY_NAME)? {
        Some(Skipped::OtherProxy(Arc::from(proxy)))
    } else if !addresses.is_empty() {
        None
    } else if cluster_ips(spec).is_empty() {
        Some(Skipped::NoClusterIp)
    } else {
        Some(Skipped::UnusableClusterIp)
    })
}

fn is_type(spec: &written::ServiceSpec, which: &str) -> bool {
    spec.type_.as_deref() == Some(which)
}

fn ports(spec: &written::ServiceSpec, names: &mut Interner, problems: &mut Vec<String>) -> Vec<ServicePort> {
    let written = spec.ports.as_deref().unwrap_or_default();
    let mut kept = Vec::with_capacity(written.len());
    for (index, item) in written.iter().enumerate() {
        match (protocol(item.protocol.as_deref()), port(item.port)) {
            (Ok(protocol), Ok(port)) => {
                let name = names.share(item.name.as_deref().unwrap_or_default());
                let node_port = node_port(index, item.node_port, problems);
                kept.push(ServicePort { name, protocol, port, node_port });
            }
            (Err(why), _) => {
                problems.push(format!("spec.ports[{index}].protocol: {why}; the port is left out"))
            }
            (Ok(_), Err(why)) => {
                problems.push(format!("spec.ports[{index}].port: {why}; the port is left out"))
            }
        }
    }
    kept.shrink_to_fit();
    kept
}

/// 0: not given yet.
fn node_port(index: usize, written: Option<i32>, problems: &mut Vec<String>) -> Option<NonZeroU16> {
    let number = written.filter(|number| *number != 0)?;
    let usable = u16::try_from(number).ok().and_then(NonZeroU16::new);
    if usable.is_none() {
        problems.push(format!("spec.ports[{index}].nodePort: {number} is not a port number; it is left out"));
    }
    usable
}

fn affinity(spec: &written::ServiceSpec, problems: &mut Vec<String>) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let Some(written) = config.and_then(|client| client.timeout_seconds) else {
        return Some(AFFINITY_SECONDS);
    };
    let usable = u32::try_from(written).ok().filter(|seconds| *seconds > 0);
    Some(usable.unwrap_or_else(|| {
        problems.push(format!(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: {written} is not a time; {AFFINITY_SECONDS} is used"
        ));
        AFFINITY_SECONDS
    }))
}

/// `externalIPs`, and the load balancer addresses that nodes answer themselves (`ipMode` VIP or none).
fn further(
    object: &written::Service,
    spec: &written::ServiceSpec,
    problems: &mut Vec<String>,
) -> Option<Box<Further>> {
    let external = spec.external_ips.iter().flatten().enumerate();
    let external = external.map(|(index, ip)| (format!("spec.externalIPs[{index}]"), ip.as_str()));
    let external = usable(external, address, problems);
    let balancer = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let vips = ingress.iter().enumerate().filter_map(|(index, ingress)| {
        let is_vip = matches!(ingress.ip_mode.as_deref(), None | Some("VIP"));
        let ip = ingress.ip.as_deref().filter(|_| is_vip)?;
        Some((format!("status.loadBalancer.ingress[{index}].ip"), ip))
    });
    let balancer = usable(vips, of_balancer, problems);
    let any_range = spec.load_balancer_source_ranges.iter().flatten().any(|range| !range.trim().is_empty());
    let sources = if any_range { Sources::Limited } else { Sources::Any };
    let any = !external.is_empty() || !balancer.is_empty();
    any.then(|| Box::new(Further { balancer, sources, external }))
}

/// The addresses of a list, each once; empty ones do not count.
fn usable<'a>(
    written: impl Iterator<Item = (String, &'a str)>,
    address: impl Fn(&str) -> Result<IpAddr, String>,
    problems: &mut Vec<String>,
) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for (field, ip) in written.filter(|(_, ip)| !ip.is_empty()) {
        match address(ip) {
            Err(why) => problems.push(format!("{field}: {why}; it is left out")),
            Ok(new) if found.contains(&new) => {}
            Ok(new) => found.push(new),
        }
    }
    found.shrink_to_fit();
    found
}

//! Everything that a client can dial to reach a Service.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::model::{AddressKind, Family, Frontend, Mode, Service, ServicePort, Sources};

use super::Rules;

/// Whether external IPs are served. Any user who may write a Service can claim any address so (CVE-2020-8554).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExternalIps {
    #[default]
    Served,
    LeftAlone,
}

/// One address and port of a Service.
#[derive(Clone, Debug)]
pub(super) struct Dial<'a> {
    pub(super) dialled: Frontend,
    pub(super) kind: AddressKind,
    pub(super) port: &'a ServicePort,
    /// The port that claims the same and comes first in the list of the Service.
    pub(super) first: Option<Arc<str>>,
    pub(super) around: Option<Around>,
}

/// Why an address that leads to a Service is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Around {
    /// `--external-ips off`.
    ExternalIp,
    /// `loadBalancerSourceRanges` says who may dial it, and the programs do not compare sources.
    SourceRanges,
}

/// Everything that leads to `service`: nothing while it does not count.
///
/// 1. Cluster IPs come first, then load balancer addresses, then external IPs. What a Service has twice is what comes first, so
///    that an address which only some may dial is no external IP besides.
/// 2. Further addresses count in the families of its cluster IPs, as to kube-proxy.
/// 3. A node port stands at the unspecified address of each of these families.
/// 4. Of two ports with one number and protocol the first has it, and the other is returned with it.
pub(super) fn dials<'a>(service: &'a Service, rules: &Rules) -> Vec<Dial<'a>> {
    if service.skipped.is_some() {
        return Vec::new();
    }
    let addresses = addresses(service, rules);
    let mut found = Vec::with_capacity(addresses.len() * service.ports.len());
    let mut taken: BTreeMap<Frontend, (AddressKind, &Arc<str>)> = BTreeMap::new();
    for (ip, kind, around) in addresses {
        for port in &service.ports {
            let number = match kind {
                AddressKind::NodePort => port.node_port.map(NonZeroU16::get),
                AddressKind::ClusterIp | AddressKind::LoadBalancer | AddressKind::ExternalIp => {
                    Some(port.port)
                }
            };
            let Some(number) = number else { continue };
            let dialled = Frontend { address: SocketAddr::new(ip, number), protocol: port.protocol };
            let first = match taken.get(&dialled) {
                Some((other, _)) if *other != kind => continue,
                Some((_, first)) => Some(Arc::clone(first)),
                None => {
                    taken.insert(dialled, (kind, &port.name));
                    None
                }
            };
            found.push(Dial { dialled, kind, port, first, around });
        }
    }
    found
}

/// What stands for the ports that `service` does not serve at its cluster IPs: nothing beside kube-proxy. Further addresses are
/// often those of nodes, where anything may listen.
pub(super) fn other_ports<'a>(service: &'a Service, rules: &Rules) -> impl Iterator<Item = Frontend> + 'a {
    let counts = rules.mode == Mode::Replace && service.skipped.is_none() && !service.ports.is_empty();
    service.addresses.iter().filter(move |_| counts).map(|ip| Frontend::other_ports(*ip))
}

fn addresses(service: &Service, rules: &Rules) -> Vec<(IpAddr, AddressKind, Option<Around>)> {
    let own = || service.addresses.iter();
    let mut all: Vec<_> = own().map(|ip| (*ip, AddressKind::ClusterIp, None)).collect();
    if let Some(further) = &service.further {
        let limited = match further.sources {
            Sources::Any => None,
            Sources::Limited => Some(Around::SourceRanges),
        };
        let off = match rules.external_ips {
            ExternalIps::Served => None,
            ExternalIps::LeftAlone => Some(Around::ExternalIp),
        };
        let has_family = |ip: &&IpAddr| own().any(|own| Family::of(*own) == Family::of(**ip));
        let balancer = further.balancer.iter().filter(has_family);
        let external = further.external.iter().filter(has_family);
        all.extend(balancer.map(|ip| (*ip, AddressKind::LoadBalancer, limited)));
        all.extend(external.map(|ip| (*ip, AddressKind::ExternalIp, off)));
    }
    if service.ports.iter().any(|port| port.node_port.is_some()) {
        all.extend(own().map(|ip| (Family::of(*ip).unspecified(), AddressKind::NodePort, None)));
    }
    all
}

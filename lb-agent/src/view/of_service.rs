//! What an operator should know about a Service that is not simply served as asked. Pure.

use crate::model::{AddressKind, Frontend, ObjectName, Service};
use crate::plan::{Mirror, WriteError};
use crate::select::decide::Why;
use crate::select::topology::Topology;
use crate::store::{Disposition, LeaveWhy, Port, Store, Unknown};

use super::decisions::why_skipped;
use super::diagnostic::{Diagnostic, Reason};
use super::{dns, topologies};

/// The diagnostics of one Service, each once. `mirror` is what the kernel holds, as soon as maps
/// are open; `failed` is why the Service could not be written, if so.
#[must_use]
pub fn of_service(
    store: &Store,
    mirror: Option<&Mirror>,
    failed: Option<&WriteError>,
    name: &ObjectName,
) -> Vec<Diagnostic> {
    let mut found: Vec<(Reason, String)> = Vec::new();
    if let Some(failed) = failed {
        let text = format!("{}: it keeps what it had and is tried again", failed);
        found.push((Reason::WriteFailed, text));
    }
    let starved = mirror.into_iter().flat_map(|mirror| mirror.shortages().of(name));
    for text in starved.filter_map(|(at, why)| why.describe(at.family())) {
        found.push((Reason::NoRoom, text.to_owned()));
    }
    let is_held = mirror.is_some_and(|mirror| !mirror.frontends_of(name).is_empty());
    if is_held && !store.has_service(name) && store.keeps(name) {
        found.push((Reason::Unread, format!("it was never read: {STAYS}")));
    }
    if let Some((service, topology)) = store.service(name) {
        found.extend(of_object(store, service, topology));
        let not_read = store.not_read(name).into_iter().filter(|_| service.skipped.is_none());
        found.extend(not_read.map(|why| (Reason::EndpointsNotRead, why)));
    }
    for port in store.ports(name) {
        found.extend(of_port(&port));
        found.extend(left_out(&port));
        if let Disposition::Serve(decision) = &port.disposition
            && dns::is_out_of_reach(&port, decision)
        {
            found.push((Reason::DnsOutOfReach, dns::OUT_OF_REACH.to_owned()));
        }
    }
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    for (reason, message) in found {
        let diagnostic = Diagnostic::new(format!("Service {name}"), reason, message);
        if !diagnostics.contains(&diagnostic) {
            diagnostics.push(diagnostic);
        }
    }
    diagnostics
}

fn of_object(store: &Store, service: &Service, topology: &Topology) -> Vec<(Reason, String)> {
    let differing = store.differing(service).into_iter();
    let mut found: Vec<(Reason, String)> =
        differing.map(|two| (Reason::TwoTopologies, topologies::two(&two))).collect();
    if *topology == Topology::None {
        return found;
    }
    if let Topology::Invalid(invalid) = topology {
        let written = topologies::name(store.written(service));
        found.push((Reason::InvalidTopology, format!("{written} is not understood: {invalid}")));
    }
    if let Some(skipped) = &service.skipped {
        found.push((Reason::CannotBeFiltered, format!("cannot be filtered: {}", why_skipped(skipped))));
    }
    found
}

fn of_port(port: &Port<'_>) -> Option<(Reason, String)> {
    let has_topology = *port.topology != Topology::None;
    let at = at(&port.dialled);
    match &port.disposition {
        Disposition::Keep { unknown: Unknown::OwnNode, .. } => {
            let text = "its topology reads node labels, and this node's were never known";
            Some((Reason::WaitsForNode, format!("{text}: {STAYS}")))
        }
        Disposition::Keep { unknown, .. } => Some((Reason::Unread, format!("{unknown}: {STAYS}"))),
        Disposition::Leave(why) => {
            Some((of_address(port.kind, why, has_topology)?, format!("{at}: {}", why.describe())))
        }
        Disposition::Serve(_) => None,
    }
}

/// What to call it that an address is left alone; nothing where that is said of the cluster IP already.
fn of_address(kind: AddressKind, why: &LeaveWhy, has_topology: bool) -> Option<Reason> {
    let is_cluster_ip = kind == AddressKind::ClusterIp;
    match why {
        LeaveWhy::Conflict(_) => Some(Reason::Conflict),
        LeaveWhy::Repeated { .. } => is_cluster_ip.then_some(Reason::Conflict),
        LeaveWhy::Excluded | LeaveWhy::Discarded | LeaveWhy::Sctp => {
            is_cluster_ip.then_some(Reason::LeftAlone)
        }
        LeaveWhy::OnHost(_) | LeaveWhy::ExternalIpsOff | LeaveWhy::SourceRanges if has_topology => {
            Some(Reason::ReachableAround)
        }
        LeaveWhy::ExternalIpsOff => Some(Reason::ExternalIpsOff),
        LeaveWhy::OnHost(_) | LeaveWhy::SourceRanges => Some(Reason::LeftAlone),
    }
}

/// Endpoints that are no pods, each Service that they are in the place of once.
fn left_out(port: &Port<'_>) -> Vec<(Reason, String)> {
    let (Disposition::Serve(decision) | Disposition::Keep { otherwise: Some(decision), .. }) =
        &port.disposition
    else {
        return Vec::new();
    };
    let excluded = decision.excluded.iter().filter_map(|(candidate, why)| {
        let Why::ClusterIp(owner) = why else { return None };
        let address = candidate.backend.ip();
        let text = format!("endpoint {address} is left out: it is the cluster IP of Service {owner}");
        Some((Reason::LeftOut, text))
    });
    excluded.collect()
}

const STAYS: &str = "what the kernel holds for it stays";

fn at(dialled: &Frontend) -> String {
    format!("{}/{}", dialled.address, dialled.protocol.label())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::convert::{Interner, service};
    use crate::model::{Change, Dialect, Kind, Object};
    use crate::store::{ExternalIps, Rules};

    const POOL: &str = "openyurt.io/nodepool";

    #[test]
    fn a_topology_that_has_no_effect_somewhere_has_a_diagnostic() {
        let tcp = json!([{"port": 80, "protocol": "TCP"}]);
        let udp = json!([{"port": 53, "protocol": "UDP"}]);
        let node_port = json!([{"port": 80, "nodePort": 30080}]);
        for (shows, spec, without, with) in [
            ("ordinary", json!({"clusterIP": "10.0.0.1", "ports": tcp}), "", ""),
            ("headless", json!({"clusterIP": "None", "ports": tcp}), "", "cannot-be-filtered"),
            ("UDP", json!({"clusterIP": "10.0.0.1", "ports": udp}), "", ""),
            ("IPv6", json!({"clusterIP": "fd00::1", "ports": tcp}), "", ""),
            (
                "session affinity",
                json!({"clusterIP": "10.0.0.1", "ports": tcp, "sessionAffinity": "ClientIP"}),
                "",
                "",
            ),
            ("a node port", json!({"clusterIP": "10.0.0.1", "ports": node_port}), "", ""),
            (
                "an external IP",
                json!({"clusterIP": "10.0.0.1", "ports": tcp, "externalIPs": ["192.0.2.1"]}),
                "",
                "",
            ),
        ] {
            assert_eq!(reasons(json!({}), &spec, &[Kind::Node]), without, "{shows}, without a topology");
            let topology = json!({"openyurt.io/topologyKeys": "kubernetes.io/hostname"});
            assert_eq!(reasons(topology, &spec, &[Kind::Node]), with, "{shows}, with a topology");
        }
    }

    #[test]
    fn what_is_not_served_as_asked_says_why() {
        let spec = json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": [{"port": 80}]});
        for (shows, annotations, reason) in [
            ("not understood", json!({"openyurt.io/topologyKeys": "rack"}), "invalid-topology"),
            ("labels never known", json!({"openyurt.io/topologyKeys": POOL}), "waits-for-node"),
            ("discarded", json!({"svc.openyurt.io/discard": "true"}), "left-alone"),
        ] {
            assert_eq!(reasons(annotations, &spec, &[]), reason, "{shows}");
        }
    }

    #[test]
    fn annotations_of_several_projects_that_differ_are_named_and_so_is_what_is_not_understood() {
        let spec = json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80}]});
        let rules = || Rules { dialects: [Dialect::KubeEdge, Dialect::SuperEdge].into(), ..Rules::default() };
        let kubeedge = "apps.kubeedge.io/service-topology";
        for (annotations, said) in [
            (json!({kubeedge: "range-nodegroup"}), vec![]),
            (
                json!({kubeedge: "range"}),
                vec![
                    "apps.kubeedge.io/service-topology is not understood: \"range\" is not range-nodegroup, the only value that is known",
                ],
            ),
            (
                json!({"openyurt.io/topologyKeys": POOL, kubeedge: "range-nodegroup\n"}),
                vec![
                    "openyurt.io/topologyKeys \"openyurt.io/nodepool\" counts, and apps.kubeedge.io/service-topology \"range-nodegroup\\n\" asks for something else: leave one of them",
                ],
            ),
            (
                json!({"openyurt.io/topologyKeys": "kubernetes.io/hostname", "topologyKeys": "[\"kubernetes.io/hostname\"]"}),
                vec![],
            ),
            (
                json!({kubeedge: "range-nodegroup", "topologyKeys": "[]"}),
                vec![
                    "apps.kubeedge.io/service-topology \"range-nodegroup\" counts, and topologyKeys \"[]\" asks for something else: leave one of them",
                ],
            ),
        ] {
            let found = diagnostics(rules(), annotations.clone(), &spec, &[Kind::Node]);
            let is_other = |found: &&Diagnostic| found.reason != Reason::WaitsForNode;
            let found: Vec<&str> =
                found.iter().filter(is_other).map(|found| found.message.as_str()).collect();
            assert_eq!(found, said, "{annotations}");
            assert_eq!(
                diagnostics(Rules::default(), json!({kubeedge: "range"}), &spec, &[]),
                [],
                "not asked for"
            );
        }
    }

    /// CVE-2020-8554 for the first; with a topology both lead around it.
    #[test]
    fn further_addresses_that_are_left_alone_are_named() {
        let spec = json!({
            "type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": [{"port": 80}],
            "externalIPs": ["192.0.2.1"], "loadBalancerSourceRanges": ["198.51.100.0/24"],
        });
        let topology = json!({"openyurt.io/topologyKeys": "kubernetes.io/hostname"});
        let rules = || Rules { external_ips: ExternalIps::LeftAlone, ..Rules::default() };
        for (annotations, expected) in
            [(json!({}), "left-alone external-ips-off"), (topology, "reachable-around reachable-around")]
        {
            assert_eq!(reasons_by(rules(), annotations.clone(), &spec, &[]), expected);
        }
        let text = diagnostics(rules(), json!({}), &spec, &[]).remove(1);
        assert_eq!(
            text.message,
            "192.0.2.1:80/TCP: external IPs are off (--external-ips): any user who may write a Service can claim any address so (CVE-2020-8554)"
        );
    }

    fn reasons(annotations: serde_json::Value, spec: &serde_json::Value, synced: &[Kind]) -> String {
        reasons_by(Rules::default(), annotations, spec, synced)
    }

    /// The reasons of the diagnostics of a Service that is written so.
    fn reasons_by(
        rules: Rules,
        annotations: serde_json::Value,
        spec: &serde_json::Value,
        synced: &[Kind],
    ) -> String {
        let found = diagnostics(rules, annotations, spec, synced);
        found.iter().map(|found| found.reason.label()).collect::<Vec<_>>().join(" ")
    }

    fn diagnostics(
        rules: Rules,
        annotations: serde_json::Value,
        spec: &serde_json::Value,
        synced: &[Kind],
    ) -> Vec<Diagnostic> {
        let metadata = json!({"name": "s", "annotations": annotations});
        let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}});
        let written = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": status});
        let object = serde_json::from_value(written).unwrap();
        let object = service(&object, &mut Interner::default()).unwrap().object;
        let mut store = Store::new("n1", rules);
        store.apply(Change::Apply(Object::Service(object)));
        for kind in [Kind::Service, Kind::EndpointSlice].iter().chain(synced) {
            store.apply(Change::Synced(*kind));
        }
        of_service(&store, None, None, &ObjectName::new("default", "s"))
    }
}

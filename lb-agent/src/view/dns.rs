//! DNS that a strict topology takes away from this node. Pure.

use crate::select::decide::{Decision, Why};
use crate::store::Port;

/// Where resolvers ask, over UDP and TCP.
const PORT: u16 = 53;

/// What follows, and what to write instead.
pub(super) const OUT_OF_REACH: &str = "all endpoints of this DNS Service are where its topology does not go from here: \
    queries are refused, and a pool without DNS resolves no names; \
    kubernetes.io/hostname, openyurt.io/nodepool, * goes on to other pools where this one has none";

/// Whether `port` is DNS, its topology ends before `*`, and no endpoint is left for that reason.
pub(super) fn is_out_of_reach(port: &Port<'_>, decision: &Decision<'_>) -> bool {
    let by_topology = |why: &Why| match why {
        Why::OtherHost
        | Why::OtherPool
        | Why::OtherLabel(_)
        | Why::OtherGroup
        | Why::NoSharedLabel
        | Why::NoLabelHere(_) => true,
        Why::ClusterIp(_)
        | Why::NotUnderstood
        | Why::NotReady
        | Why::Draining
        | Why::HintedToOtherNodes
        | Why::HintedToOtherZones
        | Why::NotLocal => false,
    };
    port.dialled.address.port() == PORT
        && port.topology.is_strict()
        && decision.chosen.is_empty()
        && decision.excluded.iter().any(|(_, why)| by_topology(why))
}

#[cfg(test)]
mod tests {
    use crate::convert::Interner;
    use crate::manifest::read;
    use crate::model::{Change, Kind, ObjectName};
    use crate::store::{Rules, Store};
    use crate::view::decisions::service_ports;
    use crate::view::diagnostic::Reason;
    use crate::view::of_service::of_service;

    /// The client is on node `n1` in pool `p1`; `n2` is in the same, `n3` in another pool.
    #[test]
    fn a_strict_topology_that_takes_dns_away_is_named() {
        const LOOP: &str = "kubernetes.io/hostname, openyurt.io/nodepool, *";
        for (shows, keys, port, node, ready, is_named) in [
            ("in another pool", "openyurt.io/nodepool", 53, "n3", true, true),
            ("on another node", "kubernetes.io/hostname", 53, "n2", true, true),
            ("a list that ends", "kubernetes.io/hostname, openyurt.io/nodepool", 53, "n3", true, true),
            ("a list of one", "topology.kubernetes.io/zone", 53, "n3", true, true),
            ("a list that does not end", LOOP, 53, "n3", true, false),
            ("in this pool", "openyurt.io/nodepool", 53, "n2", true, false),
            (
                "in this pool, and not ready: that is no topology's doing",
                "openyurt.io/nodepool",
                53,
                "n2",
                false,
                false,
            ),
            ("no topology", "", 53, "n3", true, false),
            ("not understood", "rack", 53, "n3", true, false),
            ("no DNS", "openyurt.io/nodepool", 80, "n3", true, false),
        ] {
            for protocol in ["TCP", "UDP"] {
                let store = store(keys, port, protocol, node, ready);
                let name = ObjectName::new("default", "dns");
                let found = of_service(&store, None, None, &name);
                let named = found.iter().filter(|found| found.reason == Reason::DnsOutOfReach).count();
                assert_eq!(named, usize::from(is_named), "{shows}, {protocol}: {found:?}");
                let planned = service_ports(&store, &name).remove(0).dns;
                assert_eq!(planned.is_some(), is_named, "{shows}, {protocol}");
            }
        }
    }

    fn store(keys: &str, port: u16, protocol: &str, node: &str, ready: bool) -> Store {
        let text = format!(
            r#"{{"apiVersion": "v1", "kind": "Service",
                "metadata": {{"name": "dns", "annotations": {{"openyurt.io/topologyKeys": "{keys}"}}}},
                "spec": {{"clusterIP": "10.96.0.10", "ports": [{{"port": {port}, "protocol": "{protocol}"}}]}}}}
            {{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {{"name": "dns-1", "labels": {{"kubernetes.io/service-name": "dns"}}}},
                "ports": [{{"port": 5353, "protocol": "{protocol}"}}],
                "endpoints": [{{"addresses": ["10.244.0.2"], "nodeName": "{node}", "conditions": {{"ready": {ready}}}}}]}}
            {{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "n1", "labels": {{"apps.openyurt.io/nodepool": "p1"}}}}}}
            {{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "n2", "labels": {{"apps.openyurt.io/nodepool": "p1"}}}}}}
            {{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "n3", "labels": {{"apps.openyurt.io/nodepool": "p3"}}}}}}"#
        );
        let mut store = Store::new("n1", Rules::default());
        for defined in read(&text, &mut Interner::default()).objects {
            store.apply(Change::Apply(defined.object));
        }
        for kind in Kind::ALL {
            store.apply(Change::Synced(kind));
        }
        assert!(store.nodes().own.is_some());
        store
    }
}

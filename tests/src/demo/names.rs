//! Beside the tutorial: DNS over UDP, and a Service over IPv6, each answered from the client's own pool.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::{Node, Pod};

use super::screen::Screen;
use super::truth::{EDGE2, HANGZHOU, SHANGHAI, WORKER, WORKER2};

/// Questions, and connections, of each client.
const TIMES: usize = 50;

const DNS: [u8; 4] = [10, 96, 0, 10];
const OVER_IPV6: &str = "[fd00:10:96::11]:80";

/// Two Services in the pods of two pools.
pub(super) const MANIFESTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}]
endpoints:
- {addresses: [10.244.2.53], nodeName: kind-worker, conditions: {ready: true}}
- {addresses: [10.244.1.53], nodeName: kind-worker2, conditions: {ready: true}}
---
apiVersion: v1
kind: Service
metadata: {name: svc-ipv6, namespace: default, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec: {clusterIP: "fd00:10:96::11", ipFamilies: [IPv6], ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: svc-ipv6-1, namespace: default, labels: {kubernetes.io/service-name: svc-ipv6}}
addressType: IPv6
ports: [{port: 9376}]
endpoints:
- {addresses: ["fd00:244::2:1"], nodeName: kind-worker, conditions: {ready: true}}
- {addresses: ["fd00:244::1:1"], nodeName: kind-worker2, conditions: {ready: true}}
"#;

/// Pods that answer for a pool: the node, what their names say, and their addresses.
const SERVERS: [(&str, &str, &str, &str, [u8; 4]); 2] = [
    (WORKER, HANGZHOU, "10.244.2.53", "fd00:244::2:1", [192, 0, 2, 1]),
    (WORKER2, SHANGHAI, "10.244.1.53", "fd00:244::1:1", [192, 0, 2, 2]),
];

/// Clients: the node, its pool, and an address over IPv6.
const CLIENTS: [(&str, &str, &str); 3] = [
    (WORKER, HANGZHOU, "fd00:244::2:10"),
    (EDGE2, HANGZHOU, "fd00:244::3:10"),
    (WORKER2, SHANGHAI, "fd00:244::1:10"),
];

/// They serve for as long as they are held.
pub(super) struct Names {
    _servers: Vec<Pod>,
    clients6: BTreeMap<&'static str, Pod>,
}

impl Names {
    /// Makes the pods. Agents know nothing of their Services until [`MANIFESTS`] are where they look.
    pub(super) fn new(nodes: &BTreeMap<&'static str, Node>) -> Result<Self> {
        let node = |name: &str| nodes.get(name).with_context(|| format!("no node {name}"));
        let mut servers = Vec::new();
        for (on, pool, dns, web, known) in SERVERS {
            let resolver = node(on)?.pod(&format!("dns-{pool}"), dns)?;
            resolver.serve_names(53, known.into())?;
            let web = node(on)?.pod(&format!("ipv6-{pool}"), web)?;
            web.serve((web.address(), 9376).into(), pool)?;
            servers.extend([resolver, web]);
        }
        let clients6 = CLIENTS.map(|(on, _, at)| Ok((on, node(on)?.pod(&format!("client6-on-{on}"), at)?)));
        Ok(Self { _servers: servers, clients6: clients6.into_iter().collect::<Result<_>>()? })
    }

    /// Each client of a pool asks for a name and dials over IPv6. `client` is the one on a node over IPv4.
    pub(super) fn show<'c>(&self, screen: &Screen, client: impl Fn(&str) -> Result<&'c Pod>) -> Result<()> {
        screen.line("")?;
        screen.line(&format!(
            "kube-dns (10.96.0.10, UDP) and svc-ipv6 ({OVER_IPV6}), openyurt.io/topologyKeys: openyurt.io/nodepool"
        ))?;
        screen.line(&format!(
            "{:<20}{:<10}{:>26}{:>26}",
            "client on", "in pool", "a name is resolved by", "IPv6 is answered by"
        ))?;
        for (on, pool, _) in CLIENTS {
            let known = SERVERS.iter().find(|server| server.1 == pool).map(|server| server.4);
            let known = std::net::Ipv4Addr::from(known.context("a pool without a server")?).to_string();
            let answers = client(on)?.resolve(DNS.into(), "web.example", TIMES)?;
            ensure!(
                answers.len() == TIMES && answers.iter().all(|answer| *answer == known),
                "a resolver on {on} should get {known} from {pool}, and got {answers:?}"
            );
            let client6 = self.clients6.get(on).with_context(|| format!("no client on {on}"))?;
            let answers = client6.dial(OVER_IPV6, TIMES)?;
            let stranger = answers.iter().find(|answer| !answer.is_from(pool));
            ensure!(
                stranger.is_none(),
                "a client on {on} that dials {OVER_IPV6} should be answered by {pool}, and got {stranger:?}"
            );
            let times = format!("{pool} {TIMES}");
            screen.line(&format!("{on:<20}{pool:<10}{times:>26}{times:>26}"))?;
        }
        Ok(())
    }
}

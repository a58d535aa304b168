//! An agent beside the real kube-proxy, which serves the same Services in the same node's network.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{Agent, lb_agent_says, program};
use edgeloop_tests::cluster::{Cluster, KubeProxy, ProxyMode};
use edgeloop_tests::{Ability, Datagrams, HostNetwork, Node, Pod, Site, leftovers};
use nix::sys::signal::Signal;

const NODE: &str = "n1";
/// `far` is a pod of another node by what slices say; for packets to find it, it is a pod of this one.
const PODS: [(&str, Ipv4Addr); 2] =
    [("near", Ipv4Addr::new(10, 244, 1, 1)), ("far", Ipv4Addr::new(10, 244, 1, 2))];
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 9);
const OBJECTS: &str = "node n1 pool=p1
    node n2 pool=p2
    service web 10.96.0.11:80 topology=openyurt.io/nodepool
    slice web-1 of web 9376 10.244.1.1@n1 10.244.1.2@n2
    service names 10.96.0.12:53/udp topology=openyurt.io/nodepool
    slice names-1 of names 9377/udp 10.244.1.1@n1 10.244.1.2@n2
    service kept 10.96.0.13:80 topology=openyurt.io/nodepool
    slice kept-1 of kept 9376 10.244.1.1@n1 10.244.1.2@n2
    service away 10.96.0.14:80 topology=openyurt.io/nodepool
    slice away-1 of away 9376 10.244.1.2@n2
    service empty 10.96.0.15:80";
/// Of these, service ports with backends.
const SERVICE_PORTS: usize = 4;

const WEB: &str = "10.96.0.11:80";
const UNKNOWN_PORT: &str = "10.96.0.11:81";
const NAMES: &str = "10.96.0.12:53";
/// Excluded by flag.
const KEPT: &str = "10.96.0.13:80";
const AWAY: &str = "10.96.0.14:80";
const EMPTY: &str = "10.96.0.15:80";
const NO_SERVICE: &str = "10.96.0.99:80";

/// Where what is translated by no one arrives: at a pod that answers for all of them.
const DECOYS: [&str; 7] = [WEB, UNKNOWN_PORT, "10.96.0.12:80", KEPT, AWAY, EMPTY, NO_SERVICE];
const DECOY: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 8);

/// How often each is dialled: that one of two never answers by chance is as likely as one in 2^39.
const DIALS: usize = 40;
/// What kube-proxy refuses: the kernel sends few ICMP errors a second.
const ONCE: usize = 1;

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn beside_nftables_rules_the_own_pool_is_served_and_the_rest_is_as_without_an_agent() {
    beside(ProxyMode::Nftables).unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn beside_iptables_rules_the_own_pool_is_served_and_the_rest_is_as_without_an_agent() {
    beside(ProxyMode::Iptables).unwrap();
}

/// `kube-ipvs0` has all cluster IPs, as if they were the node's own.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn beside_virtual_servers_the_own_pool_is_served_and_the_rest_is_as_without_an_agent() {
    if !Ability::Ipvs.is_missing().unwrap() {
        beside(ProxyMode::Ipvs).unwrap();
    }
}

fn beside(mode: ProxyMode) -> Result<()> {
    let stage = Stage::new(mode)?;
    let alone = stage.seen()?;
    let all = found(&["far", "near"]);
    let refused = found(&["ECONNREFUSED"]);
    assert_eq!([&alone.web, &alone.names, &alone.kept, &alone.away], [&all, &all, &all, &found(&["far"])]);
    // Rules of nftables let nothing else pass to addresses of the range of Services.
    let rest = match mode {
        ProxyMode::Nftables => ["ECONNREFUSED", "timeout"],
        ProxyMode::Iptables => ["decoy", "decoy"],
        ProxyMode::Ipvs => ["ECONNREFUSED", "decoy"],
    };
    assert_eq!([&alone.unknown_port, &alone.no_service], rest.map(|name| found(&[name])).each_ref());
    assert_eq!(alone.empty, refused);

    let kubeconfig = stage.cluster.agent_kubeconfig()?;
    let kubeconfig = kubeconfig.to_str().context("not a path")?;
    let flags = ["--kubeconfig", kubeconfig, "--exclude-service=default/kept"];
    // In the network of kube-proxy, whose addresses it sees.
    let agent = Agent::from_program(&stage.node, &mut stage.host.command(program()?), &flags)?;
    agent.wait_until("the agent is ready", |view| view.ready && view.is_up_to_date())?;
    let own = found(&["near"]);
    let looped = Seen { web: own.clone(), names: own, away: refused, ..alone.clone() };
    assert_eq!(stage.seen()?, looped, "beside");

    // What the kernel holds goes on without an agent; a cleanup leaves all to kube-proxy again.
    agent.end_by(Signal::SIGTERM)?;
    assert_eq!(stage.seen()?, looped, "without an agent");
    let output = lb_agent_says(&stage.node, "cleanup", &[])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stage.seen()?, alone, "after the cleanup");

    let sites = stage.site.name().to_owned();
    stage.end()?;
    assert_eq!(leftovers(&sites), Vec::<String>::new());
    Ok(())
}

/// Who answers, or with which error a dial fails.
type Found = BTreeSet<String>;

fn found(names: &[&str]) -> Found {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// By what is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    web: Found,
    names: Found,
    kept: Found,
    away: Found,
    empty: Found,
    unknown_port: Found,
    no_service: Found,
}

fn decoy(host: &HostNetwork) -> Result<Pod> {
    let pod = host.pod("decoy", DECOY)?;
    let at: Vec<SocketAddrV4> = DECOYS.iter().map(|at| at.parse()).collect::<Result<_, _>>()?;
    let addresses: BTreeSet<Ipv4Addr> = at.iter().map(|at| *at.ip()).collect();
    host.add_pod_addresses(&pod, &Vec::from_iter(addresses))?;
    for at in at {
        pod.serve(at.into(), "decoy")?;
    }
    Ok(pod)
}

/// A node with a network of its own, the real kube-proxy in it, and a client.
struct Stage {
    proxy: KubeProxy,
    client: Pod,
    _servers: Vec<Pod>,
    _decoy: Pod,
    host: HostNetwork,
    cluster: Cluster,
    node: Node,
    site: Site,
}

impl Stage {
    fn new(mode: ProxyMode) -> Result<Self> {
        let site = Site::new()?;
        let node = site.node(NODE)?;
        let host = HostNetwork::new(&node)?;
        let servers = PODS.map(|(name, address)| {
            let pod = host.pod(name, address)?;
            pod.serve_name(9376)?;
            pod.serve_datagrams(9377)?;
            Ok(pod)
        });
        let servers = servers.into_iter().collect::<Result<_>>()?;
        let client = host.pod("client", CLIENT)?;
        let decoy = decoy(&host)?;
        let cluster = Cluster::up(&site)?;
        cluster.apply_lines(OBJECTS)?;
        let proxy = KubeProxy::start(&cluster, &host, NODE, mode, SERVICE_PORTS)?;
        Ok(Self { proxy, client, _servers: servers, _decoy: decoy, host, cluster, node, site })
    }

    /// Dials all of them.
    fn seen(&self) -> Result<Seen> {
        Ok(Seen {
            web: self.dial(WEB, DIALS)?,
            names: self.replies(NAMES)?,
            kept: self.dial(KEPT, DIALS)?,
            away: self.dial(AWAY, DIALS)?,
            empty: self.dial(EMPTY, ONCE)?,
            unknown_port: self.dial(UNKNOWN_PORT, ONCE)?,
            no_service: self.dial(NO_SERVICE, ONCE)?,
        })
    }

    fn dial(&self, target: &str, count: usize) -> Result<Found> {
        Ok(self.client.dial(target, count)?.iter().map(|answer| answer.label().to_owned()).collect())
    }

    /// Of a socket for each.
    fn replies(&self, target: &str) -> Result<Found> {
        let reply = |_| {
            let mut socket = Datagrams::open4(&self.client)?;
            socket.call(&format!("sendto {target} query"))?;
            let reply = socket.call("recvfrom")?;
            // Behind kube-proxy conntrack translates replies back; behind Edgeloop our programs do.
            ensure!(reply.ends_with(&format!(" from {target}")), "{reply}");
            Ok(reply.split_whitespace().next().unwrap_or_default().to_owned())
        };
        (0..DIALS).map(reply).collect()
    }

    fn end(self) -> Result<()> {
        self.proxy.end(&self.host)
    }
}

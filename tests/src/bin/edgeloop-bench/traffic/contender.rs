//! A client, its node, and backends; and who leads the client to them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{Agent, lb_agent_says};
use edgeloop_tests::cluster::{KubeProxy, ProxyMode};
use edgeloop_tests::{HostNetwork, Node, Pod, Site};
use nix::sys::signal::Signal;

use super::client::Block;
use super::ground::{BACKENDS, Ground, NODE, backend_addresses, cluster_ips};
use super::ports::{Asked, Side};
use super::process::Process;
use super::samples::Samples;
use super::server::Server;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 2);
/// A client of which conntrack knows nothing.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 5);
/// Who answers at a cluster IP that is led nowhere.
pub(super) const DECOY: u8 = 9;
/// How often each is asked for to find out who answers.
const FEW: u32 = 32;
/// Conntrack looks at every packet that is routed.
const CONNTRACK: &str = "add table ip bench; \
    add chain ip bench forward { type filter hook forward priority filter; policy accept; }; \
    add rule ip bench forward ct state established,related accept";

/// Who leads a client to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The client dials the backends themselves.
    Direct,
    /// The same once more: what differs between the two is the machine's doing.
    DirectAgain,
    Edgeloop,
    KubeProxy(ProxyMode),
}

impl Way {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "none",
            Self::DirectAgain => "none again",
            Self::Edgeloop => "Edgeloop",
            Self::KubeProxy(ProxyMode::Nftables) => "kube-proxy nftables",
            Self::KubeProxy(ProxyMode::Iptables) => "kube-proxy iptables",
            Self::KubeProxy(ProxyMode::Ipvs) => "kube-proxy ipvs",
        }
    }

    const fn side(self) -> Side {
        match self {
            Self::Direct | Self::DirectAgain => Side::Backend,
            Self::Edgeloop | Self::KubeProxy(_) => Side::Service,
        }
    }
}

enum Balancer {
    Agent(Agent),
    KubeProxy(KubeProxy),
}

/// Fields end in this order.
pub(super) struct Contender {
    pub(super) way: Way,
    client: Process,
    servers: Vec<Server>,
    _decoy: Server,
    balancer: Option<Balancer>,
    pub(super) measured: BTreeMap<Asked, Samples>,
    _client_pod: Pod,
    _backend_pods: Vec<Pod>,
    host: HostNetwork,
    node: Node,
}

impl Contender {
    pub(super) fn new(site: &Site, ground: &Ground, way: Way) -> Result<Self> {
        let node =
            site.node(&if way == Way::Edgeloop { NODE.to_owned() } else { way.name().replace(' ', "-") })?;
        let host = HostNetwork::new(&node)?;
        let output = host.command("nft").arg(CONNTRACK).output().context("could not run nft")?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
        let client_pod = host.pod("client", CLIENT)?;
        let (mut backend_pods, mut servers) = (Vec::new(), Vec::new());
        for id in BACKENDS {
            let pod = host.pod(&format!("backend-{id}"), Ipv4Addr::new(10, 244, 0, 2 + id))?;
            let addresses = backend_addresses(id);
            host.add_pod_addresses(&pod, &addresses)?;
            servers.push(Server::start(|program| pod.command(program), id, Side::Backend, &addresses)?);
            backend_pods.push(pod);
        }
        let cluster_ips = cluster_ips();
        host.add_addresses(&cluster_ips.iter().copied().map(IpAddr::V4).collect::<Vec<_>>())?;
        let decoy = Server::start(|program| host.command(program), DECOY, Side::Service, &cluster_ips)?;
        let balancer = match way {
            Way::Direct | Way::DirectAgain => None,
            Way::Edgeloop => {
                let kubeconfig = ground.cluster.agent_kubeconfig()?.display().to_string();
                let agent = Agent::follow(&ground.cluster, &node, &["--kubeconfig", &kubeconfig])?;
                agent.wait_until("the agent is ready", |view| view.ready)?;
                Some(Balancer::Agent(agent))
            }
            Way::KubeProxy(mode) => {
                let proxy = KubeProxy::start(&ground.cluster, &host, NODE, mode, ground.service_ports())?;
                Some(Balancer::KubeProxy(proxy))
            }
        };
        let client = client(&client_pod, way.side())?;
        Ok(Self {
            way,
            client,
            servers,
            _decoy: decoy,
            balancer,
            measured: BTreeMap::new(),
            _client_pod: client_pod,
            _backend_pods: backend_pods,
            host,
            node,
        })
    }

    /// Asks for so many, one after the other.
    pub(super) fn measure(&mut self, asked: Asked, count: u32) -> Result<()> {
        let block = ask(&mut self.client, asked, count).with_context(|| self.way.name())?;
        self.measured.entry(asked).or_default().add(block);
        Ok(())
    }

    /// Who answered how often, by what was asked for.
    pub(super) fn answered(&self) -> BTreeMap<&'static str, BTreeMap<u8, u64>> {
        self.measured.iter().map(|(asked, samples)| (asked.name(), samples.answered())).collect()
    }

    /// Whether both backends have answered each kind, no other server has, and they have counted as many. DNS servers do
    /// not count.
    pub(super) fn check(&mut self) -> Result<()> {
        let name = self.way.name();
        let served: Vec<[u64; 3]> = self.servers.iter_mut().map(Server::answered).collect::<Result<_>>()?;
        for (asked, samples) in &self.measured {
            let answered = samples.answered();
            let by: Vec<u8> = answered.keys().copied().collect();
            ensure!(by == BACKENDS, "{name}: a {} was answered by {by:?}", asked.name());
            let counted = |counts: &[u64; 3]| counts.get(*asked as usize).copied();
            let counted: Vec<Option<u64>> = served.iter().map(counted).collect();
            let agree = counted
                .iter()
                .zip(answered.values())
                .all(|(count, times)| count.is_none_or(|count| count == *times));
            ensure!(agree, "{name}: {} answered {answered:?}, and counted {counted:?}", asked.name());
        }
        Ok(())
    }

    /// Ends the load balancer, and asks again: who answers then, by what was asked for. `None` without one.
    pub(super) fn without(mut self) -> Result<Option<BTreeMap<&'static str, BTreeMap<u8, u64>>>> {
        match self.balancer.take() {
            None => return Ok(None),
            Some(Balancer::Agent(agent)) => {
                agent.end_by(Signal::SIGTERM)?;
                let output = lb_agent_says(&self.node, "cleanup", &[])?;
                ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            Some(Balancer::KubeProxy(proxy)) => {
                proxy.end(&self.host)?;
            }
        }
        // Connections that conntrack knows are not led anew, and block those of the same ports.
        let stranger = self.host.pod("stranger", STRANGER)?;
        let mut client = client(&stranger, self.way.side())?;
        let answered = Asked::ALL.map(|asked| Ok((asked.name(), ask(&mut client, asked, FEW)?.answered)));
        answered.into_iter().collect::<Result<_>>().map(Some)
    }
}

fn client(pod: &Pod, side: Side) -> Result<Process> {
    let own = std::env::current_exe().context("could not find the bench itself")?;
    let at = match side {
        Side::Service => cluster_ips(),
        Side::Backend => BACKENDS.into_iter().flat_map(backend_addresses).collect(),
    };
    let mut command = pod.command(own);
    command.args(["traffic-client", &format!("--side={}", side.name())]);
    command.args(at.iter().map(|address| format!("--at={address}")));
    let client = Process::start("a client", command)?;
    client.wait_for("ready")?;
    Ok(client)
}

fn ask(client: &mut Process, asked: Asked, count: u32) -> Result<Block> {
    let line = client.ask(&format!("{} {count}", asked.name()))?;
    serde_json::from_str(&line).with_context(|| format!("a client says {line}"))
}

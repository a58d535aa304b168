//! A simulated pod: a network namespace on the site's bridge, servers and clients.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::harness::answer::Answer;
use crate::harness::call::Call;
use crate::harness::hammer::Hammer;
use crate::harness::helper::{self, Helper};
use crate::harness::load::Load;
use crate::harness::netns::Netns;
use crate::harness::node::Node;
use crate::harness::watch::Watch;

/// Longer than the helper takes for one connection that gets no answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub struct Pod {
    name: String,
    address: IpAddr,
    servers: Mutex<Vec<Helper>>,
    netns: Netns,
    /// Its processes run there.
    cgroup: PathBuf,
    node: Node,
}

impl Pod {
    pub(crate) fn new(node: Node, name: &str, address: &str) -> Result<Self> {
        let address: IpAddr = address.parse().with_context(|| format!("not an address: {address}"))?;
        let netns = Netns::new()?;
        let port = format!("pod{}", node.world.next_number());
        node.world.fabric.ip(&format!(
            "link add {port} type veth peer name eth0 netns {}\nlink set {port} master fabric up\n",
            netns.path().display()
        ))?;
        netns.ip(&format!("link set lo up\nlink set eth0 up\n{}", on_link(address)))?;
        Ok(Self::within_network(netns, node, name, address))
    }

    /// One whose network is made already.
    pub(crate) fn within_network(netns: Netns, node: Node, name: &str, address: IpAddr) -> Self {
        let cgroup = node.cgroup().to_owned();
        Self { name: name.to_owned(), address, servers: Mutex::default(), netns, cgroup, node }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// A second address on the network of the pods, of the other family.
    pub fn also_at(&self, address: &str) -> Result<()> {
        let address = address.parse().with_context(|| format!("not an address: {address}"))?;
        self.netns.ip(&on_link(address))
    }

    /// Its processes run in this folder below its node's cgroup from now on, which is made where it is missing.
    pub fn within(mut self, folder: impl AsRef<Path>) -> Result<Self> {
        self.cgroup = self.node.cgroup().join(folder);
        std::fs::create_dir_all(&self.cgroup)
            .with_context(|| format!("could not make the cgroup {}", self.cgroup.display()))?;
        Ok(self)
    }

    /// Addresses that this namespace answers for, beside its own: more backends in one pod, or a cluster
    /// address for a decoy.
    pub fn add_addresses(&self, addresses: &[IpAddr]) -> Result<()> {
        self.netns.add_addresses(addresses)
    }

    /// All of a network is this pod's: thousands of backends in one pod.
    pub fn own_network(&self, network: &str) -> Result<()> {
        self.netns.ip(&format!("route add local {network} dev lo\n"))
    }

    /// A network of another pod is reached by way of that pod's address.
    pub fn route(&self, network: &str, through: &Self) -> Result<()> {
        self.route_by(network, &through.address.to_string())
    }

    /// The same by an address of that pod, such as its second one.
    pub fn route_by(&self, network: &str, through: &str) -> Result<()> {
        self.netns.ip(&format!("route add {network} via {through}\n"))
    }

    /// Answers every connection to this port with the four bytes of the address that it came to, as if each
    /// were a server of [`serve_ids`](Self::serve_ids) with its address for a number.
    pub fn serve_addresses(&self, port: u16) -> Result<()> {
        self.start_server(&["serve-addresses".into(), format!("--port={port}")])
    }

    /// Answers every connection to this port with the pod's name, over HTTP, until the pod goes.
    pub fn serve_name(&self, port: u16) -> Result<SocketAddr> {
        self.serve(SocketAddr::new(self.address, port), &self.name)
    }

    /// The same with any text and at any address that the pod has.
    pub fn serve(&self, at: SocketAddr, text: &str) -> Result<SocketAddr> {
        self.start_server(&["serve".into(), format!("--at={at}"), format!("--text={text}")])?;
        Ok(at)
    }

    /// Answers every connection to these addresses with four bytes: the number beside the address. For
    /// clients that [`hammer`](Self::hammer).
    pub fn serve_ids(&self, servers: &[(SocketAddr, u32)]) -> Result<()> {
        let mut arguments = vec!["serve-ids".to_owned()];
        arguments.extend(servers.iter().map(|(at, id)| format!("--at={at}={id}")));
        self.start_server(&arguments)
    }

    /// Says everything back that a client says, for as long as the client stays.
    pub fn echo(&self, port: u16) -> Result<SocketAddr> {
        let at = SocketAddr::new(self.address, port);
        self.start_server(&["echo".into(), format!("--at={at}")])?;
        Ok(at)
    }

    /// Replies to every datagram to this port with the pod's name and what came; to `later N` after that many milliseconds.
    pub fn serve_datagrams(&self, port: u16) -> Result<SocketAddr> {
        let at = SocketAddr::new(self.address, port);
        self.serve_datagrams_at(at, &self.name)?;
        Ok(at)
    }

    /// The same with any text and at any address that the pod has.
    pub fn serve_datagrams_at(&self, at: SocketAddr, text: &str) -> Result<()> {
        self.start_server(&["serve-datagrams".into(), format!("--at={at}"), format!("--text={text}")])
    }

    /// Answers every DNS query to this port for an IPv4 address with `known`.
    pub fn serve_names(&self, port: u16, known: Ipv4Addr) -> Result<()> {
        let at = SocketAddr::new(self.address, port);
        self.start_server(&["serve-names".into(), format!("--at={at}"), format!("--address={known}")])
    }

    /// Asks a DNS server for a name so many times at once, by a resolver library: the addresses, or what went wrong.
    pub fn resolve(&self, server: IpAddr, name: &str, count: usize) -> Result<Vec<String>> {
        let mut client = self.start(&[
            "resolve".into(),
            format!("--server={server}"),
            format!("--name={name}"),
            format!("--count={count}"),
        ])?;
        let mut answers = Vec::with_capacity(count);
        while let Some(answer) = client.next(PATIENCE)? {
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Ends all servers of this pod; connections to it are then refused.
    pub fn stop_serving(&self) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Dials so many times, one after the other.
    pub fn dial(&self, target: &str, count: usize) -> Result<Vec<Answer>> {
        self.dial_each(&[target], count)
    }

    /// Dials each of these so many times, one after the other.
    pub fn dial_each(&self, targets: &[&str], count: usize) -> Result<Vec<Answer>> {
        let targets = targets.iter().map(|target| format!("--to={target}"));
        let arguments: Vec<String> =
            ["dial".into(), format!("--count={count}")].into_iter().chain(targets).collect();
        let mut client = self.start(&arguments)?;
        let mut answers = Vec::new();
        while let Some(answer) = client.next(PATIENCE)? {
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Connects once, in this way.
    pub fn call(&self, how: Call, target: &str) -> Result<Answer> {
        let how = format!("--how={}", how.argument());
        self.start(&["call".into(), how, format!("--to={target}")])?.expect(PATIENCE)
    }

    /// Connects by TCP, disconnects, and connects the same socket to `then`.
    pub fn call_again(&self, target: &str, then: &str) -> Result<Answer> {
        let how = format!("--how={}", Call::Again.argument());
        self.start(&["call".into(), how, format!("--to={target}"), format!("--then={then}")])?
            .expect(PATIENCE)
    }

    /// Connects once, by a socket that is claimed as the agent's in the maps pinned below `pin_root`.
    pub fn call_as_the_agent(&self, pin_root: &Path, target: &str) -> Result<Answer> {
        let how = format!("--how={}", Call::Claimed.argument());
        let pins = format!("--pins={}", pin_root.display());
        self.start(&["call".into(), how, format!("--to={target}"), pins])?.expect(PATIENCE)
    }

    /// Dials without end; for the moment at which something shows first.
    pub fn watch(&self, target: &str) -> Result<Watch> {
        Watch::new(self.start(&["watch".into(), format!("--to={target}")])?)
    }

    /// Dials until an answer is as wanted. For the time since some act, start [`watch`](Self::watch) before it.
    pub fn wait_until(
        &self,
        target: &str,
        wanted: impl FnMut(&Answer) -> bool,
        within: Duration,
    ) -> Result<Answer> {
        self.watch(target)?.first_since(crate::now(), wanted, within)
    }

    /// Dials at this rate until stopped, ten minutes at most.
    pub fn dial_continuously(&self, target: &str, per_second: u32, threads: u32) -> Result<Load> {
        Load::new(self.start(&[
            "load".into(),
            format!("--to={target}"),
            format!("--per-second={per_second}"),
            format!("--threads={threads}"),
        ])?)
    }

    /// Dials servers of [`serve_ids`](Self::serve_ids) as fast as it can, in a process of its own.
    pub fn hammer(&self, target: &str, count: u64) -> Result<Hammer> {
        let log = self.node.world.folder().join(format!("hammer{}", self.node.world.next_number()));
        let client = self.start(&[
            "hammer".into(),
            format!("--to={target}"),
            format!("--count={count}"),
            format!("--log={}", log.display()),
        ])?;
        Ok(Hammer::new(client, log))
    }

    /// Any program, to be run in this pod. The pid that spawning gives is the program's own; it is killed
    /// when the thread that spawned it ends.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        helper::program(&self.node.world.helper, &self.cgroup, Some(&self.netns), program.as_ref())
    }

    fn start_server(&self, arguments: &[String]) -> Result<()> {
        let mut server = self.start(arguments)?;
        let ready: String = server.expect(PATIENCE)?;
        anyhow::ensure!(ready == "ready", "a server in pod {} says {ready}", self.name);
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        Ok(())
    }

    pub(crate) fn start(&self, arguments: &[String]) -> Result<Helper> {
        let verb = arguments.first().map_or("", String::as_str);
        let name = format!("`{verb}` in pod {}", self.name);
        Helper::start(&self.node.world.helper, &self.cgroup, &self.netns, name, arguments)
    }
}

/// The other pods are on the link, and there is no route to anywhere else.
fn on_link(address: IpAddr) -> String {
    let network = if address.is_ipv4() { "/16" } else { "/64 nodad" };
    format!("address add {address}{network} dev eth0\n")
}

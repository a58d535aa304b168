//! The real kube-proxy in a node's own network.

use std::fs;
use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Cluster, Forward, tool};
use crate::harness::child::Child;
use crate::harness::host_network::HostNetwork;

const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);
/// Of pods: what is dialled from one is not masqueraded.
const PODS: &str = "10.244.0.0/16";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    Nftables,
    Iptables,
    /// Its virtual servers are in the kernel, and `kube-ipvs0` has every address that it serves.
    Ipvs,
}

impl ProxyMode {
    /// Those that any kernel has which Edgeloop runs on.
    pub const ALL: [Self; 2] = [Self::Nftables, Self::Iptables];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::Ipvs => "ipvs",
        }
    }

    /// The program that it writes rules with, as that calls itself; `None` where it is not installed.
    pub fn program(self) -> Result<Option<String>> {
        let name = match self {
            Self::Nftables => "nft",
            Self::Iptables => "iptables",
            Self::Ipvs => "ipset",
        };
        match Command::new(name).arg("--version").output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stdout);
                // nft says the name of its release as well.
                Ok(Some(said.split(" (L").next().unwrap_or_default().trim().to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not run {name}")),
        }
    }

    /// Prints what kube-proxy wrote.
    const fn listing(self) -> &'static [&'static str] {
        match self {
            Self::Nftables => &["nft", "list", "map", "ip", "kube-proxy", "service-ips"],
            Self::Iptables => &["iptables-save", "--table", "nat"],
            Self::Ipvs => &["cat", "/proc/net/ip_vs"],
        }
    }

    /// How many service ports with backends a listing has.
    fn known(self, listing: &str) -> usize {
        match self {
            Self::Nftables => listing.matches("goto service-").count(),
            Self::Iptables => listing.matches("-j KUBE-SVC-").count(),
            Self::Ipvs => {
                let is_backend: Vec<bool> = listing.lines().map(|line| line.starts_with("  -> ")).collect();
                // The first backend of a virtual server follows its line; two lines of titles are like it.
                is_backend.windows(2).skip(2).filter(|two| *two == [false, true]).count()
            }
        }
    }
}

pub struct KubeProxy {
    mode: ProxyMode,
    child: Child,
    _api_server: Forward,
}

impl KubeProxy {
    /// Which one it is.
    pub fn version() -> Result<String> {
        let output = Command::new(tool("kube-proxy")?).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts it on the node of this name, and waits until its rules know so many service ports that have backends.
    pub fn start(
        cluster: &Cluster,
        host: &HostNetwork,
        node: &str,
        mode: ProxyMode,
        service_ports: usize,
    ) -> Result<Self> {
        let api_server = Forward::into_host(cluster, host)?;
        let name = format!("kube-proxy-{}", mode.name());
        let config = cluster.folder().join(format!("{name}.json"));
        let text = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": api_server.kubeconfig()},
            "mode": mode.name(),
            "clusterCIDR": PODS,
            "hostnameOverride": node,
            // The limits of the machine stay as they are.
            "conntrack": {"maxPerCore": 0, "min": 0},
        });
        fs::write(&config, text.to_string()).context("could not write kube-proxy's configuration")?;
        let mut command = host.command(tool("kube-proxy")?);
        command.arg(format!("--config={}", config.display()));
        let child = cluster.spawn(&name, &mut command)?;
        let mut proxy = Self { mode, child, _api_server: api_server };
        let waited = proxy.wait(host, service_ports);
        waited.with_context(|| {
            fs::read_to_string(cluster.folder().join(format!("{name}.log"))).unwrap_or_default()
        })?;
        Ok(proxy)
    }

    /// Ends it, and takes its rules away.
    pub fn end(self, host: &HostNetwork) -> Result<()> {
        let Self { mode, child, _api_server: _ } = self;
        drop(child);
        let flush = match mode {
            ProxyMode::Nftables => ["nft", "delete", "table", "ip", "kube-proxy"].as_slice(),
            ProxyMode::Iptables => &["iptables", "--table", "nat", "--flush"],
            // Its virtual servers go with the network that they are in.
            ProxyMode::Ipvs => &["ip", "link", "delete", "kube-ipvs0"],
        };
        let output = host.command(flush[0]).args(&flush[1..]).output()?;
        ensure!(output.status.success(), "{flush:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn wait(&mut self, host: &HostNetwork, expected: usize) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        let words = self.mode.listing();
        loop {
            let mut listing = host.command(words[0]);
            let output = listing.args(&words[1..]).stdin(Stdio::null()).output();
            let output = output.with_context(|| format!("could not run {}", words[0]))?;
            let known = self.mode.known(&String::from_utf8_lossy(&output.stdout));
            if known >= expected {
                return Ok(());
            }
            ensure!(self.child.wait(Duration::ZERO)?.is_none(), "kube-proxy has ended");
            ensure!(Instant::now() < give_up, "kube-proxy has rules for {known} service ports of {expected}");
            thread::sleep(PAUSE);
        }
    }
}

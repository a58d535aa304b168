//! The real kube-proxy, with nftables.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use edgeloop_tests::Child;
use edgeloop_tests::cluster::{Inside, tool};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::contender::{Cold, Contender, Watch};
use super::gate::Gate;
use super::ground::Ground;
use super::population::HERE;
use super::times::Times;
use super::watch_rules::RulesWatch;

const METRICS: &str = "127.0.0.1:10249";
/// When its rules were last brought to what the API server says: the first time, all of them.
const LAST_SYNC: &str = "kubeproxy_sync_proxy_rules_last_timestamp_seconds";
/// The histogram of syncs of what has changed.
const PARTIAL_SYNCS: &str = "kubeproxy_sync_partial_proxy_rules_duration_seconds";
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(100);
const TABLES: [&str; 2] = ["ip", "ip6"];
const TABLE: &str = "kube-proxy";

/// Its `nftables.minSyncPeriod`.
#[derive(Clone, Copy)]
pub(crate) enum Period {
    /// One second.
    Default,
    /// What it takes as none at all; it takes 0 as the default.
    Lowest,
}

pub(crate) struct KubeProxy {
    child: Child,
    gate: Gate,
    cold: Cold,
}

/// Which kube-proxy it is, and which nft it works with; nothing where there is no nft.
pub(crate) fn versions() -> Result<Option<String>> {
    let nft = match Command::new("nft").arg("--version").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("could not run nft"),
    };
    let kube_proxy = Command::new(tool("kube-proxy")?).arg("--version").output()?;
    let kube_proxy = String::from_utf8_lossy(&kube_proxy.stdout).trim().to_owned();
    let nft = nft.split(" (").next().unwrap_or_default();
    Ok(Some(format!("{kube_proxy} with {nft}")))
}

impl KubeProxy {
    /// Starts it, and waits until its rules are complete.
    pub(crate) fn start(ground: &Ground, period: Period) -> Result<Self> {
        let cluster = &ground.cluster;
        let gate = Gate::new(cluster)?;
        let config = cluster.folder().join(format!("kube-proxy-{}.json", gate.port()));
        let kubeconfig = gate.kubeconfig(&cluster.kubeconfig())?;
        let text = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": kubeconfig},
            "mode": "nftables",
            "nftables": {"minSyncPeriod": period.text()},
            "hostnameOverride": HERE,
            "metricsBindAddress": METRICS,
            // The limits of the machine stay as they are.
            "conntrack": {"maxPerCore": 0, "min": 0},
        });
        fs::write(&config, text.to_string()).context("could not write kube-proxy's configuration")?;
        let mut flag = std::ffi::OsString::from("--config=");
        flag.push(&config);
        let started = SystemTime::now();
        let child = cluster.spawn(TABLE, cluster.command(tool("kube-proxy")?).arg(flag))?;
        let mut proxy = Self { child, gate, cold: Cold { in_sync: f64::NAN, completing: None } };
        proxy.cold.in_sync = proxy.first_sync(ground, started)?;
        proxy.check(ground)?;
        Ok(proxy)
    }

    /// Ends it, and takes its rules away.
    pub(crate) fn end(self, ground: &Ground) -> Result<()> {
        drop(self);
        for family in TABLES {
            let status = ground.cluster.command("nft").args(["delete", "table", family, TABLE]).status()?;
            ensure!(status.success(), "could not remove the rules of kube-proxy");
        }
        Ok(())
    }

    /// How long it says that a sync of what has changed takes, on average, in milliseconds.
    pub(crate) fn partial_sync(&self, ground: &Ground) -> Result<Option<f64>> {
        let text = metrics(&ground.cluster.inside()?)?;
        let part = |name: &str| value(&text, &format!("{PARTIAL_SYNCS}_{name}"));
        Ok(part("sum").zip(part("count")).map(|(sum, count)| sum / count * 1e3))
    }

    fn first_sync(&mut self, ground: &Ground, started: SystemTime) -> Result<f64> {
        let inside = ground.cluster.inside()?;
        let started = started.duration_since(UNIX_EPOCH).context("a clock before 1970")?.as_secs_f64();
        let give_up = Instant::now() + PATIENCE;
        while self.child.wait(Duration::ZERO)?.is_none() && Instant::now() < give_up {
            // It does not answer from the first moment on.
            if let Some(at) = metrics(&inside).ok().and_then(|text| value(&text, LAST_SYNC)) {
                return Ok(at - started);
            }
            thread::sleep(PAUSE);
        }
        let log =
            fs::read_to_string(ground.cluster.folder().join(format!("{TABLE}.log"))).unwrap_or_default();
        bail!("kube-proxy does not come into sync:\n{log}")
    }

    /// Whether its rules know every Service.
    fn check(&self, ground: &Ground) -> Result<()> {
        let output =
            ground.cluster.command("nft").args(["list", "map", "ip", TABLE, "service-ips"]).output()?;
        let known = String::from_utf8_lossy(&output.stdout).matches("goto service-").count();
        let expected = ground.created() as usize;
        ensure!(known >= expected, "kube-proxy has rules for {known} Services of {expected}");
        Ok(())
    }
}

impl Contender for KubeProxy {
    fn pid(&self) -> u32 {
        self.child.pid()
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn cold(&self) -> Cold {
        self.cold
    }

    fn watch(&self, ground: &Ground, times: Times) -> Result<Box<dyn Watch>> {
        Ok(Box::new(RulesWatch::start(&ground.cluster, times)?))
    }
}

impl Period {
    const fn text(self) -> &'static str {
        match self {
            Self::Default => "1s",
            Self::Lowest => "1ns",
        }
    }
}

fn metrics(inside: &Inside) -> Result<String> {
    inside.run(Duration::from_secs(10), async {
        let mut stream = TcpStream::connect(METRICS).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    })?
}

/// Of IPv4, once it is above zero.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(name) && line.contains("IPv4"))?;
    line.rsplit_once(' ')?.1.parse().ok().filter(|at| *at > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_of_ipv4_counts() {
        let line = |family: &str, at: &str| format!("{LAST_SYNC}{{ip_family=\"{family}\"}} {at}\n");
        for (metrics, at) in [
            (line("IPv6", "1.5e+09"), None),
            (line("IPv6", "1.5e+09") + &line("IPv4", "0"), None),
            (line("IPv6", "1.5e+09") + &line("IPv4", "1.75e+09"), Some(1.75e9)),
        ] {
            assert_eq!(value(&metrics, LAST_SYNC), at, "{metrics}");
        }
    }
}

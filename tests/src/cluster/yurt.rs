//! OpenYurt's own controllers, as its chart installs them, beside the control plane.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::child::Child;

use super::nodes::documents;
use super::{Cluster, objects, tool};

const NAMESPACE: &str = "kube-system";
const MANAGER: &str = "yurt-manager";

/// Where it says how it is.
const HEALTH_PORT: u16 = 10272;

/// What no simulated node has anything for, beside the life cycle of nodes that no kubelet renews a lease of.
const WITHOUT: &str = "*,-node-life-cycle-controller,-yurt-node-conversion-controller,\
    -platform-admin-controller,-image-preheat-controller,-gateway-pickup-controller,\
    -gateway-dns-controller,-gateway-internal-service-controller,-gateway-public-service-controller";

/// yurt-manager at work. It ends when dropped, and with the cluster.
pub struct Yurt {
    _manager: Child,
}

impl Yurt {
    /// Installs OpenYurt's kinds, rights and webhooks, and starts yurt-manager: about four seconds.
    pub fn start(cluster: &mut Cluster) -> Result<Self> {
        for entry in
            fs::read_dir(tool("charts/yurt-manager/crds")?).context("could not list OpenYurt's kinds")?
        {
            let file = entry.context("could not list OpenYurt's kinds")?.path();
            let text =
                fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))?;
            for kind in documents(&text)? {
                cluster.api().apply(&kind)?;
            }
        }
        install(cluster, MANAGER)?;
        install(cluster, "yurthub")?;

        let kubeconfig = cluster.account_kubeconfig(NAMESPACE, MANAGER)?;
        let mut command = cluster.command(tool(MANAGER)?);
        command
            .env("WEBHOOK_CERT_DIR", cluster.folder().join("webhooks"))
            .env("WEBHOOK_HOST", "127.0.0.1")
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(["--leader-elect=false", "--metrics-addr=127.0.0.1:10271"])
            .arg(format!("--working-namespace={NAMESPACE}"))
            .arg(format!("--health-probe-addr=127.0.0.1:{HEALTH_PORT}"))
            .arg(format!("--controllers={WITHOUT}"));
        let manager = cluster.spawn(MANAGER, &mut command)?;
        cluster.wait_for(MANAGER, |cluster| Ok(cluster.ask(HEALTH_PORT, "/readyz")?.starts_with("ok")))?;
        Ok(Self { _manager: manager })
    }
}

impl Cluster {
    /// Asks a program in the control plane's network over plain http, and gives the body of a good answer.
    pub fn ask(&self, port: u16, path: &str) -> Result<String> {
        self.ask_as("edgeloop-tests", port, path)
    }

    /// The same as a program of this name, which yurthub goes by.
    pub fn ask_as(&self, program: &str, port: u16, path: &str) -> Result<String> {
        let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: {program}/1\r\n\r\n");
        let answer = self.api().run(async move {
            timeout(Duration::from_secs(5), async {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.write_all(request.as_bytes()).await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await?;
                std::io::Result::Ok(answer)
            })
            .await
        })?;
        let answer = answer.context("no answer")?.with_context(|| format!("could not ask port {port}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "port {port}, {path}: {answer}");
        Ok(body.to_owned())
    }
}

/// Applies all of a chart but what would run as a pod.
fn install(cluster: &Cluster, chart: &str) -> Result<()> {
    let output = Command::new(tool("helm")?)
        .args(["template", chart])
        .arg(tool(&format!("charts/{chart}"))?)
        .args(["--namespace", NAMESPACE])
        .output()
        .context("could not run helm")?;
    ensure!(output.status.success(), "helm: {}", String::from_utf8_lossy(&output.stderr));
    let rendered = String::from_utf8(output.stdout).context("helm says what is no text")?;
    for mut object in documents(&rendered)? {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if ["Deployment", "YurtStaticSet"].contains(&kind.as_str()) {
            continue;
        }
        // As helm does for what its templates leave out.
        if !objects::is_global(&kind)
            && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.entry("namespace").or_insert_with(|| NAMESPACE.into());
        }
        cluster.api().apply(&object).with_context(|| format!("in the chart {chart}"))?;
    }
    Ok(())
}

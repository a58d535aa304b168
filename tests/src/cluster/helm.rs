//! Helm at work on a cluster, as an operator uses it, with the chart of this checkout.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use crate::harness::checkout;

use super::{Cluster, tool};

/// Names the archive that `cargo xtask image` makes; the project's verbs set it.
const IMAGE: &str = "EDGELOOP_IMAGE";

const CHART: &str = "charts/edgeloop";
pub const NAMESPACE: &str = "kube-system";

/// The name of its one release.
pub const RELEASE: &str = "edgeloop";

pub struct Helm<'c> {
    cluster: &'c Cluster,
    chart: PathBuf,
}

impl<'c> Helm<'c> {
    pub fn of(cluster: &'c Cluster) -> Result<Self> {
        Ok(Self { cluster, chart: checkout::folder()?.join(CHART) })
    }

    /// Installs the chart, or upgrades what is installed, with these values; gives what helm says.
    pub fn install(&self, values: &[&str]) -> Result<String> {
        let mut command = self.command(["upgrade", "--install", RELEASE]);
        command.arg(&self.chart).args(["--namespace", NAMESPACE, "--wait", "--timeout=60s"]);
        command.args(values.iter().flat_map(|value| ["--set", value]));
        said(&mut command)
    }

    /// Runs a command line that begins with `helm` as it stands, in the checkout, with these values besides.
    pub fn run(&self, line: &str, values: &[String]) -> Result<String> {
        let words =
            line.strip_prefix("helm ").with_context(|| format!("it is no command of helm: {line}"))?;
        let mut command = self.command(words.split(' '));
        command.current_dir(checkout::folder()?);
        command.args(values.iter().flat_map(|value| ["--set", value.as_str()]));
        said(&mut command)
    }

    pub fn uninstall(&self) -> Result<String> {
        said(
            self.command(["uninstall", RELEASE, "--namespace", NAMESPACE, "--timeout=180s"]).args(["--wait"]),
        )
    }

    /// Runs the tests of the chart.
    pub fn test(&self) -> Result<String> {
        said(&mut self.command(["test", RELEASE, "--namespace", NAMESPACE, "--timeout=60s"]))
    }

    fn command<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = self.cluster.command(tool("helm").unwrap_or_else(|_| "helm".into()));
        command.args(arguments).env("KUBECONFIG", self.cluster.kubeconfig()).stdin(Stdio::null());
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, self.cluster.folder().join("helm"));
        }
        command
    }
}

/// The archive with the agent's image.
pub fn image() -> Result<PathBuf> {
    let file = env::var_os(IMAGE).filter(|file| !file.is_empty()).map(PathBuf::from);
    let file = file.with_context(|| format!("{IMAGE} is not set: `cargo xtask` sets it for its verbs"))?;
    ensure!(file.is_file(), "there is no {}: run `cargo xtask image`", file.display());
    Ok(file)
}

fn said(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().context("could not run helm")?;
    let said = String::from_utf8_lossy(&stdout).into_owned();
    ensure!(status.success(), "helm failed: {}\n{said}", String::from_utf8_lossy(&stderr));
    Ok(said)
}

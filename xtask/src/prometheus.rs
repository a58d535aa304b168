//! What tests read metrics, alerts and dashboards with: promtool, and Python's parser of OpenMetrics, both as Debian has them.
//! Unpacked once into the cache, and installed nowhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::debian::{self, Package, Wanted};

/// Where tests find both.
pub(crate) const VARIABLE: &str = "EDGELOOP_PROMETHEUS_TOOLS";
/// Tests that need them lie in a module of this name: without the tools they are ignored.
pub(crate) const TESTS: &str = "chart::alerts::";

const KEPT: [&str; 2] = ["usr/bin/promtool", "usr/lib/python3/dist-packages/prometheus_client"];

/// The folder of both, or why it cannot be had.
pub(crate) fn get() -> Result<PathBuf, String> {
    install().map_err(|error| format!("promtool cannot be fetched: {error:#}"))
}

fn install() -> Result<PathBuf> {
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let packages = [Package::Single("prometheus"), Package::Single("python3-prometheus-client")];
    let name = "prometheus".to_owned();
    let wanted = Wanted { name, arch, suites: &["bookworm"], packages: &packages, kept: &KEPT };
    let keep = |unpacked: &Path, kept: &Path| {
        for file in KEPT.map(|file| unpacked.join(file)) {
            let name = file.file_name().context("a path without a name")?;
            std::fs::rename(&file, kept.join(name))
                .with_context(|| format!("could not keep {}", file.display()))?;
        }
        Ok(())
    };
    Ok(debian::kept(&debian::get(&wanted, keep)?))
}

//! The programs of the control plane, which `cargo xtask cluster build` makes.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// Names their folder; the project's verbs set it.
pub const TOOLS: &str = "EDGELOOP_CLUSTER_TOOLS";

/// A program, or another thing that lies beside the programs.
pub fn tool(name: &str) -> Result<PathBuf> {
    let folder = env::var_os(TOOLS).filter(|folder| !folder.is_empty());
    let folder = folder.map(PathBuf::from).with_context(|| {
        format!(
            "{TOOLS} is not set: `cargo xtask` sets it for its verbs, and `cargo xtask cluster build` prints it"
        )
    })?;
    let path = folder.join(name);
    ensure!(path.exists(), "there is no {}: run `cargo xtask cluster build`", path.display());
    Ok(path)
}

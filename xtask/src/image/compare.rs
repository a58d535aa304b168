//! Whether the agent for another processor decides as this machine's own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::packages::{Missing, install};
use crate::shell;

use super::Arch;

const EMULATOR: &str = "qemu-aarch64-static";
const QEMU: Missing = Missing { packages: &["qemu-user-static"], why: "to run programs for arm64" };

/// Lets both make all nodes' plans, and gives the number of nodes; an error where the plans differ.
pub(super) fn plans(arch: Arch, program: &Path) -> Result<usize> {
    shell::run(shell::cargo().args(["build", "--quiet", "--package", "lb-agent"]))?;
    let own = plan(&mut Command::new(shell::built("debug")?.join("lb-agent")))?;
    let other = match arch {
        Arch::Amd64 => plan(&mut Command::new(program))?,
        Arch::Arm64 => {
            if shell::programs(EMULATOR).is_empty() {
                install(&[QEMU])?;
            }
            plan(Command::new(EMULATOR).arg(program))?
        }
    };
    ensure!(own == other, "the plan differs:\n{other:#}\n\nand this machine's own:\n{own:#}");
    let nodes = own.as_array().map_or(0, Vec::len);
    ensure!(nodes > 0, "there are no nodes in the plan of examples/tutorial");
    Ok(nodes)
}

fn plan(agent: &mut Command) -> Result<Value> {
    let arguments = ["plan", "--manifests", "examples/tutorial", "--all-nodes", "-o", "json"];
    let said = shell::output(agent.current_dir(shell::root()).args(arguments))?;
    serde_json::from_str(&said).context("`lb-agent plan` says what is no JSON")
}

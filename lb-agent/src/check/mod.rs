//! What this machine has of what the agent needs: one line a thing, with what follows from it.

mod capabilities;
mod finding;
mod kernel;
mod memory;
mod neighbours;
mod places;
mod server;
mod skips;
mod sockets;

use std::path::PathBuf;

pub use finding::{Finding, State, exit_code};

use crate::api::KubeConfig;
use crate::model::Mode;
use crate::plan::Capacity;

/// What is asked about: as an agent would be started.
#[derive(Debug)]
pub struct Question {
    /// `None`: the root of the cgroup2 hierarchy.
    pub cgroup: Option<PathBuf>,
    pub pin_root: PathBuf,
    /// `None` with a source of files, which dials no server.
    pub server: Option<KubeConfig>,
    pub mode: Mode,
    /// How large the maps may become.
    pub room: Capacity,
}

/// Looks at everything. Nothing is changed: programs and maps that are tried go at once. Takes less than two
/// seconds, whatever hangs.
pub async fn check(question: Question) -> Vec<Finding> {
    let Question { cgroup, pin_root, server, mode, room } = question;
    let of_machine = tokio::task::spawn_blocking(move || {
        let mut findings = places::findings(cgroup.as_deref(), &pin_root);
        findings.extend(kernel::findings());
        findings.extend(capabilities::findings(kernel::this()));
        findings.extend(sockets::findings());
        findings.extend(memory::findings(room));
        findings.push(skips::finding(&pin_root));
        findings.extend(neighbours::at_hooks(cgroup.as_deref(), &pin_root));
        findings
    });
    let (of_machine, kube_proxy, of_server) =
        tokio::join!(of_machine, neighbours::kube_proxy(mode), server::findings(server, mode));
    let mut findings = of_machine.unwrap_or_default();
    findings.push(kube_proxy);
    findings.extend(of_server);
    findings
}

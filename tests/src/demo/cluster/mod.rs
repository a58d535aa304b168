//! The tutorial on a real control plane with OpenYurt's own controllers: the same steps, as API calls.

mod asked;
mod installed;
mod restart;
mod stage;
mod steps;

use std::time::Instant;

use anyhow::Result;

use super::screen::Screen;
use stage::Stage;

/// How the agents come to their nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agents {
    AsProcesses,
    /// The chart is installed, and its pods run in containers.
    ByHelm,
}

/// Shows it, and proves it: the error is a sentence that says what was not so.
///
/// # Errors
/// When anything is not as the tutorial says, or this machine cannot run it.
pub fn run(agents: Agents) -> Result<()> {
    let started = Instant::now();
    let screen = Screen::new();
    screen.heading("Edgeloop on a real control plane: Kubernetes 1.36.3, OpenYurt 1.7.0, no kubelet")?;
    screen.line(
        "etcd, kube-apiserver, controller-manager, scheduler and yurt-manager, in a network namespace",
    )?;
    screen.line("of their own. A stand-in for the kubelets makes a network namespace of every pod.")?;
    let mut stage = Stage::new(&screen, agents)?;

    let at_first = super::matrix(&screen, stage.cast())?;
    stage.names().show(&screen, |node| stage.cast().client(node))?;
    let moved = steps::run(&screen, &stage, &at_first)?;
    asked::run(&screen, &stage)?;
    restart::run(&screen, &mut stage, &moved)?;
    if agents == Agents::ByHelm {
        installed::remove(&screen, &stage)?;
    }

    let name = stage.name();
    drop(stage);
    super::end(&screen, &name, started)
}

//! A real control plane to play with: `cargo xtask cluster up`, `down` and `env`.

mod holder;

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use edgeloop_tests::cluster::Whereabouts;

/// A real control plane with OpenYurt's controllers, the tutorial's pools and nodes, and a stand-in for the
/// kubelets that makes a network namespace with servers of every pod. Needs root.
#[derive(Parser)]
#[command(name = "edgeloop-cluster")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Which one, if there are several on this machine.
    #[arg(long, global = true, default_value = "default", value_parser = holder::name)]
    name: String,
}

#[derive(Subcommand)]
enum Verb {
    /// Bring it up, and leave it running.
    Up,
    /// Take it down, with all that runs in it.
    Down,
    /// Print what a shell needs to talk to it: eval "$(cargo xtask cluster env)"
    Env,
    /// Hold it until a signal ends it.
    #[command(hide = true)]
    Hold,
}

fn main() -> ExitCode {
    let Arguments { verb, name } = Arguments::parse();
    let done = match verb {
        Verb::Up => holder::up(&name).and_then(|at| say(&hint(&at))),
        Verb::Down => holder::down(&name),
        Verb::Env => holder::find(&name).and_then(|at| say(&environment(&at))),
        Verb::Hold => holder::hold(&name),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With stderr gone there is no reader.
            drop(writeln!(stderr(), "edgeloop-cluster: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn hint(at: &Whereabouts) -> String {
    format!(
        "It is up, with the tutorial's pools and nodes, and runs until `cargo xtask cluster down`.\n\
         \n\
         eval \"$(cargo xtask cluster env)\"\n\
         kubectl get nodes --label-columns apps.openyurt.io/nodepool\n\
         kubectl apply -f examples/tutorial/workloads.yaml\n\
         kubectl apply -f examples/tutorial/service-svc-ud1.yaml\n\
         lb-agent plan --all-nodes --kubeconfig {}\n",
        at.kubeconfig.display()
    )
}

fn environment(at: &Whereabouts) -> String {
    format!(
        "# An administrator's rights, from anywhere on this machine.\n\
         export KUBECONFIG={}\n\
         # An agent's rights, from the network that the control plane is in:\n\
         # nsenter --net=$EDGELOOP_NETNS lb-agent run --node NAME --kubeconfig $EDGELOOP_AGENT_KUBECONFIG \
         --cgroup $EDGELOOP_NODES/NAME\n\
         export EDGELOOP_AGENT_KUBECONFIG={}\n\
         export EDGELOOP_NETNS={}\n\
         # A cgroup for each node, with the processes of its pods.\n\
         export EDGELOOP_NODES={}\n",
        at.kubeconfig.display(),
        at.agent_kubeconfig.display(),
        at.netns.display(),
        at.cgroup.display()
    )
}

fn say(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("the output could not be written")
}

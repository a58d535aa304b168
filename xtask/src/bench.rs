//! `cargo xtask bench`: builds for speed, and becomes the bench.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::build_ebpf;
use crate::builds::Builds;
use crate::{machine, programs, shell, tools};

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// What a connect(2) costs in the kernel, against an empty program, the last landed version and two other designs.
    Connect(Arguments),
    /// From one changed slice to the last map write, on the in-memory kernel.
    Plan(Arguments),
    /// What a thousand agents ask of an API server that comes back after an outage.
    Outage(Arguments),
    /// A change at a real API server until it holds in the kernel, against the real kube-proxy.
    ControlPlane(Arguments),
    /// What it costs to find and end the UDP sockets of a backend that is gone.
    Sockets(Arguments),
    /// How much processor time an agent takes while nothing changes, with 10,000 Services.
    Idle(Arguments),
    /// How soon a node serves that boots without an API server, from what was saved.
    Start(Arguments),
    /// What clients of a Service wait for: TCP, UDP and DNS, against the real kube-proxy and no load balancer at all.
    Traffic(Arguments),
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the bench, such as `-o json`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    let (name, Arguments { rest }) = match bench {
        Bench::Connect(arguments) => ("connect", arguments),
        Bench::Plan(arguments) => ("plan", arguments),
        Bench::Outage(arguments) => ("outage", arguments),
        Bench::ControlPlane(arguments) => ("control-plane", arguments),
        Bench::Sockets(arguments) => ("sockets", arguments),
        Bench::Idle(arguments) => ("idle", arguments),
        Bench::Start(arguments) => ("start", arguments),
        Bench::Traffic(arguments) => ("traffic", arguments),
    };
    let tools = match bench {
        Bench::ControlPlane(_) | Bench::Traffic(_) => Some(programs::of_cluster()?),
        Bench::Connect(_)
        | Bench::Plan(_)
        | Bench::Outage(_)
        | Bench::Sockets(_)
        | Bench::Idle(_)
        | Bench::Start(_) => None,
    };
    if bench.is_on_the_kernel() {
        machine::runs_our_programs()?;
        machine::install_tools()?;
    }
    let builds = match bench {
        Bench::Connect(_) => Builds::previous()?,
        Bench::Plan(_)
        | Bench::Outage(_)
        | Bench::ControlPlane(_)
        | Bench::Sockets(_)
        | Bench::Idle(_)
        | Bench::Start(_)
        | Bench::Traffic(_) => Builds::default(),
    };
    // The agent's library, which the bench measures, holds the object either way.
    let reference = matches!(bench, Bench::Connect(_));
    build_ebpf::run(&build_ebpf::Arguments { reference, ..Default::default() })?;
    shell::run(shell::cargo().args(["build", "--release"]).args(bench.programs()))?;
    let program = shell::built("release")?.join("edgeloop-bench");
    if let Some(why) = &builds.no_previous {
        eprintln!("Without the previous version: {why}");
    }
    let mut command = command(&program, name, tools.as_deref(), rest);
    Err(shell::become_program(command.envs(builds.environment)))
}

fn command(program: &Path, name: &str, tools: Option<&Path>, rest: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command.envs(tools.map(|tools| (tools::VARIABLE, tools))).arg(name).args(rest);
    command
}

impl Bench {
    fn is_on_the_kernel(&self) -> bool {
        match self {
            Bench::Connect(_)
            | Bench::ControlPlane(_)
            | Bench::Sockets(_)
            | Bench::Idle(_)
            | Bench::Start(_)
            | Bench::Traffic(_) => true,
            Bench::Plan(_) | Bench::Outage(_) => false,
        }
    }

    /// What cargo is asked for: the bench, what runs inside of simulated pods, and what is measured.
    fn programs(&self) -> Vec<&'static str> {
        let bench = ["--package", "edgeloop-tests", "--bin", "edgeloop-bench"];
        let pod = ["--bin", "edgeloop-pod"];
        let agent = ["--package", "lb-agent", "--bin", "lb-agent"];
        match self {
            Bench::Plan(_) | Bench::Outage(_) => bench.to_vec(),
            Bench::Connect(_) => [&bench[..], &pod].concat(),
            Bench::ControlPlane(_)
            | Bench::Sockets(_)
            | Bench::Idle(_)
            | Bench::Start(_)
            | Bench::Traffic(_) => [&bench[..], &pod, &agent].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_gets_its_name_its_arguments_and_only_with_a_cluster_the_tools() {
        let rest = ["--small", "-o", "json"].map(OsString::from);
        let with = command(Path::new("/bench"), "control-plane", Some(Path::new("/tools")), &rest);
        assert_eq!(with.get_args().collect::<Vec<_>>(), ["control-plane", "--small", "-o", "json"]);
        let environment: Vec<_> = with.get_envs().collect();
        assert_eq!(environment, [(tools::VARIABLE.as_ref(), Some("/tools".as_ref()))]);
        let without = command(Path::new("/bench"), "plan", None, &rest);
        assert_eq!(without.get_envs().count(), 0);
    }
}

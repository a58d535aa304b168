//! `cargo xtask bench`: what things cost, beside the goals they were given.

mod allocated;
mod connect;
mod control_plane;
mod goals;
mod idle;
mod outage;
mod pinned;
mod plan;
mod sockets;
mod start;
mod traffic;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "edgeloop-bench")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// What a connect(2) costs in the kernel, beside an empty program and two other designs.
    Connect {
        /// Few rounds, and 1,000 services at most: shows that the bench runs, and little more.
        #[arg(long)]
        quick: bool,
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What a change costs until its last map write, on the maps in memory.
    Plan {
        /// One round and few changes: shows that the bench runs, and little more.
        #[arg(long)]
        quick: bool,
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What following an API server costs, beside the real kube-proxy and on a real control plane.
    ControlPlane(control_plane::Arguments),
    /// What many agents ask of an API server that comes back after an outage.
    Outage(outage::Arguments),
    /// What it costs to find and end the UDP sockets of a backend that is gone.
    Sockets {
        /// Few sockets and one round: shows that the bench runs, and little more.
        #[arg(long)]
        quick: bool,
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// How much processor time an agent takes while nothing changes.
    Idle {
        /// Few Services and a few seconds: shows that the bench runs, and little more.
        #[arg(long)]
        quick: bool,
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// How soon a node serves that boots without an API server, from what was saved.
    Start {
        /// Few Services and one round: shows that the bench runs, and little more.
        #[arg(long)]
        quick: bool,
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What clients of a Service wait for, beside the real kube-proxy and without a load balancer.
    Traffic(traffic::Arguments),
    /// Asks inside of a pod: the bench starts itself so.
    #[command(hide = true)]
    TrafficClient(traffic::client::Arguments),
    /// Answers inside of a pod: the bench starts itself so.
    #[command(hide = true)]
    TrafficServer(traffic::server::Arguments),
    /// Runs a program on the processor that is measured on.
    #[command(hide = true)]
    Pinned(pinned::Arguments),
    /// Dials inside of a pod: the bench starts itself so.
    #[command(hide = true)]
    Dial(connect::dials::Arguments),
    /// Holds sockets inside of a pod: the bench starts itself so.
    #[command(hide = true)]
    HoldSockets(sockets::hold::Arguments),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> Result<()> {
    let Arguments { bench } = Arguments::parse();
    match bench {
        Bench::Connect { quick, output } => connect::run(quick, output),
        Bench::Plan { quick, output } => plan::run(quick, output),
        Bench::ControlPlane(arguments) => control_plane::run(&arguments),
        Bench::Outage(arguments) => outage::run(&arguments),
        Bench::Sockets { quick, output } => sockets::run(quick, output),
        Bench::Idle { quick, output } => idle::run(quick, output),
        Bench::Start { quick, output } => start::run(quick, output),
        Bench::HoldSockets(arguments) => sockets::hold::run(&arguments),
        Bench::Traffic(arguments) => traffic::run(&arguments),
        Bench::TrafficClient(arguments) => traffic::client::run(&arguments),
        Bench::TrafficServer(arguments) => traffic::server::run(&arguments),
        Bench::Pinned(arguments) => pinned::run(&arguments),
        Bench::Dial(arguments) => connect::dials::run(&arguments),
    }
}

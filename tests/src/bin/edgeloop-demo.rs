//! The tutorial on the kernel of this machine: `cargo xtask demo` runs it.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::Parser;
use edgeloop_tests::demo::{self, Agents};

/// Runs the folder examples/tutorial on this machine's kernel, in cgroups and network namespaces of its own,
/// and shows which client is answered by which pool while things change. Exits with 1 when anything is not as
/// it should be. Needs root; leaves nothing behind.
#[derive(Parser)]
#[command(name = "edgeloop-demo")]
struct Arguments {
    /// On a real control plane with OpenYurt's own controllers, driven by API calls.
    #[arg(long)]
    cluster: bool,
    /// Beside it, on one node OpenYurt's yurthub with kube-proxy: what becomes of the same changes.
    #[arg(long, requires = "cluster")]
    compare: bool,
    /// The agents are installed by the chart, and run in containers.
    #[arg(long, requires = "cluster", conflicts_with = "compare")]
    helm: bool,
}

fn main() -> ExitCode {
    let Arguments { cluster, compare, helm } = Arguments::parse();
    let shown = match (cluster, compare, helm) {
        (_, true, _) => demo::compare_on_a_cluster(),
        (_, _, true) => demo::run_on_a_cluster(Agents::ByHelm),
        (true, _, _) => demo::run_on_a_cluster(Agents::AsProcesses),
        (false, ..) => demo::run(),
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With stderr gone there is no reader.
            drop(writeln!(stderr(), "\nedgeloop-demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

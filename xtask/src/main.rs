//! The project's own verbs: parse, call, exit code.

mod bench;
mod browser;
mod build_ebpf;
mod builds;
mod cache;
mod cluster;
mod debian;
mod demo;
mod deny;
mod docs;
mod fuzz;
mod image;
mod machine;
mod model;
mod packages;
mod pip;
mod programs;
mod prometheus;
mod schemas;
mod shell;
mod signals;
mod soak;
mod test;
mod tidy;
mod tools;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own verbs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the kernel object, installing what that needs.
    BuildEbpf(build_ebpf::Arguments),
    /// Run every tier of tests that this machine can run, or those that are named.
    Test(test::Arguments),
    /// Run the tutorial on this machine's kernel: nodes as cgroups, pods as network namespaces.
    Demo(demo::Arguments),
    /// A real control plane on this machine, to play with.
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Build the image: a static `lb-agent` and nothing else, as an OCI archive.
    Image(image::Arguments),
    /// Measure, and print the goals with what came out.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Kill, upgrade and disturb the agent under connections, and judge every one of them.
    Soak(soak::Arguments),
    /// Try bytes by the million where bytes of others arrive.
    Fuzz(fuzz::Arguments),
    /// Run tests on another kernel, in an emulated machine.
    Vm(vm::Arguments),
    /// Make anew what the documentation shows: pages from the program, pictures from a browser and a terminal.
    Docs,
    /// Check the rules of the house that no compiler knows.
    Tidy,
}

fn main() -> ExitCode {
    if let Some(error) = fuzz::as_rustc() {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    let Xtask { verb } = Xtask::parse();
    let done = signals::pass_on().and_then(|()| match verb {
        Verb::BuildEbpf(arguments) => build_ebpf::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Test(arguments) => test::run(&arguments),
        Verb::Demo(arguments) => demo::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Cluster(cluster) => cluster::run(&cluster).map(|()| ExitCode::SUCCESS),
        Verb::Image(arguments) => image::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Bench(bench) => bench::run(&bench).map(|()| ExitCode::SUCCESS),
        Verb::Soak(arguments) => soak::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Fuzz(arguments) => fuzz::run(&arguments),
        Verb::Vm(arguments) => vm::run(&arguments),
        Verb::Docs => docs::run().map(|()| ExitCode::SUCCESS),
        Verb::Tidy => tidy::run().map(|()| ExitCode::SUCCESS),
    });
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

//! `cargo xtask cluster`: a real control plane on this machine, from the programs that are built for it.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{programs, shell, tools};

#[derive(clap::Subcommand)]
pub(crate) enum Cluster {
    /// Build the programs that a cluster consists of, once, and say where they are.
    Build,
    /// Bring one up, in network namespaces of its own.
    Up(Arguments),
    /// Take it down.
    Down(Arguments),
    /// Print what a shell needs to talk to it.
    Env(Arguments),
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(cluster: &Cluster) -> Result<()> {
    let (verb, Arguments { rest }) = match cluster {
        Cluster::Build => return build(),
        Cluster::Up(arguments) => ("up", arguments),
        Cluster::Down(arguments) => ("down", arguments),
        Cluster::Env(arguments) => ("env", arguments),
    };
    let tools = programs::of_cluster()?;
    let programs = programs::build()?;
    Err(shell::become_program(&mut command(&programs, &tools, verb, rest)))
}

#[expect(clippy::print_stdout, reason = "the folder is this verb's result")]
fn build() -> Result<()> {
    println!("{}", tools::get()?.display());
    Ok(())
}

fn command(programs: &Path, tools: &Path, verb: &str, rest: &[OsString]) -> Command {
    let mut command = Command::new(programs.join("edgeloop-cluster"));
    command.env(tools::VARIABLE, tools).arg(verb).args(rest);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_verb_is_passed_on_with_the_folder_of_the_tools() {
        let rest = ["--name", "a b", "-v"].map(OsString::from);
        let command = command(Path::new("/built"), Path::new("/tools"), "up", &rest);
        assert_eq!(command.get_program(), "/built/edgeloop-cluster");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["up", "--name", "a b", "-v"]);
        let environment: Vec<_> = command.get_envs().collect();
        assert_eq!(environment, [(tools::VARIABLE.as_ref(), Some("/tools".as_ref()))]);
    }
}

//! `cargo xtask demo`: builds what the demo needs, and becomes it.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{image, programs, shell, tools};

/// The demo's argument that asks for a real cluster.
const CLUSTER: &str = "--cluster";
/// The one that asks for an installation by the chart, which needs an image.
const HELM: &str = "--helm";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the demo: `--cluster` runs it on a real control plane, `--cluster --helm` with the agents installed
    /// by the chart.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { rest } = arguments;
    let tools = if asks_for(rest, CLUSTER) { Some(programs::of_cluster()?) } else { None };
    let image = if asks_for(rest, HELM) { Some(image::build()?) } else { None };
    let programs = programs::build()?;
    let mut demo = command(&programs, tools.as_deref(), rest);
    Err(shell::become_program(demo.envs(image.map(|image| (image::VARIABLE, image)))))
}

fn asks_for(rest: &[OsString], what: &str) -> bool {
    rest.iter().any(|argument| argument == what)
}

fn command(programs: &Path, tools: Option<&Path>, rest: &[OsString]) -> Command {
    let mut command = Command::new(programs.join("edgeloop-demo"));
    command.envs(tools.map(|tools| (tools::VARIABLE, tools))).args(rest);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_demo_on_a_cluster_is_given_tools_and_all_of_them_their_arguments() {
        let [plain, compared] = [vec!["-v"], vec!["--cluster", "--compare"]]
            .map(|rest| rest.into_iter().map(OsString::from).collect::<Vec<_>>());
        assert!(!asks_for(&plain, CLUSTER) && asks_for(&compared, CLUSTER));

        let with = command(Path::new("/built"), Some(Path::new("/tools")), &compared);
        assert_eq!(with.get_args().collect::<Vec<_>>(), ["--cluster", "--compare"]);
        let environment: Vec<_> = with.get_envs().collect();
        assert_eq!(environment, [(tools::VARIABLE.as_ref(), Some("/tools".as_ref()))]);

        let without = command(Path::new("/built"), None, &plain);
        assert_eq!(without.get_args().collect::<Vec<_>>(), ["-v"]);
        assert_eq!(without.get_envs().count(), 0);
    }
}

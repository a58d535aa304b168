//! The program as a plugin of kubectl: the same commands, asked of all nodes.

use std::ffi::OsStr;
use std::path::Path;

use clap::Command;

use super::NAME;

/// What kubectl looks for in PATH when it is called as `kubectl edgeloop`.
const FILE: &str = "kubectl-edgeloop";
/// What people type.
const TYPED: &str = "kubectl edgeloop";
/// Commands for the machine that they run on.
const OF_THIS_MACHINE: [&str; 3] = ["run", "init", "cleanup"];

/// Whether a program that is called so is the plugin.
pub(super) fn is_called_so(program: Option<&OsStr>) -> bool {
    program.and_then(|program| Path::new(program).file_name()).is_some_and(|name| name == FILE)
}

/// The command line as kubectl's users see it.
pub(super) fn plugin(command: Command) -> Command {
    let command = command.name(FILE).bin_name(TYPED);
    command.mut_subcommands(|command| {
        let hide = OF_THIS_MACHINE.contains(&command.get_name());
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace(&format!("\n  {NAME} "), &format!("\n  {TYPED} "));
        // `plan` asks no agent: which node it plans for is said.
        let asks_agents = command.get_arguments().any(|arg| arg.get_id() == "on");
        let asks_all = |arg: clap::Arg| match arg.get_id().as_str() {
            "all_nodes" if asks_agents => arg.default_value("true").help(ALL_NODES),
            "cluster" => arg.default_value("true").help(CLUSTER),
            _ => arg,
        };
        command.hide(hide).after_help(help).mut_args(asks_all)
    })
}

const CLUSTER: &str = "Look at the cluster as a whole: what it does anyway";
const ALL_NODES: &str = "Ask the agents on all nodes that have one: what it does anyway without --on";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::super::remote::Asked;
    use super::super::{Cli, Command as Asks};
    use super::*;
    use crate::remote::Nodes;

    #[test]
    fn the_name_of_its_file_makes_it_a_plugin() {
        for (program, is_plugin) in [
            (Some("kubectl-edgeloop"), true),
            (Some("/usr/local/bin/kubectl-edgeloop"), true),
            (Some("/opt/kubectl-edgeloop/lb-agent"), false),
            (Some("/lb-agent"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(is_called_so(program.map(OsStr::new)), is_plugin, "{program:?}");
        }
    }

    #[test]
    fn its_help_names_what_people_type() {
        let mut all = plugin(Cli::command());
        all.build();
        let help = all.render_long_help().to_string();
        assert!(
            help.contains("Usage: kubectl edgeloop <COMMAND>") && !help.contains("\n  cleanup "),
            "{help}"
        );
        let status = all.find_subcommand_mut("loop").unwrap().render_long_help().to_string();
        assert!(status.contains("Usage: kubectl edgeloop loop [OPTIONS]"), "{status}");
        assert!(
            status.contains("\n  kubectl edgeloop loop --watch") && !status.contains("  lb-agent "),
            "{status}"
        );
    }

    #[test]
    fn without_a_node_it_asks_all_and_lb_agent_asks_its_own() {
        let asked = |command: Command, line: &[&str]| {
            let matches = command.try_get_matches_from([&["x", "status"], line].concat()).unwrap();
            let Asks::Status(status) = Cli::from_arg_matches(&matches).unwrap().command else {
                panic!("{line:?}")
            };
            status.remote.asked()
        };
        let several = |names: &[&str]| {
            Asked::Several(Nodes::These(names.iter().map(|name| (*name).to_owned()).collect()))
        };
        let (all, one) = (Asked::Several(Nodes::All), Asked::One("n1".to_owned()));
        for (line, here, in_plugin) in [
            (&[][..], Asked::Here, all.clone()),
            (&["--all-nodes"], all.clone(), all),
            (&["--on", "n1"], one.clone(), one.clone()),
            (&["--on", "n1", "--on=n1"], one.clone(), one),
            (&["--on", "n1", "--on=n2"], several(&["n1", "n2"]), several(&["n1", "n2"])),
        ] {
            assert_eq!(asked(Cli::command(), line), here, "{line:?}");
            assert_eq!(asked(plugin(Cli::command()), line), in_plugin, "{line:?}");
        }
        for (command, is_of_all) in [(Cli::command(), false), (plugin(Cli::command()), true)] {
            let matches = command.try_get_matches_from(["x", "check"]).unwrap();
            let Asks::Check(check) = Cli::from_arg_matches(&matches).unwrap().command else {
                panic!("check")
            };
            assert_eq!(check.cluster, is_of_all);
        }
        // As it stands in the documents, without --cluster.
        let live =
            plugin(Cli::command()).try_get_matches_from(["x", "check", "--live", "--image", "a"]).unwrap();
        let Asks::Check(check) = Cli::from_arg_matches(&live).unwrap().command else { panic!("check") };
        assert!(check.cluster && check.live);
        let planned = plugin(Cli::command()).try_get_matches_from(["x", "plan", "--node", "n1"]).unwrap();
        assert!(!planned.subcommand_matches("plan").unwrap().get_flag("all_nodes"), "it plans for n1");
        let both = Cli::command().try_get_matches_from(["x", "status", "--all-nodes", "--on", "n1"]);
        assert!(both.is_err());
    }
}

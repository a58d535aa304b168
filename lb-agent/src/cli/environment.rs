//! Flags from environment variables: which are there, which are empty, and which are not read at all.

use std::collections::BTreeSet;
use std::env;

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use jiff::Timestamp;

use crate::shown::{line, shown};
use crate::suggest::suggest;
use crate::telemetry;
use crate::telemetry::record::{self, Started};

use super::sysdump::secrets::without_secrets;
use super::{Cli, plugin};

const OURS: &str = "EDGELOOP_";

/// The command line with its variables. An empty one is as one that is not set: in a pod's specification, or a
/// unit's file, a variable often cannot be left out. Ends the process when it is not understood.
#[must_use]
pub fn parse() -> Cli {
    let is_empty = |name: &str| env::var_os(name).is_some_and(|value| value.is_empty());
    let command = without(Cli::command(), &is_empty);
    let is_plugin = plugin::is_called_so(env::args_os().next().as_deref());
    let command = if is_plugin { plugin::plugin(command) } else { command };
    let mut matches = command.clone().get_matches();
    if let Some((name, of_command)) = matches.subcommand() {
        let flags = command.find_subcommand(name).map(|command| given(command, of_command));
        let at = Timestamp::now().to_string();
        record::started(Started { at, flags: flags.unwrap_or_default() });
    }
    Cli::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit())
}

/// The flags that were given, by flag or variable, without secrets.
fn given(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let is_given = |id: &str| {
        matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let shown = |arg: &Arg| {
        let values = matches.try_get_raw(arg.get_id().as_str()).ok().flatten().into_iter().flatten();
        let name = arg.get_long().map_or_else(|| arg.get_id().to_string(), |long| format!("--{long}"));
        let values: Vec<String> =
            values.map(|value| line(&without_secrets(&value.to_string_lossy()))).collect();
        if values.is_empty() || matches!(arg.get_action(), ArgAction::SetTrue) {
            vec![name]
        } else {
            values.iter().map(|value| format!("{name}={value}")).collect()
        }
    };
    let arguments = command.get_arguments().filter(|arg| is_given(arg.get_id().as_str()));
    arguments.flat_map(shown).collect()
}

/// Warns, once, of variables that look like ours and are not.
pub(super) fn warn_of_unknown() {
    let set = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = unknown(set);
    if !unknown.is_empty() {
        tracing::warn!(
            variables = unknown.join(", "),
            "these environment variables are not read: they may be misspelt flags"
        );
    }
}

/// The command without the variables of this kind.
fn without(command: Command, is_of_kind: &impl Fn(&str) -> bool) -> Command {
    let is_out = |arg: &Arg| arg.get_env().and_then(|name| name.to_str()).is_some_and(is_of_kind);
    let command = command.mut_args(|arg| if is_out(&arg) { arg.env(Resettable::Reset) } else { arg });
    command.mut_subcommands(|command| without(command, is_of_kind))
}

/// Those of `set` that no command reads, each with what may have been meant.
fn unknown(set: impl Iterator<Item = String>) -> Vec<String> {
    let known = known();
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut unknown: Vec<String> = set
        .filter(|name| name.starts_with(OURS) && !known.contains(name) && !is_service_link(name))
        .map(|name| match suggest(&name, &names).first() {
            Some(meant) => format!("{} (did you mean {meant}?)", shown(&name)),
            None => shown(&name),
        })
        .collect();
    unknown.sort_unstable();
    unknown
}

/// What any command reads.
fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::from([telemetry::LOG.to_owned()]);
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        let variables = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
        known.extend(variables.map(str::to_owned));
        commands.extend(command.get_subcommands().cloned());
    }
    known
}

/// Kubernetes gives pods such variables for each Service of their namespace, `edgeloop-…` among them.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST") || name.ends_with("_PORT") || name.contains("_PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_but_those_for_people_can_be_given_by_a_variable_that_is_ours() {
        let known = known();
        for name in ["EDGELOOP_NODE", "EDGELOOP_PIN_ROOT", "EDGELOOP_LOG", "EDGELOOP_STOP", "EDGELOOP_OUTPUT"]
        {
            assert!(known.contains(name), "{name}");
        }
        assert!(known.iter().all(|name| name.starts_with(OURS)), "{known:?}");
    }

    #[test]
    fn the_flags_that_were_given_are_known_without_secrets() {
        let command = Cli::command();
        let words = [
            "lb-agent",
            "run",
            "--node",
            "n1",
            "--require-first",
            "--api-server",
            "https://u:pw@h:1",
            "--topology",
            "a/b=*",
            "--topology",
            "a/c=*",
        ];
        let matches = command.clone().get_matches_from(words);
        let (name, of_command) = matches.subcommand().unwrap();
        let mut flags = given(command.find_subcommand(name).unwrap(), of_command);
        flags.sort();
        let expected = [
            "--api-server=https://(left out)@h:1",
            "--node=n1",
            "--require-first",
            "--topology=a/b=*",
            "--topology=a/c=*",
        ];
        assert_eq!(flags, expected);
    }

    #[test]
    fn an_empty_variable_is_none_for_every_flag_of_every_command() {
        let mut seen = 0;
        let mut commands = vec![without(Cli::command(), &|_| true)];
        while let Some(command) = commands.pop() {
            seen += command.get_arguments().count();
            let read = command.get_arguments().find(|arg| arg.get_env().is_some());
            assert_eq!(read.map(|arg| arg.get_id().to_string()), None, "{}", command.get_name());
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(seen > 20, "{seen}");
        let kept = without(Cli::command(), &|name| name == "EDGELOOP_HTTP");
        let run = kept.find_subcommand("run").unwrap();
        let of = |flag: &str| run.get_arguments().find(|arg| arg.get_id() == flag).unwrap().get_env();
        assert!(of("http").is_none() && of("node").is_some(), "and that alone");
    }

    #[test]
    fn a_variable_that_is_not_read_is_named_with_what_may_have_been_meant() {
        for (name, said) in [
            ("EDGELOOP_NODE", ""),
            ("EDGELOOP_LOG", ""),
            ("PATH", ""),
            ("XEDGELOOP_NODES", ""),
            ("EDGELOOP_NODES", "EDGELOOP_NODES (did you mean EDGELOOP_NODE?)"),
            ("EDGELOOP_HTPP", "EDGELOOP_HTPP (did you mean EDGELOOP_HTTP?)"),
            ("EDGELOOP_A\u{1b}", "EDGELOOP_A\\u{1b}"),
            // What a Service of the name edgeloop brings about.
            ("EDGELOOP_SERVICE_HOST", ""),
            ("EDGELOOP_SERVICE_PORT", ""),
            ("EDGELOOP_SERVICE_PORT_METRICS", ""),
            ("EDGELOOP_PORT", ""),
            ("EDGELOOP_PORT_10270_TCP_ADDR", ""),
            ("EDGELOOP_AGENT_SERVICE_HOST", ""),
        ] {
            let unknown = unknown([name.to_owned()].into_iter()).join(", ");
            // Whatever is near a name of this length.
            let unknown =
                if said.contains('(') { unknown } else { unknown.split(" (").next().unwrap().to_owned() };
            assert_eq!(unknown, said, "{name}");
        }
    }
}

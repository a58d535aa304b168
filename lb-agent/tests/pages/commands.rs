//! Commands and their flags.

use clap::CommandFactory as _;
use lb_agent::cli::Cli;

use super::page::compare;

#[test]
fn the_page_of_commands_is_what_their_help_says() {
    let mut text = "# Commands\n\nWritten from `lb-agent --help`. Each flag can also be given by the variable that is named with it.\n".to_owned();
    let mut all = Cli::command().term_width(110);
    all.build();
    for command in std::iter::once(&mut all.clone()).chain(all.get_subcommands_mut()) {
        if command.get_name() == "help" || command.is_hide_set() {
            continue;
        }
        let title = if command.get_name() == "lb-agent" {
            "lb-agent".to_owned()
        } else {
            format!("lb-agent {}", command.get_name())
        };
        let help = command.clone().term_width(110).render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        text += &format!("\n## {title}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    }
    compare("commands.md", &text);
}

#[test]
fn every_command_has_an_example_and_says_what_it_is_for() {
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(example.contains("Example: ") && example.contains("\n  lb-agent "), "{}", command.get_name());
        assert!(command.get_about().is_some(), "{}", command.get_name());
    }
}

#[test]
fn completions_and_pages_name_every_command() {
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("lb-agent");
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<String> = shown.map(|command| command.get_name().to_owned()).collect();
    for shell in ["bash", "zsh", "fish"] {
        let output = std::process::Command::new(&program).args(["completions", shell]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && names.iter().all(|name| text.contains(name)), "{shell}");
    }
    assert_eq!(completed(&program, &["lb-agent", "run", "--mode", ""]), "beside replace");
    assert_eq!(completed(&program, &["lb-agent", "status", "--all-n"]), "--all-nodes");
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new(&program).arg("man").arg(folder.path()).status().unwrap();
    assert!(status.success());
    for name in names {
        let page = std::fs::read_to_string(folder.path().join(format!("lb-agent-{name}.1"))).unwrap();
        assert!(page.contains("Example: "), "{name}");
    }
    assert!(folder.path().join("lb-agent.1").is_file());
}

/// What bash offers for the last of these words.
fn completed(program: &std::path::Path, words: &[&str]) -> String {
    let script = r#"
        source <("$1" completions bash)
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _lb__agent "$1" "${@: -1}" "${@: -2:1}"
        echo "${COMPREPLY[*]}"
    "#;
    let mut bash = std::process::Command::new("bash");
    let output = bash.args(["-c", script, "bash"]).arg(program).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

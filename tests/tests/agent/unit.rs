//! The systemd unit for hosts without pods.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::process::Command;

use clap::Parser as _;
use edgeloop_tests::agent::program;
use edgeloop_tests::checkout;
use lb_agent::cli::Cli;

/// Where the unit expects the agent.
const INSTALLED: &str = "/usr/local/bin/lb-agent";

fn unit() -> String {
    fs::read_to_string(checkout::folder().unwrap().join("deploy/systemd/edgeloop.service")).unwrap()
}

fn settings<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    let settings = unit.lines().filter_map(|line| line.split_once('='));
    settings.filter(|(found, _)| *found == name).map(|(_, value)| value).collect()
}

/// With the program's own parser: the flags, and the variables that it would read them from.
#[test]
fn its_commands_are_those_of_the_agent() {
    let unit = unit();
    let starts = [settings(&unit, "ExecStartPre"), settings(&unit, "ExecStart")].concat();
    let variables = settings(&unit, "Environment").into_iter().map(|variable| {
        let (name, value) = variable.strip_prefix("EDGELOOP_").unwrap().split_once('=').unwrap();
        format!("--{}={}", name.to_lowercase().replace('_', "-"), value.replace("%H", "n1"))
    });
    let variables: Vec<String> = variables.collect();
    assert_eq!((starts.len(), variables.len()), (2, 3));
    for start in starts {
        let mut words: Vec<String> = start.trim_start_matches('+').split(' ').map(str::to_owned).collect();
        assert_eq!(words[0], INSTALLED);
        if words[1] == "run" {
            words.extend(variables.clone());
        }
        let parsed = Cli::try_parse_from(&words);
        assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
    }
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_finds_no_fault_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edgeloop.service");
    let verify = |unit: &str| {
        fs::write(&file, unit.replace(INSTALLED, program().unwrap().to_str().unwrap())).unwrap();
        let output = Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(verify(&unit()), (true, String::new()));
    let (_, said) = verify(&unit().replace("ProtectSystem=", "ProtectSytem="));
    assert!(said.contains("ProtectSytem"), "{said}");
}

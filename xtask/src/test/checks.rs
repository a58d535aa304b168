//! The tier `source`: what can be said about the text alone.

use std::process::Command;

use anyhow::Result;

use crate::test::Counts;
use crate::{shell, tidy};

/// Crates outside of the workspace, which `cargo fmt` there does not see.
const OUTSIDE: [&str; 2] = ["lb-ebpf/Cargo.toml", "tests/reference-ebpf/Cargo.toml"];

/// Runs all of them, also after one failed.
pub(crate) fn run() -> Counts {
    let mut counts = counted("tidy", tidy::run());
    counts.add(cargo("fmt", shell::cargo().args(["fmt", "--all", "--check"])));
    for manifest in OUTSIDE.iter().filter(|manifest| shell::root().join(manifest).exists()) {
        counts.add(cargo("fmt", shell::cargo().args(["fmt", "--check", "--manifest-path", manifest])));
    }
    let mut clippy = shell::cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    counts.add(cargo("clippy", &mut clippy));
    counts
}

fn cargo(tool: &str, command: &mut Command) -> Counts {
    if shell::output(shell::cargo().args([tool, "--version"])).is_err() {
        eprintln!("Skipping `{}`: run `rustup component add rustfmt clippy`", shell::shown(command));
        return Counts { skipped: 1, ..Counts::default() };
    }
    counted(&shell::shown(command), shell::run(command))
}

fn counted(name: &str, done: Result<()>) -> Counts {
    match done {
        Ok(()) => Counts { passed: 1, ..Counts::default() },
        Err(error) => {
            eprintln!("error: {error:#}");
            Counts { failed: vec![name.to_string()], ..Counts::default() }
        }
    }
}

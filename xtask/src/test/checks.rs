//! The tier `source`: what can be said about the text alone.

use std::process::Command;

use anyhow::{Result, anyhow};

use crate::deny::{self, Check};
use crate::test::Counts;
use crate::{shell, tidy};

/// Crates outside of the workspace, which neither `cargo fmt` nor `cargo clippy` there sees.
const OUTSIDE: [&str; 2] = ["lb-ebpf/Cargo.toml", "tests/reference-ebpf/Cargo.toml"];
/// One more, whose clippy would build all that the agent depends on for a few lines.
const FUZZ: &str = "fuzz/Cargo.toml";

/// Runs all of them, also after one failed.
pub(crate) fn run() -> Counts {
    let mut counts = counted("tidy", tidy::run());
    counts.add(cargo("fmt", shell::cargo().args(["fmt", "--all", "--check"])));
    let outside = OUTSIDE.iter().chain([&FUZZ]);
    for manifest in outside.filter(|manifest| shell::root().join(manifest).exists()) {
        counts.add(cargo("fmt", shell::cargo().args(["fmt", "--check", "--manifest-path", manifest])));
    }
    let mut clippy = shell::cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    counts.add(cargo("clippy", &mut clippy));
    for manifest in OUTSIDE.iter().filter(|manifest| shell::root().join(manifest).exists()) {
        counts.add(cargo("clippy", &mut clippy_outside(manifest)));
    }
    deny::check().into_iter().for_each(|(name, found)| counts.add(of_deny(name, found)));
    counts
}

/// Of a crate for the kernel, as if it were for this machine: there is a clippy for that, and what it looks
/// at does not depend on the target.
fn clippy_outside(manifest: &str) -> Command {
    let mut clippy = shell::cargo();
    clippy
        .args(["clippy", "--locked", "--target", "x86_64-unknown-linux-gnu", "--manifest-path", manifest])
        .arg("--target-dir")
        .arg(shell::root().join("lb-ebpf/target/clippy"))
        .args(["--", "-D", "warnings"])
        .env("CARGO_ENCODED_RUSTFLAGS", r#"--cfg=bpf_target_arch="x86_64""#);
    clippy
}

fn of_deny(name: &str, found: Check) -> Counts {
    match found {
        Check::Held => counted(name, Ok(())),
        Check::Broken(said) => counted(name, Err(anyhow!("{name}, which see deny.toml for:\n{said}"))),
        Check::NotDone(why) => {
            Counts { skipped: 1, ignored: vec![format!("{name}: {why}")], ..Counts::default() }
        }
    }
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

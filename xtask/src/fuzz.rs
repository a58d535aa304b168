//! `cargo xtask fuzz`: bytes of others by the million, led by what they reach in the code.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::shell;
use crate::test::Counts;

/// As `lb_agent::fuzzing` has them.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Files in a folder of manifests.
    Manifests,
    Kubeconfigs,
    /// What an API server sends in a watch.
    Watch,
    /// What an API server sends as a list.
    List,
    /// What clients send over HTTP.
    Requests,
    /// What is read at the agent's socket.
    Socket,
}

const TARGETS: [Target; 6] =
    [Target::Manifests, Target::Kubeconfigs, Target::Watch, Target::List, Target::Requests, Target::Socket];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One target; all without.
    target: Option<Target>,
    /// How long each target is tried.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// The variable by which cargo, which runs this program in the place of rustc, is recognized.
const WRAPS: &str = "EDGELOOP_FUZZ_WRAPS_RUSTC";
/// As in `lb_agent::fuzzing`.
const TARGET: &str = "EDGELOOP_FUZZ_TARGET";
const SECONDS: &str = "EDGELOOP_FUZZ_SECONDS";

/// The crates whose branches lead the fuzzer. It goes through the others as fast as they are.
const LED_BY: [&str; 2] = ["lb_agent", "lb_common"];
/// What cargo-fuzz gives rustc. The passes are LLVM's, and any toolchain has them.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Copt-level=1",
];

/// No input may take longer, in seconds, or more memory, in MiB.
const SLOW: u32 = 10;
const MEMORY: u32 = 1024;
/// The longest input, in bytes.
const LONGEST: u32 = 64 << 10;

/// How long the tier tries each target.
const IN_TIER: u32 = 8;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let targets: Vec<Target> =
        TARGETS.into_iter().filter(|target| arguments.target.is_none_or(|only| only == *target)).collect();
    let fuzzer = build();
    if let Err(error) = &fuzzer {
        eprintln!("No fuzzer can be built here, so the corpus is changed by chance: {error:#}");
    }
    let failed = failed(&targets, arguments.seconds, |target, seconds| match &fuzzer {
        Ok(fuzzer) => led(fuzzer, target, seconds),
        Err(_) => Ok(by_chance(target, seconds)),
    });
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{}: the input is named above; keep it in fuzz/corpus once it does no harm", failed.join(", "))
}

/// The tier: each target for a while. Without a fuzzer there is nothing that the tier `pure` does not do, and
/// the second says why.
pub(crate) fn check() -> (Counts, Option<String>) {
    let fuzzer = match build() {
        Ok(fuzzer) => fuzzer,
        Err(error) => {
            let counts = Counts { skipped: TARGETS.len(), ..Counts::default() };
            return (counts, Some(format!("no fuzzer can be built here: {error:#}")));
        }
    };
    let failed = failed(&TARGETS, IN_TIER, |target, seconds| led(&fuzzer, target, seconds));
    (Counts { passed: TARGETS.len() - failed.len(), failed, ..Counts::default() }, None)
}

/// Runs them all; gives the names of those that failed.
fn failed(targets: &[Target], seconds: u32, command: impl Fn(Target, u32) -> Result<Command>) -> Vec<String> {
    let mut failed = Vec::new();
    for target in targets {
        eprintln!("{} for {seconds} s", target.name());
        let done = command(*target, seconds).and_then(|mut command| quietly(&mut command, *target));
        if let Err(error) = done {
            eprintln!("error: {error:#}");
            failed.push(target.name().to_owned());
        }
    }
    failed
}

/// Runs it, and shows what it says only if it fails: a fuzzer says much.
fn quietly(command: &mut Command, target: Target) -> Result<()> {
    let folder = found();
    let log = folder.join(format!("{}.log", target.name()));
    let into = fs::create_dir_all(&folder).and_then(|()| File::create(&log));
    command.stderr(into.with_context(|| format!("could not make {}", log.display()))?);
    let done = shell::run(command);
    if done.is_err() {
        eprintln!("{}", String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()));
    }
    done
}

/// Where what runs have found is kept.
fn found() -> PathBuf {
    shell::target_folder().join("fuzz")
}

/// Builds the fuzzer; gives its program.
fn build() -> Result<PathBuf> {
    let this = env::current_exe().context("could not find this program")?;
    // What the agent depends on is built there already.
    let folder = shell::target_folder();
    let mut cargo = shell::cargo();
    cargo.args(["build", "--quiet", "--manifest-path", "fuzz/Cargo.toml"]);
    cargo.env("CARGO_TARGET_DIR", &folder).env("RUSTC_WRAPPER", this).env(WRAPS, "1");
    shell::run(&mut cargo)?;
    Ok(folder.join("debug/edgeloop-fuzz"))
}

/// The fuzzer over the corpus that is kept. What it finds besides goes to a corpus of this machine.
fn led(fuzzer: &Path, target: Target, seconds: u32) -> Result<Command> {
    let corpus_found = found().join(target.name());
    fs::create_dir_all(&corpus_found)
        .with_context(|| format!("could not make {}", corpus_found.display()))?;
    let mut command = Command::new(fuzzer);
    command.env(TARGET, target.name()).arg(&corpus_found).arg(corpus(target)).args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={SLOW}"),
        format!("-rss_limit_mb={MEMORY}"),
        format!("-max_len={LONGEST}"),
        format!("-artifact_prefix={}/", found().display()),
        "-verbosity=0".to_owned(),
        "-print_funcs=0".to_owned(),
    ]);
    Ok(command)
}

fn corpus(target: Target) -> PathBuf {
    shell::root().join("fuzz/corpus").join(target.name())
}

/// The test that every run of the tier `pure` has, for longer.
fn by_chance(target: Target, seconds: u32) -> Command {
    let mut command = shell::cargo();
    command.args(["test", "--quiet", "--package", "lb-agent", "--lib", "--", "fuzzing::"]);
    command.env(TARGET, target.name()).env(SECONDS, seconds.to_string());
    command
}

/// Becomes rustc where cargo runs this program in its place, with more flags for [`LED_BY`].
pub(crate) fn as_rustc() -> Option<anyhow::Error> {
    env::var_os(WRAPS)?;
    let mut arguments = env::args_os().skip(1);
    let mut rustc = Command::new(arguments.next()?);
    let arguments: Vec<_> = arguments.collect();
    let name = arguments.iter().skip_while(|argument| *argument != "--crate-name").nth(1);
    let is_led = name.is_some_and(|name| LED_BY.iter().any(|crate_| name == crate_));
    rustc.args(arguments.iter()).args(FLAGS.iter().filter(|_| is_led));
    Some(shell::become_program(&mut rustc))
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Manifests => "manifests",
            Self::Kubeconfigs => "kubeconfigs",
            Self::Watch => "watch",
            Self::List => "list",
            Self::Requests => "requests",
            Self::Socket => "socket",
        }
    }
}

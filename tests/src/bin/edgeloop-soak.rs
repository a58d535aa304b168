//! The long soak: `cargo xtask soak` runs it.

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::Parser;
use edgeloop_tests::proof::{Build, Testbed, soak};

/// Kills the agent every few seconds, upgrades and downgrades it, and deletes map entries behind its back, while its
/// Services change a thousand times a second and clients in network namespaces of their own dial them over TCP and UDP,
/// IPv4 and IPv6. Prints how many connections there were and how many of them failed or went astray, and exits with 1 if
/// any did. Needs root; leaves nothing behind.
#[derive(Parser)]
#[command(name = "cargo xtask soak")]
struct Arguments {
    /// How long it lasts.
    #[arg(long, value_name = "NUMBER", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Ends after so many connections, if they are made sooner.
    #[arg(long, value_name = "NUMBER", default_value_t = u64::MAX, hide_default_value = true)]
    connections: u64,
    /// Decides what is changed and disturbed, in which order; another one each time unless given.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            // With stderr gone there is no reader.
            drop(writeln!(stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { seconds, connections, seed } = *arguments;
    let seed = seed.unwrap_or_else(by_the_clock);
    let within = Duration::from_secs(seconds);
    let again = format!("cargo xtask soak --seed {seed} --seconds {seconds}");
    let found = Testbed::new()?
        .run(&soak(seed, Build::both()?, connections, within))
        .with_context(|| format!("it did not come to its end; this repeats it: {again}"))?;
    let all = &found.all;
    let failures = all.refused + all.failed + all.moved + all.misnamed;
    let mut out = stdout();
    write!(out, "{found}")?;
    writeln!(
        out,
        "{} connections: {failures} failures, {} answers from outside the allowed sets, {} from another Service, {} from the \
         decoys",
        all.connects, all.outside, all.neighbour, all.decoy
    )?;
    if found.failures() == 0 && all.unjudged == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "This repeats it: {again}")?;
    Ok(ExitCode::FAILURE)
}

fn by_the_clock() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_millis() as u64 % 1_000_000
}

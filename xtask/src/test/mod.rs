//! `cargo xtask test`: every tier that this machine can run; what it cannot run is said.

mod binaries;
mod checks;
mod excerpt;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use crate::build_ebpf;
use crate::builds::Builds;
use crate::{browser, fuzz, image, machine, model, prometheus, schemas, signals, tools, vm};
pub(crate) use binaries::{Binary, build, lines_of};
use binaries::{Given, Selection};
use excerpt::Excerpts;
pub(crate) use summary::say;
use summary::summary;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these tiers; all without.
    tiers: Vec<Tier>,
    /// Passed on to the test binaries, such as a part of a test's name.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// From cheap to dear, which is the order they run in.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// Rules of the house, formatting, lints.
    Source,
    /// Everything that needs neither root nor a kernel object.
    Pure,
    /// Bytes of others by the thousand, led by what they reach in the code.
    Fuzz,
    /// The publish protocol as a model, in every interleaving.
    Model,
    /// The compiled kernel object agrees with the catalogue.
    Object,
    /// The programs and clients on this machine's kernel, and the proofs. Needs root.
    Kernel,
    /// The agent as a process on this machine's kernel. Needs root.
    Agent,
    /// Manifests in, connections out, on this machine's kernel. Needs root.
    Scenario,
    /// A real API server.
    Cluster,
    /// The oldest kernel, in an emulated machine.
    Vm,
}

const TIERS: [Tier; 10] = [
    Tier::Source,
    Tier::Pure,
    Tier::Fuzz,
    Tier::Model,
    Tier::Object,
    Tier::Kernel,
    Tier::Agent,
    Tier::Scenario,
    Tier::Cluster,
    Tier::Vm,
];

/// How tests came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    /// Their names.
    pub(crate) failed: Vec<String>,
    pub(crate) skipped: usize,
    /// Single tests of a tier that runs: their names and why they did not.
    pub(crate) ignored: Vec<String>,
    /// Tests that left off in a binary whose result is not read yet.
    pub(crate) left_off: usize,
    pub(crate) excerpts: Excerpts,
}

/// One line of the summary.
struct Outcome {
    tier: Tier,
    counts: Counts,
    /// Why it was not run.
    ignored: Option<String>,
    took: Duration,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { tiers, rest } = arguments;
    let tiers: Vec<Tier> =
        TIERS.into_iter().filter(|tier| tiers.is_empty() || tiers.contains(tier)).collect();
    let kernel = machine::runs_our_programs();
    if kernel.is_ok() && tiers.iter().any(|tier| tier.uses_the_kernel()) {
        machine::install_tools()?;
    }
    // For the proofs and the bench, which are in one tier.
    let proves = tiers.contains(&Tier::Kernel) && kernel.is_ok();
    let soaks = tiers.contains(&Tier::Scenario) && kernel.is_ok();
    let upgrades = soaks || tiers.contains(&Tier::Agent) && kernel.is_ok();
    let reference = proves && build_ebpf::has_reference();
    let without_log = tiers.contains(&Tier::Object);
    build_ebpf::run(&build_ebpf::Arguments { planted: proves, reference, without_log })?;

    let mut outcomes = Vec::new();
    if tiers.contains(&Tier::Source) {
        let began = Instant::now();
        let counts = checks::run();
        outcomes.push(Outcome { tier: Tier::Source, counts, ignored: None, took: began.elapsed() });
    }
    if tiers.contains(&Tier::Fuzz) {
        let began = Instant::now();
        let (counts, ignored) = fuzz::check();
        outcomes.push(Outcome { tier: Tier::Fuzz, counts, ignored, took: began.elapsed() });
    }
    if tiers.contains(&Tier::Model) {
        let began = Instant::now();
        let (counts, ignored) = model::check();
        outcomes.push(Outcome { tier: Tier::Model, counts, ignored, took: began.elapsed() });
    }
    let others: Vec<Tier> = tiers.into_iter().filter(|tier| tier.is_of_tests()).collect();
    if !others.is_empty() {
        let builds = if proves || upgrades { Builds::all()? } else { Builds::default() };
        let builds = if soaks { builds.with_planted()? } else { builds };
        outcomes.extend(run_binaries(&others, Given { builds, ..Given::default() }, kernel.err(), rest)?);
    }
    Ok(summary(outcomes))
}

/// `because` says why this machine's kernel cannot be used.
fn run_binaries(
    tiers: &[Tier],
    mut given: Given,
    because: Option<Error>,
    rest: &[String],
) -> Result<Vec<Outcome>> {
    let because = because.map(|because| because.to_string());
    match build()? {
        Some(binaries) => {
            let mut outcomes = Vec::new();
            for tier in tiers {
                let began = Instant::now();
                let mut outcome = run_tier(*tier, &binaries, &mut given, because.as_ref(), rest)?;
                outcome.took = began.elapsed();
                outcomes.push(outcome);
            }
            Ok(outcomes)
        }
        None => {
            let failed = || vec!["the tests do not build: see above".to_string()];
            let outcome = |tier| Outcome {
                tier,
                counts: Counts { failed: failed(), ..Default::default() },
                ignored: None,
                took: Duration::ZERO,
            };
            Ok(tiers.iter().copied().map(outcome).collect())
        }
    }
}

fn run_tier(
    tier: Tier,
    all: &[Binary],
    given: &mut Given,
    because: Option<&String>,
    rest: &[String],
) -> Result<Outcome> {
    if tier == Tier::Vm {
        let (counts, ignored) = vm::check(all, rest)?;
        return Ok(Outcome { tier, counts, ignored, took: Duration::ZERO });
    }
    let selection = if tier.is_asked_for() { Selection::Ignored } else { Selection::Others };
    let mut binaries = Vec::new();
    for binary in all.iter().filter(|binary| tier.has(binary)) {
        if !binary.tests(selection)?.is_empty() {
            binaries.push(binary);
        }
    }
    let mut outcome = Outcome { tier, counts: Counts::default(), ignored: None, took: Duration::ZERO };
    if binaries.is_empty() {
        outcome.ignored = Some("there are no such tests here".to_string());
        return Ok(outcome);
    }
    given.tools = match tier.prepare(because)? {
        Prepared::Ready(tools) => tools,
        Prepared::Lacks(why) => {
            for binary in binaries {
                outcome.counts.skipped += binary.tests(selection)?.len();
            }
            outcome.ignored = Some(why);
            return Ok(outcome);
        }
        Prepared::Broken(what) => {
            outcome.counts.failed.push(what);
            return Ok(outcome);
        }
    };
    given.schemas = (tier == Tier::Cluster).then(schemas::get);
    given.prometheus = (tier == Tier::Cluster).then(prometheus::get);
    given.browser = (tier == Tier::Agent).then(browser::get);
    if tier == Tier::Cluster {
        match image::build() {
            Ok(file) => given.builds.environment.push((image::VARIABLE, file)),
            Err(error) if signals::asked_to_end() => return Err(error),
            Err(error) => {
                eprintln!("error: {error:#}");
                outcome.counts.failed.push("the image does not build: see above".to_string());
                return Ok(outcome);
            }
        }
    }
    for binary in binaries {
        outcome.counts.add(binary.run(selection, given, rest)?);
    }
    if tier == Tier::Pure {
        outcome.counts.add(binaries::documentation()?);
    }
    Ok(outcome)
}

/// Whether a tier's tests can run.
#[derive(Debug, PartialEq, Eq)]
enum Prepared {
    /// With the tools of a cluster, if they are to start one.
    Ready(Option<PathBuf>),
    /// Not on this machine, and why.
    Lacks(String),
    /// Not on any: what failed.
    Broken(String),
}

impl Tier {
    /// Gets what its tests need. `because` says why this machine's kernel cannot be used.
    fn prepare(self, because: Option<&String>) -> Result<Prepared> {
        match (self, because) {
            (tier, Some(because)) if tier.uses_the_kernel() => Ok(Prepared::Lacks(because.clone())),
            (Tier::Cluster, _) => {
                let prepared = with_tools(tools::get())?;
                if matches!(prepared, Prepared::Ready(_)) {
                    machine::install_cluster_tools()?;
                }
                Ok(prepared)
            }
            _ => Ok(Prepared::Ready(None)),
        }
    }

    /// Whether it is made of test binaries.
    const fn is_of_tests(self) -> bool {
        !matches!(self, Tier::Source | Tier::Fuzz | Tier::Model)
    }

    /// Whether its tests are marked `#[ignore]`, since an ordinary `cargo test` cannot run them.
    fn is_asked_for(self) -> bool {
        match self {
            Tier::Source | Tier::Pure | Tier::Fuzz | Tier::Model | Tier::Object => false,
            Tier::Kernel | Tier::Agent | Tier::Scenario | Tier::Cluster | Tier::Vm => true,
        }
    }

    /// Whether its tests need this machine's kernel.
    fn uses_the_kernel(self) -> bool {
        match self {
            Tier::Kernel | Tier::Agent | Tier::Scenario | Tier::Cluster => true,
            Tier::Source | Tier::Pure | Tier::Fuzz | Tier::Model | Tier::Object | Tier::Vm => false,
        }
    }

    /// Every test belongs to one tier: by the name of its binary, and by whether it is ignored.
    fn has(self, binary: &Binary) -> bool {
        let own = TIERS.into_iter().find(|tier| tier.name() == binary.name).unwrap_or(Tier::Kernel);
        match self {
            Tier::Source | Tier::Fuzz | Tier::Model => false,
            Tier::Pure => own != Tier::Object,
            Tier::Object | Tier::Kernel | Tier::Agent | Tier::Scenario | Tier::Cluster | Tier::Vm => {
                own == self
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Tier::Source => "source",
            Tier::Fuzz => "fuzz",
            Tier::Pure => "pure",
            Tier::Model => "model",
            Tier::Object => "object",
            Tier::Kernel => "kernel",
            Tier::Agent => "agent",
            Tier::Scenario => "scenario",
            Tier::Cluster => "cluster",
            Tier::Vm => "vm",
        }
    }
}

fn with_tools(tools: Result<PathBuf>) -> Result<Prepared> {
    match tools {
        Ok(folder) => Ok(Prepared::Ready(Some(folder))),
        Err(error) if error.is::<tools::Unavailable>() => Ok(Prepared::Lacks(error.to_string())),
        // Asked to end: that is no result.
        Err(error) if signals::asked_to_end() => Err(error),
        Err(error) => {
            eprintln!("error: {error:#}");
            Ok(Prepared::Broken("the tools of a cluster do not build: see above".to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_machine_that_cannot_build_a_cluster_skips_and_a_recipe_that_does_not_compile_fails() {
        let unavailable = || Error::new(tools::Unavailable::of_tests("there is no Go here"));
        let lacks = Prepared::Lacks("there is no Go here".to_string());
        assert_eq!(with_tools(Err(unavailable())).unwrap(), lacks);
        let broken = with_tools(Err(anyhow!("exit status 1")).context("go build failed")).unwrap();
        assert!(matches!(broken, Prepared::Broken(_)), "{broken:?}");
        let folder = PathBuf::from("/tools");
        assert_eq!(with_tools(Ok(folder.clone())).unwrap(), Prepared::Ready(Some(folder)));
    }

    #[test]
    fn only_the_tiers_that_use_the_kernel_are_ignored_without_it_and_none_of_the_others_gets_tools() {
        let because = "no cgroup2 is mounted".to_string();
        for tier in [Tier::Kernel, Tier::Agent, Tier::Scenario, Tier::Cluster] {
            assert_eq!(tier.prepare(Some(&because)).unwrap(), Prepared::Lacks(because.clone()));
        }
        for tier in [Tier::Pure, Tier::Object, Tier::Vm] {
            assert_eq!(tier.prepare(Some(&because)).unwrap(), Prepared::Ready(None));
        }
        assert_eq!(Tier::Kernel.prepare(None).unwrap(), Prepared::Ready(None));
    }
}

//! Scenarios: manifests in, map dump out, step by step; in memory with faults, and on the real kernel.
//!
//! A file of `scenarios/` begins with `capacity FRONTENDS BACKENDS` and then has steps:
//!
//! ```text
//! == what the step shows
//! service web 10.96.0.11:80        objects that are new or changed, as in `edgeloop_tests::manifests`
//! gone slice web-1                 an object that is gone
//! restart                          the agent is another process: it knows what the maps hold
//! --
//! 10.96.0.11:80 web 10.244.1.1..3:9376     what the front end then holds: address, Service, backends
//! 10.96.0.12:80 api refused
//! short web                        Services that lack room
//! writes 1                         front-end writes of this step, where that is the point
//! ```
//!
//! All objects of a step are given at once to the agent of node `n1`. After each write every element proves
//! itself, an address that was and will be served is never gone, and a Service that keeps a backend never
//! refuses. After each step no name and no region is left without use.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use edgeloop_tests::Site;
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::manifests::range;
use edgeloop_tests::simulation::{Cluster, Route, SimulatedAgent, State};
use lb_agent::datapath::Grace;
use lb_agent::datapath::programs::load::Features;
use lb_agent::plan::Maps;
use lb_agent::plan::fake::Fake;
use lb_agent::plan::{Capacity, Mirror};

/// Runs with faults are repeated with as many seeds.
const SEEDS: u64 = 50;

#[test]
fn scenarios_hold_in_memory() {
    for scenario in scenarios() {
        scenario.run(Grace::None, true, |capacity| Ok((Fake::new(capacity), Mirror::new(capacity, 1))));
    }
}

#[test]
fn scenarios_hold_while_one_write_in_ten_fails() {
    let mut failed = 0;
    for scenario in scenarios() {
        for seed in 1..=SEEDS {
            let fake = scenario.run(Grace::None, false, |capacity| {
                let fake = Fake::new(capacity).with_faults(10, seed * 0x9e37_79b9);
                Ok((fake, Mirror::new(capacity, 1)))
            });
            failed += fake.writes().1;
        }
    }
    assert!(failed > 500, "{failed} writes failed: too few to show anything");
}

#[test]
#[ignore = "needs root"]
fn scenarios_hold_on_the_real_kernel() {
    let site = Site::new().unwrap();
    for (number, scenario) in scenarios().iter().enumerate() {
        let node = site.node(&format!("n{number}")).unwrap();
        scenario.run(Grace::Rcu, true, |capacity| {
            let Kernel { maps, mirror, .. } = Kernel::open(&node, Features::THIS, capacity)?;
            Ok((maps, mirror))
        });
    }
}

struct Scenario {
    file: String,
    capacity: Capacity,
    steps: Vec<Step>,
}

#[derive(Default)]
struct Step {
    shows: String,
    lines: Vec<String>,
    restart: bool,
    state: State,
    short: BTreeSet<String>,
    writes: Option<u64>,
}

impl Scenario {
    fn run<M: Maps>(
        &self,
        grace: Grace,
        is_faultless: bool,
        maps: impl FnOnce(Capacity) -> Result<(M, Mirror)>,
    ) -> M {
        let (maps, mirror) = maps(self.capacity).unwrap();
        let mut agent = SimulatedAgent::new("n1", maps, mirror);
        let mut cluster = Cluster::default();
        let mut before = State::new();
        for step in &self.steps {
            let at = format!("{}: {}", self.file, step.shows);
            if step.restart {
                agent = agent.restarted().unwrap();
            }
            for line in &step.lines {
                cluster.take(line).unwrap_or_else(|error| panic!("{at}: {error:#}"));
            }
            agent.kernel.maps.walk(before, step.state.clone());
            agent.see(&cluster);

            let now = agent.settle(grace).unwrap_or_else(|error| panic!("{at}: {error:#}"));

            assert_eq!(now, step.state, "{at}");
            assert_eq!(agent.kernel.maps.wrong, Vec::<String>::new(), "{at}");
            let short = agent.kernel.mirror.shortages().services().map(|service| service.name.to_string());
            assert_eq!(short.collect::<BTreeSet<_>>(), step.short, "{at}: short");
            if is_faultless {
                assert_eq!(agent.repaired, 0, "{at}: an audit found damage that was never done");
                let writes = agent.kernel.maps.writes.0;
                assert_eq!(writes, step.writes.unwrap_or(writes), "{at}: front-end writes");
            }
            before = now;
        }
        agent.kernel.maps.maps
    }
}

fn scenarios() -> Vec<Scenario> {
    let folder = edgeloop_tests::checkout::folder().unwrap().join("tests/tests/scenario/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    let scenarios = files.iter().map(|path| {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        parse(&text).map(|(capacity, steps)| Scenario { file, capacity, steps })
    });
    scenarios.map(Result::unwrap).collect()
}

fn parse(text: &str) -> Result<(Capacity, Vec<Step>)> {
    let mut capacity = None;
    let mut steps: Vec<Step> = Vec::new();
    let mut is_dump = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(shows) = line.strip_prefix("== ") {
            steps.push(Step { shows: shows.to_owned(), ..Step::default() });
            is_dump = false;
            continue;
        }
        let Some(step) = steps.last_mut() else {
            let (frontends, backends) = line
                .strip_prefix("capacity ")
                .and_then(|capacity| capacity.split_once(' '))
                .context("a scenario begins with its capacity")?;
            capacity = Some(Capacity::of(frontends.parse()?, backends.parse()?));
            continue;
        };
        match line {
            "--" => is_dump = true,
            "restart" if !is_dump => step.restart = true,
            _ if is_dump => step.expect(line).with_context(|| format!("in the line: {line}"))?,
            _ => step.lines.push(line.to_owned()),
        }
    }
    Ok((capacity.context("no capacity")?, steps))
}

impl Step {
    fn expect(&mut self, line: &str) -> Result<()> {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("short"), Some(service)) => _ = self.short.insert(service.to_owned()),
            (Some("writes"), Some(writes)) => self.writes = Some(writes.parse()?),
            (Some(at), Some(service)) => {
                let to = words.map(backends).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
                let before = self.state.insert(at.parse()?, Route { service: service.to_owned(), to });
                ensure!(before.is_none(), "{at} twice");
            }
            _ => bail!("not understood"),
        }
        Ok(())
    }
}

/// `refused`, or an address or a range of them, with a port.
fn backends(word: &str) -> Result<Vec<SocketAddr>> {
    if word == "refused" {
        return Ok(Vec::new());
    }
    let (addresses, port) = word.rsplit_once(':').context("no port")?;
    range(addresses)?.iter().map(|address| Ok(format!("{address}:{port}").parse()?)).collect()
}

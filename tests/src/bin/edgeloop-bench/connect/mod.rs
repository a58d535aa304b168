//! `bench connect`: nanoseconds that a call spends in our program, against other designs.

mod calls;
mod contender;
mod datagrams;
pub(crate) mod dials;
mod fdinfo;
mod limited;
mod measured;
mod memory;
mod ours;
mod previous;
mod reference;
mod report;

use anyhow::{Context, Result};
use aya::sys::{Stats, enable_stats};
use edgeloop_tests::Site;

use crate::Output;
use calls::{Call, Population};
use contender::{Contender, Shape, shapes};
use dials::Target;
use measured::Measured;
use report::{Instructions, Report, Rounds};

/// Backends of every service that is dialled.
const BACKENDS: u32 = 4;

/// Which call is made, to what, and among how many services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) call: Call,
    pub(crate) target: Target,
    pub(crate) services: u32,
}

struct Plan {
    rounds: usize,
    /// Calls in each round, for each shape.
    dials: u32,
    scenarios: Vec<Scenario>,
    /// The most copies of one contender.
    copies: usize,
    /// Services, and endpoints of each, whose maps are weighed.
    weights: Vec<(u32, u32)>,
}

pub(crate) fn run(quick: bool, output: Output) -> Result<()> {
    let plan = plan(quick);
    let site = Site::new()?;
    let contenders = contenders(&site, &plan)?;
    let _counting = enable_stats(Stats::RunTime).context("the kernel does not count the time of programs")?;

    let mut measured: Vec<Measured> = plan.scenarios.iter().copied().map(Measured::new).collect();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for measured in &mut measured {
            let shapes = shapes(measured.scenario.call.population());
            // Another one goes first each time.
            for turn in 0..shapes.len() {
                let shape = shapes[(turn + round) % shapes.len()];
                let copies: Vec<&Contender> =
                    contenders.iter().filter(|one| one.serves(shape, measured.scenario)).collect();
                let contender =
                    copies.get(round % copies.len().max(1)).context("a contender was not made")?;
                let seed = (round * shapes.len() + turn) as u64 + 1;
                measured.add(shape, contender.measure(measured.scenario, plan.dials, seed)?);
            }
        }
    }
    for contender in &contenders {
        contender.check()?;
    }
    let instructions = instructions(&contenders)?;
    drop(contenders);
    let memory = plan.weights.iter().map(|(services, each)| memory::weigh(&site, *services, *each));
    let memory = memory.collect::<Result<_>>()?;
    let measured = Rounds { rounds: plan.rounds, dials: plan.dials, measured };
    Report::new(&measured, instructions, memory).print(output)
}

/// Of each version of ours.
fn instructions(contenders: &[Contender]) -> Result<Vec<Instructions>> {
    let mut found: Vec<Instructions> = Vec::new();
    for contender in contenders {
        if let Some(hooks) = contender.instructions()? {
            let instructions = Instructions { shape: contender.shape().name(), hooks };
            if !found.contains(&instructions) {
                found.push(instructions);
            }
        }
    }
    Ok(found)
}

fn plan(quick: bool) -> Plan {
    let sizes: &[u32] = if quick { &[1, 1_000] } else { &[1, 1_000, 10_000, 50_000] };
    let missed = if quick { 1_000 } else { 10_000 };
    let hit = |call| move |services: &u32| Scenario { call, target: Target::Service, services: *services };
    let mut scenarios: Vec<Scenario> = sizes.iter().map(hit(Call::Connect)).collect();
    let misses = [Target::Unused, Target::Elsewhere];
    scenarios.extend(misses.map(|target| Scenario { call: Call::Connect, target, services: missed }));
    for call in [Call::Connect6, Call::ConnectKept, Call::ConnectBesideSkipped] {
        scenarios.extend([1, missed].iter().map(hit(call)));
    }
    let call = Call::ConnectBesideNodePorts;
    scenarios.push(Scenario { call, target: Target::Elsewhere, services: missed });
    for call in [Call::UdpConnect, Call::Sendto, Call::Recvfrom] {
        scenarios.extend([1, missed].iter().map(hit(call)));
    }
    let weights = if quick { vec![(100, 10)] } else { vec![(100, 10), (10_000, 10)] };
    let (rounds, dials, copies) = if quick { (3, 10_000, 1) } else { (12, 20_000, 4) };
    Plan { rounds, dials, copies, scenarios, weights }
}

/// Everything is made before anything is measured, so that rounds can be interleaved.
fn contenders(site: &Site, plan: &Plan) -> Result<Vec<Contender>> {
    let mut contenders = vec![Contender::new(site, Shape::Empty, Population::Tcp, 0, 0)?];
    for population in Population::ALL {
        let scenarios = plan.scenarios.iter().filter(|scenario| scenario.call.population() == population);
        let mut sizes: Vec<u32> = scenarios.map(|scenario| scenario.services).collect();
        sizes.sort_unstable();
        sizes.dedup();
        for services in sizes {
            for shape in shapes(population).into_iter().filter(|shape| *shape != Shape::Empty) {
                for copy in 0..copies(shape, services, plan.copies) {
                    contenders.push(Contender::new(site, shape, population, services, copy)?);
                }
            }
        }
    }
    Ok(contenders)
}

/// Where maps and programs come to lie in memory decides over a few nanoseconds, once for each of them: the two
/// versions that are compared to that are made several times, and take turns.
fn copies(shape: Shape, services: u32, most: usize) -> usize {
    match shape {
        Shape::Ours | Shape::Guarded | Shape::Previous => ((40_000 / services) as usize).clamp(1, most),
        Shape::Empty | Shape::ThreeHashes | Shape::Trie | Shape::TrieAffine | Shape::Remembering => 1,
    }
}

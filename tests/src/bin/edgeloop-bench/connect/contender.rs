//! One program over maps of its own, in a cgroup and a network namespace of its own.

use std::cell::Cell;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::{ProgramFd, ProgramInfo, loaded_programs};
use edgeloop_tests::{Child, Pod, Site, builds, checkout};
use lb_common::hook::Hook;
use lb_common::outcome::Outcome;

use super::calls::{Call, Population};
use super::datagrams::SOCKETS;
use super::dials::{BACKEND_NETWORK, Target};
use super::limited::guarded;
use super::ours::{self, Ours, Programs};
use super::previous::{self, Previous};
use super::reference::{self, Reference};
use super::{BACKENDS, Scenario, fdinfo};

/// Many times what a round takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Empty,
    Ours,
    /// Ours, loaded with the capabilities of an installed agent.
    Guarded,
    Previous,
    ThreeHashes,
    Trie,
    /// [`Trie`](Self::Trie), which keeps the client of a Service that has affinity.
    TrieAffine,
    /// For UDP.
    Remembering,
}

/// Those that can be measured here: the previous version where this clone's history has it.
pub(crate) fn shapes(population: Population) -> Vec<Shape> {
    let all = population.shapes().iter().copied();
    all.filter(|shape| *shape != Shape::Previous || builds::has_previous()).collect()
}

impl Shape {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Remembering as usize + 1;

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Ours => "ours",
            Self::Guarded => "guarded",
            Self::Previous => "previous",
            Self::ThreeHashes => "R1",
            Self::Trie => "R2",
            Self::TrieAffine => "R2 with affinity",
            Self::Remembering => "R3",
        }
    }
}

enum Attached {
    Ours(Box<Ours>),
    Previous(Previous),
    Reference(Reference),
}

pub(crate) struct Contender {
    name: String,
    shape: Shape,
    population: Population,
    services: u32,
    attached: Attached,
    programs: Vec<(Hook, ProgramFd)>,
    /// Without a way out.
    pod: Pod,
    /// Where all backends are.
    within: Pod,
    dialled: Cell<Dialled>,
}

/// What the counters must say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dialled {
    services: u64,
    others: u64,
    shown: u64,
}

impl Contender {
    /// `copy` tells apart those that are the same but for where they come to lie in memory.
    pub(crate) fn new(
        site: &Site,
        shape: Shape,
        population: Population,
        services: u32,
        copy: usize,
    ) -> Result<Self> {
        let name = format!("{}-{}-{services}-{copy}", shape.name().replace(' ', "-"), population.name());
        let node = site.node(&name)?;
        let pod = node.pod(&name, "10.244.0.2")?;
        let within = node.pod(&format!("{name}-within"), "10.244.0.3")?;
        within.own_network(BACKEND_NETWORK)?;
        let attached = match shape {
            Shape::Empty | Shape::ThreeHashes | Shape::Trie | Shape::TrieAffine | Shape::Remembering => {
                let object = reference_object()?;
                let set = reference::set_up(&object, shape, population, &node, services, BACKENDS)?;
                Attached::Reference(set)
            }
            Shape::Ours => Attached::Ours(Box::new(ours::set_up(&node, population, services, BACKENDS)?)),
            Shape::Guarded => {
                Attached::Ours(Box::new(guarded(|| ours::set_up(&node, population, services, BACKENDS))?))
            }
            Shape::Previous => Attached::Previous(previous::set_up(&node, population, services, BACKENDS)?),
        };
        let programs = match &attached {
            Attached::Ours(ours) => programs(&ours.programs)?,
            Attached::Previous(previous) => programs(&previous.programs)?,
            Attached::Reference(reference) => {
                let copy = |(hook, program): &(Hook, ProgramFd)| Ok((*hook, program.try_clone()?));
                reference.programs.iter().map(copy).collect::<Result<_>>()?
            }
        };
        let dialled = Cell::default();
        Ok(Self { name, shape, population, services, attached, programs, pod, within, dialled })
    }

    pub(crate) const fn shape(&self) -> Shape {
        self.shape
    }

    /// An empty program is the same over whatever maps.
    pub(crate) fn serves(&self, shape: Shape, scenario: Scenario) -> bool {
        let is_its = self.services == scenario.services && self.population == scenario.call.population();
        self.shape == shape && (shape == Shape::Empty || is_its)
    }

    /// Instructions of its programs as the kernel runs them, if it is one of ours.
    pub(crate) fn instructions(&self) -> Result<Option<Vec<(String, u32)>>> {
        let programs = match &self.attached {
            Attached::Ours(ours) => &ours.programs,
            Attached::Previous(previous) => &previous.programs,
            Attached::Reference(_) => return Ok(None),
        };
        let of = programs.iter().map(|(hook, id)| Ok((hook.clone(), instructions(*id)?)));
        of.collect::<Result<_>>().map(Some)
    }

    /// Nanoseconds a run, over so many calls from one client.
    pub(crate) fn measure(&self, scenario: Scenario, dials: u32, seed: u64) -> Result<f64> {
        let Scenario { call, target, services } = scenario;
        let own = env::current_exe().context("could not find where this program lies")?;
        let pod = if call == Call::Recvfrom { &self.within } else { &self.pod };
        let mut command = pod.command(own);
        command.args(["dial", &format!("--call={}", call.argument())]);
        command.args([format!("--target={}", target.name()), format!("--services={services}")]);
        command.args([format!("--count={dials}"), format!("--seed={seed}")]);
        if self.shape == Shape::Empty {
            command.arg("--direct");
        }

        let mut programs = self.programs.iter();
        let program = programs.find(|(hook, _)| *hook == call.hook());
        let (_, program) = program.with_context(|| format!("{} has no program for this", self.name))?;
        let before = fdinfo::runs(program)?;
        let mut client = Child::spawn("a client", &mut command)?;
        let status = client.wait(PATIENCE)?.with_context(|| format!("a client takes over {PATIENCE:?}"))?;
        ensure!(status.success(), "a client failed ({status}); what it said stands above");
        let after = fdinfo::runs(program)?;

        let times = after.times - before.times;
        let due = u64::from(if call == Call::Recvfrom { dials + SOCKETS } else { dials });
        ensure!(times == due, "{due} calls, but the program ran {times} times");
        self.add(call, target, dials.into());
        Ok((after.nanoseconds - before.nanoseconds) as f64 / times as f64)
    }

    fn add(&self, call: Call, target: Target, dials: u64) {
        let mut dialled = self.dialled.get();
        match (call, target) {
            (Call::Recvfrom, _) => {
                // Each socket has sent once; the replies go to what is no Service.
                dialled.services += u64::from(SOCKETS);
                dialled.others += dials;
                dialled.shown += dials;
            }
            (_, Target::Service) => dialled.services += dials,
            (_, Target::Unused | Target::Elsewhere) => dialled.others += dials,
        }
        self.dialled.set(dialled);
    }

    /// Whether every connection ended as it had to: fast and wrong counts for nothing.
    pub(crate) fn check(&self) -> Result<()> {
        let counted = |outcome| match &self.attached {
            Attached::Ours(ours) => ours.counted(outcome),
            Attached::Previous(previous) => previous.counted(outcome),
            Attached::Reference(reference) => reference.counted(outcome),
        };
        // Over TCP nothing is shown.
        let shown = if self.population == Population::Udp { counted(Outcome::ShownAsDialled)? } else { 0 };
        let (services, others) = (counted(Outcome::Forwarded)?, counted(Outcome::NotAService)?);
        let said = Dialled { services, others, shown };
        let dialled = self.dialled.get();
        let name = &self.name;
        ensure!(
            self.shape == Shape::Empty || said == dialled,
            "{name}: dialled {dialled:?}, counted {said:?}"
        );
        Ok(())
    }
}

/// Built next to our own.
fn reference_object() -> Result<PathBuf> {
    Ok(checkout::folder()?.join("lb-ebpf/target/reference.o"))
}

fn programs(ids: &Programs) -> Result<Vec<(Hook, ProgramFd)>> {
    let known = ids.iter().filter_map(|(name, id)| {
        let hook = Hook::ALL.into_iter().find(|hook| hook.name() == name)?;
        Some(info(*id).and_then(|info| Ok((hook, info.fd()?))))
    });
    known.collect()
}

fn instructions(id: u32) -> Result<u32> {
    /// Bytes of one.
    const INSTRUCTION: u32 = 8;
    Ok(info(id)?.size_translated().context("the kernel hides the size of a program")? / INSTRUCTION)
}

fn info(id: u32) -> Result<ProgramInfo> {
    let mut loaded = loaded_programs().filter_map(Result::ok);
    loaded.find(|info| info.id() == id).with_context(|| format!("there is no program {id}"))
}

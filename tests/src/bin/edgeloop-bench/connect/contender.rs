//! One program over maps of its own, in a cgroup and a network namespace of its own.

use std::cell::Cell;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::{ProgramFd, ProgramInfo, loaded_programs};
use edgeloop_tests::{Child, Pod, Site, builds, checkout};
use lb_common::outcome::Outcome;

use super::dials::Target;
use super::limited::as_in_a_pod;
use super::ours::{self, Ours};
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
    InPod,
    Previous,
    ThreeHashes,
    Trie,
}

pub(crate) const SHAPES: [Shape; 6] =
    [Shape::Empty, Shape::Ours, Shape::InPod, Shape::Previous, Shape::ThreeHashes, Shape::Trie];

/// Those that can be measured here: the previous version where this clone's history has it.
pub(crate) fn shapes() -> Vec<Shape> {
    SHAPES.into_iter().filter(|shape| *shape != Shape::Previous || builds::has_previous()).collect()
}

impl Shape {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Ours => "ours",
            Self::InPod => "in a pod",
            Self::Previous => "previous",
            Self::ThreeHashes => "R1",
            Self::Trie => "R2",
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
    services: u32,
    attached: Attached,
    program: ProgramFd,
    pod: Pod,
    dialled: Cell<Dialled>,
}

/// What the counters must say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dialled {
    services: u64,
    others: u64,
}

impl Contender {
    /// `copy` tells apart those that are the same but for where they come to lie in memory.
    pub(crate) fn new(site: &Site, shape: Shape, services: u32, copy: usize) -> Result<Self> {
        let name = format!("{}-{services}-{copy}", shape.name().replace(' ', "-"));
        let node = site.node(&name)?;
        let pod = node.pod(&name, "10.244.0.2")?;
        let reference = |program| reference::set_up(&reference_object()?, program, &node, services, BACKENDS);
        let attached = match shape {
            Shape::Empty => Attached::Reference(reference("empty")?),
            Shape::ThreeHashes => Attached::Reference(reference("three_hashes")?),
            Shape::Trie => Attached::Reference(reference("trie")?),
            Shape::Ours => Attached::Ours(Box::new(ours::set_up(&node, services, BACKENDS)?)),
            Shape::InPod => {
                Attached::Ours(Box::new(as_in_a_pod(|| ours::set_up(&node, services, BACKENDS))?))
            }
            Shape::Previous => Attached::Previous(previous::set_up(&node, services, BACKENDS)?),
        };
        let program = match &attached {
            Attached::Ours(ours) => program(ours.program_id)?,
            Attached::Previous(previous) => program(previous.program_id)?,
            Attached::Reference(reference) => reference.program.try_clone()?,
        };
        Ok(Self { name, shape, services, attached, program, pod, dialled: Cell::default() })
    }

    pub(crate) const fn shape(&self) -> Shape {
        self.shape
    }

    /// An empty program is the same over whatever maps.
    pub(crate) fn serves(&self, shape: Shape, scenario: Scenario) -> bool {
        self.shape == shape && (shape == Shape::Empty || self.services == scenario.services)
    }

    /// Instructions of its programs at connect4 and connect6 as the kernel runs them, if it is one of ours.
    pub(crate) fn instructions(&self) -> Result<Option<[u32; 2]>> {
        let ids = match &self.attached {
            Attached::Ours(ours) => [ours.program_id, ours.program6_id],
            Attached::Previous(previous) => [previous.program_id, previous.program6_id],
            Attached::Reference(_) => return Ok(None),
        };
        let [connect4, connect6] = ids.map(instructions);
        Ok(Some([connect4?, connect6?]))
    }

    /// Nanoseconds a run, over so many connections from one client.
    pub(crate) fn measure(&self, scenario: Scenario, dials: u32, seed: u64) -> Result<f64> {
        let own = env::current_exe().context("could not find where this program lies")?;
        let mut command = self.pod.command(own);
        command.args(["dial", &format!("--target={}", scenario.target.name())]);
        command.args([format!("--services={}", scenario.services), format!("--count={dials}")]);
        command.arg(format!("--seed={seed}"));

        let before = fdinfo::runs(&self.program)?;
        let mut client = Child::spawn("a client", &mut command)?;
        let status = client.wait(PATIENCE)?.with_context(|| format!("a client takes over {PATIENCE:?}"))?;
        ensure!(status.success(), "a client failed ({status}); what it said stands above");
        let after = fdinfo::runs(&self.program)?;

        let times = after.times - before.times;
        ensure!(times == u64::from(dials), "{dials} connections, but the program ran {times} times");
        let mut dialled = self.dialled.get();
        match scenario.target {
            Target::Service => dialled.services += times,
            Target::Unused | Target::Elsewhere => dialled.others += times,
        }
        self.dialled.set(dialled);
        Ok((after.nanoseconds - before.nanoseconds) as f64 / times as f64)
    }

    /// Whether every connection ended as it had to: fast and wrong counts for nothing.
    pub(crate) fn check(&self) -> Result<()> {
        let counted = |outcome| match &self.attached {
            Attached::Ours(ours) => ours.counted(outcome),
            Attached::Previous(previous) => previous.counted(outcome),
            Attached::Reference(reference) => reference.counted(outcome),
        };
        let said = Dialled { services: counted(Outcome::Forwarded)?, others: counted(Outcome::NotAService)? };
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

fn program(id: u32) -> Result<ProgramFd> {
    Ok(info(id)?.fd()?)
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

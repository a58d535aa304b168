//! One program over its own maps, in a cgroup and a network namespace of its own.

use std::cell::Cell;
use std::env;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::{ProgramFd, loaded_programs};
use edgeloop_tests::{Child, Pod, Site};
use lb_common::outcome::Outcome;

use super::dials::Target;
use super::ours::{self, Ours};
use super::reference::{self, Reference};
use super::{BACKENDS, Scenario, fdinfo};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Empty,
    Ours,
    ThreeHashes,
    Trie,
}

pub(crate) const SHAPES: [Shape; 4] = [Shape::Empty, Shape::Ours, Shape::ThreeHashes, Shape::Trie];

impl Shape {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Ours => "ours",
            Self::ThreeHashes => "R1",
            Self::Trie => "R2",
        }
    }
}

enum Kind {
    Empty(#[expect(dead_code, reason = "held so that it stays attached")] Reference),
    Reference(Reference),
    Ours(Box<Ours>),
}

pub(crate) struct Contender {
    shape: Shape,
    services: u32,
    kind: Kind,
    program: ProgramFd,
    pod: Pod,
    /// Dials that had to find a service, and those that had to find none.
    hits: Cell<u64>,
    misses: Cell<u64>,
}

impl Contender {
    pub(crate) fn new(site: &Site, shape: Shape, services: u32) -> Result<Self> {
        let name = format!("{}-{services}", shape.name());
        let node = site.node(&name)?;
        // Its only addresses are its own network's and loopback's: what is dialled lies elsewhere.
        let pod = node.pod(&name, "10.244.0.2")?;
        let object = object()?;
        let reference = |program| reference::set_up(&object, program, &node, services, BACKENDS);
        let kind = match shape {
            Shape::Empty => Kind::Empty(reference("empty")?),
            Shape::ThreeHashes => Kind::Reference(reference("three_hashes")?),
            Shape::Trie => Kind::Reference(reference("trie")?),
            Shape::Ours => Kind::Ours(Box::new(ours::set_up(&node, services, BACKENDS)?)),
        };
        let mut contender = Self { shape, services, kind, program: todo(), pod, hits: Cell::new(0), misses: Cell::new(0) };
        Ok(contender)
    }
}

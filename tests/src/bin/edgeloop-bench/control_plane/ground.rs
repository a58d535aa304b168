//! The control plane and what is on it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use edgeloop_tests::cluster::Cluster;
use edgeloop_tests::{Node, Site};

use super::population::{HERE, Population, labels};

/// Objects that are created at a time.
pub(crate) const AT_ONCE: usize = 32;
/// Many times what it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);

pub(crate) struct Ground {
    pub(crate) cluster: Cluster,
    pub(crate) population: Population,
    /// Where the agent runs.
    pub(crate) node: Node,
    created: u32,
    _site: Site,
}

impl Ground {
    /// The nodes alone.
    pub(crate) fn new(population: Population) -> Result<Self> {
        let site = Site::new()?;
        let cluster = Cluster::up(&site)?;
        cluster.register(HERE, &labels(HERE, 0))?;
        cluster.api().create_all(population.nodes(), AT_ONCE, PATIENCE)?;
        let node = site.node(HERE)?;
        Ok(Self { cluster, population, node, created: 0, _site: site })
    }

    /// Services that exist.
    pub(crate) fn created(&self) -> u32 {
        self.created
    }

    /// Creates Services with their slices, up to this many, and says how long it took.
    pub(crate) fn grow(&mut self, services: u32) -> Result<Duration> {
        let begun = Instant::now();
        let objects = self.population.objects(self.created..services);
        self.cluster.api().create_all(objects, AT_ONCE, PATIENCE).context("could not create the Services")?;
        self.created = services;
        Ok(begun.elapsed())
    }
}

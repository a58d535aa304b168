//! Who dials, and who answers for which pool.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::Pod;

use super::truth;

/// What a client gets that is refused.
pub(super) const REFUSED: &str = "ECONNREFUSED";

pub(super) struct Cast {
    clients: BTreeMap<&'static str, Arc<Pod>>,
    pools: Pools,
}

impl Cast {
    /// One client for each node, by the node's name.
    pub(super) fn new(clients: BTreeMap<&'static str, Arc<Pod>>, pools: Pools) -> Self {
        Self { clients, pools }
    }

    pub(super) fn client(&self, node: &str) -> Result<&Pod> {
        self.clients.get(node).map(Arc::as_ref).with_context(|| format!("no client on {node}"))
    }

    pub(super) fn clients(&self) -> &BTreeMap<&'static str, Arc<Pod>> {
        &self.clients
    }

    pub(super) fn pools(&self) -> &Pools {
        &self.pools
    }
}

/// Which pods make up which pool. They may come and go, so it is looked up each time.
pub(super) struct Pools(Box<dyn Fn() -> Members + Send + Sync>);

/// The names of pods.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    now: BTreeMap<&'static str, BTreeSet<String>>,
    ever: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Members {
    pub(super) fn add(&mut self, pool: &'static str, pod: &str, runs: bool) {
        self.ever.entry(pool).or_default().insert(pod.to_owned());
        if runs {
            self.now.entry(pool).or_default().insert(pod.to_owned());
        }
    }

    /// How many pods each pool has now.
    pub(super) fn counts(&self) -> Vec<(&'static str, usize)> {
        self.now.iter().map(|(pool, pods)| (*pool, pods.len())).collect()
    }
}

impl Pools {
    pub(super) fn new(members: impl Fn() -> Members + Send + Sync + 'static) -> Self {
        Self(Box::new(members))
    }

    /// The pool of the pod that gave this answer; none for an errno or a stranger.
    pub(super) fn of(&self, answer: &str) -> Option<&'static str> {
        self.0().ever.iter().find(|(_, pods)| pods.contains(answer)).map(|(pool, _)| *pool)
    }

    /// What a client gets that these pools answer: the names of their pods, or that it is refused.
    pub(super) fn labels(&self, pools: truth::Pools) -> Vec<String> {
        labels(pools, &self.0().now)
    }

    /// The same, with pods that ended before now.
    pub(super) fn labels_ever(&self, pools: truth::Pools) -> Vec<String> {
        labels(pools, &self.0().ever)
    }

    /// Whether a client could get this answer from these pools, now or at some time before.
    pub(super) fn answer(&self, label: &str, pools: truth::Pools) -> bool {
        match pools {
            [] => label == REFUSED,
            pools => self.of(label).is_some_and(|pool| pools.contains(&pool)),
        }
    }
}

fn labels(pools: truth::Pools, members: &BTreeMap<&'static str, BTreeSet<String>>) -> Vec<String> {
    match pools {
        [] => vec![REFUSED.to_owned()],
        pools => pools.iter().filter_map(|pool| members.get(pool)).flatten().cloned().collect(),
    }
}

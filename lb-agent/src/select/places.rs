//! Where things are: the client node, the other nodes, and their pools.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Labels;

/// The label keys that name a node's pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolKeys {
    /// Wins while both are set.
    pub preferred: Arc<str>,
    /// Read where a node lacks the preferred one.
    pub fallback: Option<Arc<str>>,
}

impl Default for PoolKeys {
    /// OpenYurt's own.
    fn default() -> Self {
        Self {
            preferred: "apps.openyurt.io/nodepool".into(),
            fallback: Some("apps.openyurt.io/desired-nodepool".into()),
        }
    }
}

/// What is known of the nodes.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The client node: the one this agent decides for.
    pub here: Arc<str>,
    /// The client node's labels as last known; `None` while they were never known.
    pub own: Option<Labels>,
    /// The nodes known now, the client node among them while its object exists.
    pub nodes: BTreeMap<Arc<str>, Labels>,
    pub pool_keys: PoolKeys,
}

impl Places {
    /// Whether `node` is the client node.
    #[must_use]
    pub fn is_here(&self, node: &str) -> bool {
        *node == *self.here
    }

    /// The labels of `node`: the last known ones for the client node, none for an unknown node.
    #[must_use]
    pub fn labels(&self, node: &str) -> Option<&Labels> {
        if self.is_here(node) { self.own.as_ref() } else { self.nodes.get(node) }
    }

    /// The value of one label of `node`; an empty one counts as lacking.
    #[must_use]
    pub fn label(&self, node: &str, key: &str) -> Option<&Arc<str>> {
        self.labels(node)?.get(key).filter(|value| !value.is_empty())
    }

    /// The pool of `node`; `None` for a node without one and for an unknown node.
    #[must_use]
    pub fn pool(&self, node: &str) -> Option<&Arc<str>> {
        self.label(node, &self.pool_keys.preferred)
            .or_else(|| self.label(node, self.pool_keys.fallback.as_deref()?))
    }

    /// The pool of the client node.
    #[must_use]
    pub fn own_pool(&self) -> Option<&Arc<str>> {
        self.pool(&self.here)
    }
}

//! Where things are: the client node, the other nodes, and their pools.

use std::sync::Arc;

use imbl::OrdMap;

use crate::model::Labels;

use super::topology::{GROUP_LABEL, HOST_KEY};

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
pub struct NodeIndex {
    /// The client node: the one this agent decides for.
    pub here: Arc<str>,
    /// The client node's labels as last known; `None` while they were never known.
    pub own: Option<Labels>,
    /// The nodes known now, the client node among them while its object exists.
    pub by_name: OrdMap<Arc<str>, Labels>,
    pub pool_keys: PoolKeys,
}

impl NodeIndex {
    /// Whether `node` is the client node.
    #[must_use]
    pub fn is_here(&self, node: &str) -> bool {
        *node == *self.here
    }

    /// The labels of `node`: the last known ones for the client node, none for an unknown node.
    #[must_use]
    pub fn labels(&self, node: &str) -> Option<&Labels> {
        if self.is_here(node) { self.own.as_ref() } else { self.by_name.get(node) }
    }

    /// The value of one label of `node`; an empty one counts as lacking.
    #[must_use]
    pub fn label(&self, node: &str, key: &str) -> Option<&Arc<str>> {
        self.labels(node)?.get(key).filter(|value| !value.is_empty())
    }

    /// The same, where a known node that lacks `kubernetes.io/hostname` has its name instead.
    #[must_use]
    pub fn label_or_name(&self, node: &str, key: &str) -> Option<&Arc<str>> {
        let name = || match self.is_here(node) {
            true => self.own.as_ref().map(|_| &self.here),
            false => self.by_name.get_key_value(node).map(|(name, _)| name),
        };
        self.label(node, key).or_else(|| name().filter(|_| *key == *HOST_KEY))
    }

    /// The node group of `node` as KubeEdge has it; `None` where its label lacks, and for an unknown node.
    #[must_use]
    pub fn group(&self, node: &str) -> Option<&Arc<str>> {
        self.label(node, GROUP_LABEL)
    }

    /// The pool of `node`; `None` for a node without one and for an unknown node.
    #[must_use]
    pub fn pool(&self, node: &str) -> Option<&Arc<str>> {
        self.pool_of(self.labels(node)?)
    }

    /// The pool that these labels name.
    #[must_use]
    pub fn pool_of<'l>(&self, labels: &'l Labels) -> Option<&'l Arc<str>> {
        let label = |key: &str| labels.get(key).filter(|value| !value.is_empty());
        label(&self.pool_keys.preferred).or_else(|| label(self.pool_keys.fallback.as_deref()?))
    }

    /// The pool of the client node.
    #[must_use]
    pub fn own_pool(&self) -> Option<&Arc<str>> {
        self.pool(&self.here)
    }
}

#[cfg(test)]
mod tests {
    use super::super::notation::{cast, cast_with, labels};
    use super::*;

    #[test]
    fn a_pool_is_the_preferred_label_or_else_the_fallback() {
        for (shows, on_near, pool) in [
            ("the preferred label", "pool=p1", Some("p1")),
            ("the fallback where the preferred one lacks", "desired=p2", Some("p2")),
            ("the preferred one while both are set", "pool=p1 desired=p2", Some("p1")),
            ("an empty preferred one counts as lacking", "pool= desired=p2", Some("p2")),
            ("an empty fallback too", "desired=", None),
            ("other labels name no pool", "zone=z1 openyurt.io/nodepool=p1", None),
            ("no label", "", None),
        ] {
            let mut nodes = cast();
            nodes.by_name.insert("near".into(), labels(on_near));
            assert_eq!(nodes.pool("near").map(|pool| &**pool), pool, "{shows}");
        }
    }

    #[test]
    fn the_label_keys_that_name_a_pool_can_be_chosen() {
        let mut nodes = cast_with("example.com/site=s1 pool=p1 desired=p2");
        nodes.pool_keys = PoolKeys { preferred: "example.com/site".into(), fallback: None };
        assert_eq!(nodes.own_pool().map(|pool| &**pool), Some("s1"));

        nodes.own = Some(labels("pool=p1 desired=p2"));
        assert_eq!(nodes.own_pool(), None, "OpenYurt's labels are not read then");
    }

    #[test]
    fn of_the_client_node_the_last_known_labels_hold() {
        let mut nodes = cast_with("pool=p1");
        nodes.by_name.remove("here");
        assert_eq!(nodes.own_pool().map(|pool| &**pool), Some("p1"), "its object is gone");

        nodes.by_name.insert("here".into(), labels("pool=p2"));
        assert_eq!(nodes.own_pool().map(|pool| &**pool), Some("p1"), "not what the list of nodes says");

        nodes.own = None;
        assert_eq!(nodes.own_pool(), None, "never known");
    }

    #[test]
    fn nothing_is_known_of_an_unknown_node() {
        let nodes = cast();
        assert_eq!(nodes.labels("ghost"), None);
        assert_eq!(nodes.pool("ghost"), None);
        assert_eq!(nodes.label("ghost", "topology.kubernetes.io/zone"), None);
        assert!(nodes.is_here("here") && !nodes.is_here("near"));
    }
}

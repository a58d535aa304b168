//! Nodes that come, change and go, and which Services read what changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdSet;

use crate::model::{Labels, Node, ObjectName, Slice};
use crate::select::nodes::PoolKeys;
use crate::select::topology::{ZONE_LABEL, counts_without};

use super::Store;

/// What was known of a Node before a change.
struct Before {
    labels: Option<Labels>,
    is_unknown: bool,
}

impl Store {
    pub(super) fn apply_node(&mut self, node: Node) {
        if node.odd_labels.iter().any(|key| self.is_place(key)) {
            return self.unread_node(node.name);
        }
        let before = self.known_of(&node.name);
        self.unread.remove_node(&node.name);
        if self.nodes.is_here(&node.name) {
            self.nodes.own = Some(node.labels.clone());
        }
        self.nodes.by_name.insert(Arc::clone(&node.name), node.labels);
        self.node_changed(&node.name, &before);
    }

    /// The client node's last known labels hold: unknown is not the same as unlabelled.
    pub(super) fn delete_node(&mut self, name: &str) {
        let before = self.known_of(name);
        self.unread.remove_node(name);
        self.unread.deleted_node(name);
        self.nodes.by_name.remove(name);
        self.node_changed(name, &before);
    }

    /// Whether the operator has this label say where a Node is: without it the Node would be elsewhere.
    fn is_place(&self, key: &Arc<str>) -> bool {
        let PoolKeys { preferred, fallback } = &self.nodes.pool_keys;
        self.rules.topology_labels.contains(key) || preferred == key || fallback.as_ref() == Some(key)
    }

    /// What was read of it before stays.
    pub(super) fn unread_node(&mut self, name: Arc<str>) {
        if self.nodes.labels(&name).is_none() {
            let before = self.known_of(&name);
            self.unread.insert_node(Arc::clone(&name));
            self.node_changed(&name, &before);
        }
    }

    /// Whether a Node of this name exists, or may, and its labels were never read.
    pub(super) fn is_unknown_node(&self, name: &str) -> bool {
        self.nodes.labels(name).is_none() && self.unread.may_be_node(name)
    }

    fn known_of(&self, node: &str) -> Before {
        Before { labels: self.nodes.labels(node).cloned(), is_unknown: self.is_unknown_node(node) }
    }

    /// Marks the Services that read a label of `node` which is not as it was `before`, and where the pool is another one, those
    /// whose connections count in another cell of the loop from now on.
    fn node_changed(&mut self, node: &str, before: &Before) {
        let Before { labels: before, is_unknown } = before;
        let (before, was_unknown) = (before.as_ref(), *is_unknown);
        let now = self.nodes.labels(node);
        let is_here = self.nodes.is_here(node);
        let pool = |labels: Option<&Labels>| labels.and_then(|labels| self.nodes.pool_of(labels)).cloned();
        let is_of_another_pool = pool(before) != pool(now);
        if is_here && before.is_none() && now.is_some() {
            self.mark_all_dirty();
            return;
        }
        let is_other = was_unknown != self.is_unknown_node(node);
        let came_or_went = before.is_some() != now.is_some();
        let differs = |key: &str| {
            is_other
                || (came_or_went && counts_without(key))
                || before.and_then(|labels| labels.get(key)) != now.and_then(|labels| labels.get(key))
        };
        let changed: Vec<&OrdSet<ObjectName>> =
            self.readers.iter().filter(|(key, _)| differs(key)).map(|(_, readers)| readers).collect();
        let touched = changed.into_iter().flatten().filter(|name| is_here || self.reaches(name, node));
        let mut touched: BTreeSet<ObjectName> = touched.cloned().collect();
        if is_here && differs(ZONE_LABEL) {
            touched.extend(self.services.keys().cloned());
        }
        self.dirty.append(&mut touched);
        // Before that, everything is looked at anyway.
        if is_of_another_pool && self.is_synced() {
            self.of_another_pool.insert(node.into());
        }
    }

    /// Marks the Services that have an endpoint on a node that went to another pool, and where it is the client's, all that
    /// have endpoints. One look at all endpoints, however many nodes there are.
    pub(super) fn mark_of_another_pool(&mut self) {
        let nodes = std::mem::take(&mut self.of_another_pool);
        if nodes.is_empty() {
            return;
        }
        let reaches = |slice: &Arc<Slice>| {
            slice
                .endpoints
                .iter()
                .filter_map(|endpoint| endpoint.node.as_ref())
                .any(|node| nodes.contains(node))
        };
        let is_all = nodes.contains(&self.nodes.here);
        let counts = |service: &ObjectName| {
            self.services.get(service).is_some_and(|entry| !self.is_left_alone(&entry.service))
        };
        let touched = self.slices.iter().filter(|(_, slices)| is_all || slices.iter().any(reaches));
        let touched = touched.map(|(service, _)| service).filter(|service| counts(service));
        let touched: Vec<ObjectName> = touched.cloned().collect();
        self.dirty.extend(touched);
    }

    /// Whether `service` has an endpoint on `node`.
    fn reaches(&self, service: &ObjectName, node: &str) -> bool {
        self.slices_of(service)
            .flat_map(|slice| &slice.endpoints)
            .any(|endpoint| endpoint.node.as_deref() == Some(node))
    }
}

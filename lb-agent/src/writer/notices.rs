//! What is said once: to the log about Services and the own Node, and to the owners of Services.

use std::collections::BTreeMap;

use crate::announce::EventQueue;
use crate::announce::warning::complaint;
use crate::model::ObjectName;
use crate::plan::Mirror;
use crate::store::Store;
use crate::suggest::suggest;
use crate::view::diagnostics::{Mark, marks_of};

/// What was said already.
#[derive(Debug)]
pub(super) struct Notices {
    /// Where to put what owners of Services should know; files have no owner to reach.
    outbox: Option<EventQueue>,
    /// The log has said that the own Node is missing.
    is_missed: bool,
    /// What the log has, by Service.
    said: BTreeMap<ObjectName, Vec<Mark>>,
}

impl Notices {
    pub(super) const fn new(outbox: Option<EventQueue>) -> Self {
        Self { outbox, is_missed: false, said: BTreeMap::new() }
    }

    /// A name that is no Node's passes for a node in no pool: that is said once.
    pub(super) fn own_node(&mut self, store: &Store, is_incomplete: bool) {
        if self.is_missed || !store.is_nowhere() || is_incomplete {
            return;
        }
        self.is_missed = true;
        let places = store.places();
        let known: Vec<&str> = places.nodes.keys().map(|name| &**name).collect();
        tracing::warn!(
            node = %places.here,
            nodes = known.len(),
            near = suggest(&places.here, &known).join(", "),
            "there is no Node of this name: what reads its labels waits until there is one"
        );
    }

    /// Logs what is new about a Service, and queues what its owner should know.
    pub(super) fn service(&mut self, store: &Store, mirror: Option<&Mirror>, service: &ObjectName) {
        if let Some(outbox) = &self.outbox {
            outbox.set(service, complaint(store, service));
        }
        let marks = marks_of(store, mirror, service);
        let said = self.said.remove(service).unwrap_or_default();
        for mark in marks.iter().filter(|mark| mark.kind.is_warning() && !said.contains(mark)) {
            tracing::warn!(service = mark.service, reason = mark.text, "a Service needs attention");
        }
        if !marks.is_empty() {
            self.said.insert(service.clone(), marks);
        }
    }
}

//! What needs attention: kept for the doors, logged once, and sent to the owners of Services.

use std::collections::BTreeSet;

use crate::announce::EventQueue;
use crate::announce::warning::topology_warning;
use crate::model::ObjectName;
use crate::plan::Mirror;
use crate::shown::shown;
use crate::store::Store;
use crate::suggest::suggest;
use crate::view::by_service::ByService;
use crate::view::diagnostic::Severity;
use crate::view::of_service::of_service;

use super::reconcile::Pass;

/// What is known to need attention.
#[derive(Debug)]
pub(super) struct Notices {
    /// Where to put what owners of Services should know; files have no owner to reach.
    outbox: Option<EventQueue>,
    /// The log has said that the own Node is missing.
    is_missed: bool,
    diagnostics: ByService,
    /// The Services that lacked room after the last pass.
    starved: BTreeSet<ObjectName>,
}

impl Notices {
    pub(super) fn new(outbox: Option<EventQueue>) -> Self {
        Self { outbox, is_missed: false, diagnostics: ByService::default(), starved: BTreeSet::new() }
    }

    pub(super) const fn diagnostics(&self) -> &ByService {
        &self.diagnostics
    }

    /// A name that is no Node's passes for a node in no pool: that is said once.
    pub(super) fn own_node(&mut self, store: &Store) {
        if self.is_missed || !store.is_nowhere() {
            return;
        }
        self.is_missed = true;
        let nodes = store.nodes();
        let known: Vec<&str> = nodes.by_name.keys().map(|name| &**name).collect();
        tracing::warn!(
            node = %nodes.here,
            nodes = known.len(),
            near = suggest(&nodes.here, &known).into_iter().map(shown).collect::<Vec<_>>().join(", "),
            "there is no Node of this name: what reads its labels waits until there is one"
        );
    }

    /// Looks at the Services that a pass can have changed: those it went through, and those that
    /// lack room now and did not before, or the other way round.
    pub(super) fn after(&mut self, pass: &Pass, store: &Store, mirror: &Mirror) {
        let starved: BTreeSet<&ObjectName> = mirror.shortages().services().collect();
        let (had, has) = (&self.starved, |service: &ObjectName| starved.contains(service));
        let fed: Vec<ObjectName> = had.iter().filter(|service| !has(service)).cloned().collect();
        let new: Vec<ObjectName> =
            starved.iter().filter(|service| !had.contains(**service)).copied().cloned().collect();
        let changed: BTreeSet<&ObjectName> = pass.touched.iter().chain(&fed).chain(&new).collect();
        for service in changed {
            self.service(service, pass, store, mirror);
        }
        fed.iter().for_each(|service| _ = self.starved.remove(service));
        self.starved.extend(new);
    }

    /// Logs what is new about a Service, and queues what its owner should know.
    fn service(&mut self, service: &ObjectName, pass: &Pass, store: &Store, mirror: &Mirror) {
        if let Some(outbox) = &self.outbox {
            outbox.set(service, topology_warning(store, service));
        }
        let now = of_service(store, Some(mirror), pass.failed.get(service), service);
        let known = self.diagnostics.of(service);
        let is_news = |severity| severity != Severity::Info;
        for diagnostic in now.iter().filter(|found| is_news(found.severity) && !known.contains(found)) {
            tracing::warn!(
                %service,
                reason = diagnostic.reason.label(),
                why = diagnostic.message,
                "a Service needs attention"
            );
        }
        self.diagnostics.set(service, now);
    }
}

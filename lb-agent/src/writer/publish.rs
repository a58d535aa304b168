//! What the writer makes known.

use std::sync::Arc;
use std::time::Instant;

use crate::view::published::{AgentState, MapFill, NodeFacts, Published};
use crate::view::topologies::by_flag;

use super::Writer;

impl Writer {
    /// Makes known how things are. It costs the same however large the cluster is.
    pub(super) fn publish(&self) {
        let self_test = self.self_tests.state();
        let standing = self.lifecycle.standing(self.first);
        let published = Published {
            at: Instant::now(),
            source: Arc::clone(&self.source),
            report: self.report.clone(),
            state: AgentState::of(&self.store, &self.report, standing, &self_test),
            self_test,
            latencies: self.latency.counted(),
            node: NodeFacts::of(&self.store),
            mode: self.store.mode(),
            refuses_by: self.lifecycle.refuses_by(),
            maps: self.lifecycle.mirror().map(|mirror| MapFill::of(mirror, self.clients)),
            passes: self.passes,
            diagnostics: self.notices.diagnostics().clone(),
            store: self.store.copy(),
            topologies: by_flag(&self.store),
            skips: Arc::clone(self.skips.view()),
            saved: self.saving.view(self.standby.as_deref()),
            peers: self.peers.report(),
            elsewhere: self.node_address.filter(|address| self.store.host().interface(*address).is_none()),
            before_ours: Arc::clone(self.lifecycle.before_ours()),
            repairs: self.lifecycle.repairs(),
            staleness: self.lifecycle.staleness(),
            kernel_error: self.health.error().or_else(|| self.lifecycle.attention().map(Into::into)),
        };
        self.published.send_replace(Arc::new(published));
    }
}

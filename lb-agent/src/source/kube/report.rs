//! How the report of an API server changes.

use k8s_openapi::jiff::Timestamp;

use crate::model::{ApiReport, Failure, Kind, KindState, ObjectKey, SourceState};

impl ApiReport {
    pub(super) fn new(server: String, kinds: &[Kind]) -> Self {
        let starting = |kind: &Kind| KindState {
            kind: *kind,
            state: SourceState::Starting,
            since: now(),
            last_failure: None,
        };
        Self { server, kinds: kinds.iter().map(starting).collect(), ..Self::default() }
    }

    /// Notes a new state, and says whether it is one.
    pub(super) fn enter(&mut self, kind: Kind, state: SourceState) -> bool {
        let Some(of_kind) = self.kinds.iter_mut().find(|known| known.kind == kind) else { return false };
        if of_kind.state == state {
            return false;
        }
        of_kind.state = state;
        of_kind.since = now();
        true
    }

    pub(super) fn failed(&mut self, kind: Kind, what: String) {
        if let Some(of_kind) = self.kinds.iter_mut().find(|known| known.kind == kind) {
            of_kind.last_failure = Some(Failure { at: now(), what });
        }
    }

    /// Whether this is what last went wrong.
    pub(super) fn is_last_failure(&self, kind: Kind, what: &str) -> bool {
        let of_kind = self.kinds.iter().find(|known| known.kind == kind);
        of_kind.and_then(|known| known.last_failure.as_ref()).is_some_and(|failure| failure.what == what)
    }

    /// Puts what is said about objects of `kind` in the place of what was said before.
    pub(super) fn set_objects(&mut self, kind: Kind, said: impl Iterator<Item = (ObjectKey, String)>) {
        self.objects.retain(|(key, _)| key.kind != kind);
        self.objects.extend(said);
        self.objects.sort_unstable();
    }
}

fn now() -> String {
    format!("{:.0}", Timestamp::now())
}

//! What a source of API objects has to say beside its objects.

use k8s_openapi::jiff::Timestamp;

use crate::model::{Kind, ObjectKey};

/// How things stand now, not what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Which API server, and with whose credentials.
    pub server: String,
    pub kinds: Vec<KindState>,
    /// Objects of which a part, or all of what they say now, cannot be used.
    pub objects: Vec<(ObjectKey, String)>,
    /// What an operator should know of the connection.
    pub notes: Vec<String>,
}

/// One kind of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindState {
    pub kind: Kind,
    pub state: State,
    /// VersionMatch when, as in `2026-01-02T03:04:05Z`.
    pub since: String,
    /// What last went wrong, also when all is well again.
    pub last_failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not all objects were told yet.
    Starting,
    /// The API server tells every change as it happens.
    InSync,
    /// All objects were told once, and now nobody tells what changes.
    Behind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub at: String,
    pub what: String,
}

impl State {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::InSync => "in sync",
            Self::Behind => "behind",
        }
    }
}

impl Report {
    pub(super) fn new(server: String) -> Self {
        let kinds = [Kind::Service, Kind::EndpointSlice, Kind::Node];
        let starting = |kind| KindState { kind, state: State::Starting, since: now(), last_failure: None };
        Self { server, kinds: kinds.map(starting).into(), ..Self::default() }
    }

    /// Notes a new state, and says whether it is one.
    pub(super) fn enter(&mut self, kind: Kind, state: State) -> bool {
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

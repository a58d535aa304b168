//! Where what decides comes from, and how old it is. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::published::{Published, WaitsFor};

/// Where what decides comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateOrigin {
    /// The source has not shown everything yet.
    Starting,
    /// The source sends changes as they happen.
    Live,
    /// The source sent everything once, and sends no changes now.
    Behind,
    /// The state that was saved before the node's last boot.
    Saved,
}

/// Where what decides comes from, and how old it is.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    pub origin: StateOrigin,
    /// The time since a live source was in sync, in seconds; of a saved state at least so long. `null` where it is not known.
    pub age_seconds: Option<u64>,
    /// Of a saved state, what the machine's own clock showed when it was saved.
    pub saved_at: Option<String>,
}

impl StateView {
    #[must_use]
    pub fn of(published: &Published) -> Self {
        let age = published.staleness.map(|staleness| staleness.age.as_secs());
        if let Some((age, clock)) = &published.saved.in_use {
            let (age_seconds, saved_at) = (Some(age.at_least().as_secs()), Some(clock.to_string()));
            return Self { origin: StateOrigin::Saved, age_seconds, saved_at };
        }
        let origin = if !published.store.is_synced() {
            StateOrigin::Starting
        } else if published.state.waits_for().contains(&WaitsFor::Source) {
            StateOrigin::Behind
        } else {
            StateOrigin::Live
        };
        Self { origin, age_seconds: age, saved_at: None }
    }

    /// One sentence without a full stop.
    #[must_use]
    pub fn describe(&self) -> String {
        let age = self.age_seconds.map(|age| format!("{age} s ago"));
        let last = age.as_ref().map(|age| format!("; it last was {age}")).unwrap_or_default();
        match self.origin {
            StateOrigin::Starting => "the source has not shown everything yet".to_owned(),
            StateOrigin::Live => "live: the source sends changes as they happen".to_owned(),
            StateOrigin::Behind => format!("BEHIND: the source is not in sync{last}"),
            StateOrigin::Saved => {
                let at = self.saved_at.as_deref().unwrap_or("a time that is not known");
                format!("SAVED at {at} by this machine's clock: no source was heard of since the start")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::{Age, Change, Kind, Staleness};
    use crate::store::{Rules, Store};
    use crate::view::published::{AgentState, SavedState};

    #[test]
    fn a_state_is_live_behind_or_saved_and_says_how_old_it_is() {
        let mut store = Store::new("n1", Rules::default());
        let first = Published::first(&store, "file:/x", Instant::now());
        assert_eq!(StateView::of(&first).origin, StateOrigin::Starting);

        Kind::ALL.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
        let staleness = Some(Staleness { max: None, age: Duration::from_secs(7) });
        let of = |state| Published { state, staleness, store: store.copy(), ..first.clone() };
        let live = of(AgentState::Ready);
        let behind = of(AgentState::NotReady(vec![WaitsFor::Source]));
        let in_use = Some((Age::AtLeast(Duration::from_secs(90)), "2026-01-02T03:04:05Z".into()));
        let saved = Published { saved: SavedState { in_use, trouble: None }, ..behind.clone() };
        for (published, origin, age, said) in [
            (&live, StateOrigin::Live, 7, "live: "),
            (&behind, StateOrigin::Behind, 7, "BEHIND: the source is not in sync; it last was 7 s ago"),
            (&saved, StateOrigin::Saved, 90, "SAVED at 2026-01-02T03:04:05Z"),
        ] {
            let view = StateView::of(published);
            assert_eq!((view.origin, view.age_seconds), (origin, Some(age)));
            assert!(view.describe().starts_with(said), "{}", view.describe());
        }
    }
}

//! Topologies that were given by flag, as they are shown. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shown::shown;
use crate::store::{Effect, Store};

/// A topology that was given by flag.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Topology {
    /// As in `kube-system/kube-dns`.
    pub service: String,
    /// As written, as far as it is shown.
    pub keys: String,
    pub effect: ByFlag,
}

/// What has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByFlag {
    /// It is the Service's.
    Used,
    /// The Service's own annotation goes first.
    Annotated,
    /// There is no such Service.
    NoSuchService,
    /// The Service was not seen yet.
    NotKnown,
}

impl ByFlag {
    /// Why it has no effect, as a clause; `None` when it has.
    #[must_use]
    pub const fn why_not(self) -> Option<&'static str> {
        match self {
            Self::Used => None,
            Self::Annotated => Some("the Service has an annotation of its own, which goes first"),
            Self::NoSuchService => Some("there is no such Service"),
            Self::NotKnown => Some("the Service was not seen yet"),
        }
    }
}

/// All of them, by Service.
#[must_use]
pub fn by_flag(store: &Store) -> Vec<Topology> {
    let all = store.topologies_by_flag().map(|given| Topology {
        service: given.service.to_string(),
        keys: shown(given.keys),
        effect: match given.effect {
            Effect::Used => ByFlag::Used,
            Effect::Annotated => ByFlag::Annotated,
            Effect::Absent => ByFlag::NoSuchService,
            Effect::Unknown => ByFlag::NotKnown,
        },
    });
    all.collect()
}

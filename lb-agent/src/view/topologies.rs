//! Where a topology is written, and those that were given by flag, as they are shown. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Dialect;
use crate::shown::{Quoted, shown};
use crate::store::{self, Differing, Effect, Store, Written};

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// An annotation of the Service: `openyurt.io/topologyKeys` unless another is named.
    Annotation,
    /// `--topology`.
    Flag,
    /// `edgeloop.io/topology` of its Namespace.
    Namespace,
}

/// What is written of a topology, as far as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WrittenView {
    pub(super) text: Option<String>,
    pub(super) origin: Option<Origin>,
    /// The annotation, where it is not OpenYurt's.
    pub(super) annotation: Option<String>,
}

impl WrittenView {
    pub(super) fn of(written: Option<Written<'_>>) -> Self {
        let Some(Written { text, origin }) = written else { return Self::default() };
        let (origin, annotation) = match origin {
            store::Origin::Annotation(Dialect::OpenYurt) => (Origin::Annotation, None),
            store::Origin::Annotation(dialect) => (Origin::Annotation, Some(dialect.annotation())),
            store::Origin::Flag => (Origin::Flag, None),
            store::Origin::Namespace => (Origin::Namespace, None),
        };
        Self { text: Some(shown(text)), origin: Some(origin), annotation: annotation.map(str::to_owned) }
    }
}

/// Where it is written, as the subject of a sentence.
pub(super) fn name(written: Option<Written<'_>>) -> &'static str {
    match written.map(|written| written.origin) {
        Some(store::Origin::Annotation(dialect)) => dialect.annotation(),
        Some(store::Origin::Flag) => "--topology",
        Some(store::Origin::Namespace) => "edgeloop.io/topology of its Namespace",
        None => "the topology",
    }
}

/// Two annotations that do not ask for the same, as a sentence without a full stop.
pub(super) fn two(differing: &Differing<'_>) -> String {
    let Differing { counts: (first, text), other: (second, ignored) } = differing;
    let (first, second) = (first.annotation(), second.annotation());
    let (text, ignored) = (Quoted(text), Quoted(ignored));
    format!("{first} {text} counts, and {second} {ignored} asks for something else: leave one of them")
}

/// A topology that a Namespace gives its Services.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct OfNamespace {
    pub namespace: String,
    /// As written, as far as it is shown.
    pub keys: String,
}

/// All of them, by Namespace.
#[must_use]
pub fn of_namespaces(store: &Store) -> Vec<OfNamespace> {
    let all = store.topologies_of_namespaces().into_iter();
    all.map(|(namespace, keys)| OfNamespace { namespace: shown(namespace), keys: shown(keys) }).collect()
}

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

//! Who says the topology of a Service: its annotations, in whichever dialect, the operator by flag, or its Namespace.

use std::sync::Arc;

use crate::model::{Dialect, ObjectName, Service};
use crate::select::topology::Topology;

use super::Store;

/// What is written of a topology, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    pub text: &'a Arc<str>,
    pub origin: Origin,
}

/// Where a topology is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An annotation of the Service.
    Annotation(Dialect),
    /// `--topology`.
    Flag,
    /// The annotation `edgeloop.io/topology` of its Namespace.
    Namespace,
}

/// Two annotations of one Service that do not ask for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differing<'a> {
    /// The one that counts.
    pub counts: (Dialect, &'a Arc<str>),
    pub other: (Dialect, &'a Arc<str>),
}

/// A topology that was given by flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByFlag<'a> {
    pub service: &'a ObjectName,
    /// As written.
    pub keys: &'a Arc<str>,
    pub effect: Effect,
}

/// What has become of a topology that was given by flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is the Service's.
    Used,
    /// The Service has an annotation of its own, which goes first.
    Annotated,
    /// There is no such Service.
    Absent,
    /// Whether there is such a Service is not known, or not yet.
    Unknown,
}

impl Store {
    /// What is written of the topology of `service`, and where.
    ///
    /// 1. The Service's own annotation, whether or not it is understood. An empty one is as none. Of several, OpenYurt's,
    ///    then KubeEdge's, then SuperEdge's, as far as the operator wants those.
    /// 2. What the operator gives it by flag.
    /// 3. What its Namespace says, where the operator lets that count.
    #[must_use]
    pub fn written<'a>(&'a self, service: &'a Service) -> Option<Written<'a>> {
        let annotation = self.annotations(service).next();
        let annotation =
            annotation.map(|(dialect, text)| Written { text, origin: Origin::Annotation(dialect) });
        let flag = || self.rules.topologies.get(&service.name);
        let inherited = || self.inherited(service);
        annotation
            .or_else(|| flag().map(|text| Written { text, origin: Origin::Flag }))
            .or_else(|| inherited().map(|text| Written { text, origin: Origin::Namespace }))
    }

    /// The annotations of `service` that do not ask for what the one does that counts.
    #[must_use]
    pub fn differing<'a>(&'a self, service: &'a Service) -> Vec<Differing<'a>> {
        let mut all = self.annotations(service);
        let Some(counts) = all.next() else { return Vec::new() };
        let read = |(dialect, text): (Dialect, &Arc<str>)| {
            Topology::read(dialect, text, &self.rules.topology_labels)
        };
        let differs = |other: &(Dialect, &Arc<str>)| !read(counts).asks_the_same(&read(*other));
        all.filter(differs).map(|other| Differing { counts, other }).collect()
    }

    pub(super) fn topology(&self, service: &Service) -> Topology {
        let Some(Written { text, origin }) = self.written(service) else { return Topology::None };
        let dialect = match origin {
            Origin::Annotation(dialect) => dialect,
            Origin::Flag | Origin::Namespace => Dialect::OpenYurt,
        };
        Topology::read(dialect, text, &self.rules.topology_labels)
    }

    fn annotations<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = (Dialect, &'a Arc<str>)> {
        let wanted = [Dialect::OpenYurt].into_iter().chain(self.rules.dialects.iter().copied());
        wanted.filter_map(|dialect| Some((dialect, service.annotation(dialect)?)))
    }

    /// Whether its own annotation or a flag says its topology.
    pub(super) fn has_topology_of_its_own(&self, service: &Service) -> bool {
        self.annotations(service).next().is_some() || self.rules.topologies.contains_key(&service.name)
    }

    fn has_by_flag(&self, service: &Service) -> bool {
        self.written(service).is_some_and(|written| written.origin == Origin::Flag)
    }

    /// Every topology that was given by flag, and what has become of it.
    pub fn topologies_by_flag(&self) -> impl Iterator<Item = ByFlag<'_>> {
        self.rules.topologies.iter().map(|(service, keys)| {
            let effect = match self.services.get(service) {
                Some(entry) if self.has_by_flag(&entry.service) => Effect::Used,
                Some(_) => Effect::Annotated,
                None if self.is_absent(service) => Effect::Absent,
                None => Effect::Unknown,
            };
            ByFlag { service, keys, effect }
        })
    }
}

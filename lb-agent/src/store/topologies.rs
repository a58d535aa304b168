//! Topologies that the operator gives by flag.

use std::sync::Arc;

use crate::model::{ObjectName, Service};

use super::Store;

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
    /// The topology that `service` has by flag: its own annotation goes first, whether or not it is understood. An empty
    /// one is as none.
    #[must_use]
    pub fn by_flag(&self, service: &Service) -> Option<&Arc<str>> {
        let is_annotated = service.topology.as_deref().is_some_and(|keys| !keys.is_empty());
        self.rules.topologies.get(&service.name).filter(|_| !is_annotated)
    }

    /// Every topology that was given by flag, and what has become of it.
    pub fn topologies_by_flag(&self) -> impl Iterator<Item = ByFlag<'_>> {
        self.rules.topologies.iter().map(|(service, keys)| {
            let effect = match self.services.get(service) {
                Some(entry) if self.by_flag(&entry.service).is_some() => Effect::Used,
                Some(_) => Effect::Annotated,
                None if self.is_absent(service) => Effect::Absent,
                None => Effect::Unknown,
            };
            ByFlag { service, keys, effect }
        })
    }
}

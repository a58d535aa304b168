//! EndpointSlices.

use std::num::NonZeroI64;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Endpoint, Family, ObjectName, Protocol};

/// One EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    pub name: ObjectName,
    /// The label `kubernetes.io/service-name`.
    pub service: Option<Arc<str>>,
    /// `addressType`; `None` for FQDN and whatever comes later.
    pub family: Option<Family>,
    /// It carries the label `service.kubernetes.io/headless`.
    pub headless: bool,
    /// Why no endpoint of it can be used, as a clause; `None` where none is lost so.
    pub not_read: Option<Arc<str>>,
    pub ports: Vec<SlicePort>,
    pub endpoints: Vec<Endpoint>,
    #[serde(skip)]
    pub changed: Changed,
}

/// When the change came about that a slice shows, in milliseconds since 1970 by the clock of the control plane. A slice that
/// differs in this alone is the same slice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changed(pub Option<NonZeroI64>);

impl PartialEq for Changed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Changed {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlicePort {
    /// Unnamed is "".
    pub name: Arc<str>,
    pub protocol: Protocol,
    /// Slice ports without a number are not kept.
    pub port: u16,
}

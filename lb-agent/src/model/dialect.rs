//! Whose annotations say a topology. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Service;

/// A project that has a topology on Services, in words of its own. The one that goes first is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Dialect {
    OpenYurt,
    KubeEdge,
    SuperEdge,
}

impl Dialect {
    /// The annotation of a Service that says it.
    #[must_use]
    pub const fn annotation(self) -> &'static str {
        match self {
            Self::OpenYurt => "openyurt.io/topologyKeys",
            Self::KubeEdge => "apps.kubeedge.io/service-topology",
            Self::SuperEdge => "topologyKeys",
        }
    }
}

/// What the annotations of other projects than OpenYurt say, as written. They count only where the operator says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    pub kubeedge: Option<Arc<str>>,
    pub superedge: Option<Arc<str>>,
}

impl Service {
    /// The annotation of `dialect` as written; an empty one is as none.
    #[must_use]
    pub fn annotation(&self, dialect: Dialect) -> Option<&Arc<str>> {
        let foreign = self.foreign.as_deref();
        let written = match dialect {
            Dialect::OpenYurt => self.topology.as_ref(),
            Dialect::KubeEdge => foreign.and_then(|foreign| foreign.kubeedge.as_ref()),
            Dialect::SuperEdge => foreign.and_then(|foreign| foreign.superedge.as_ref()),
        };
        written.filter(|written| !written.is_empty())
    }
}

//! The kinds of objects. Pure.

use serde::{Deserialize, Serialize};

/// The kinds of objects a source follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    Service,
    EndpointSlice,
    Node,
    Pod,
    Namespace,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Service, Self::EndpointSlice, Self::Node, Self::Pod, Self::Namespace];

    /// Those that say where a connection goes.
    pub const DECIDING: [Self; 3] = [Self::Service, Self::EndpointSlice, Self::Node];

    /// Those that say which pods are skipped. Nothing else waits for them.
    pub const SKIPPING: [Self; 2] = [Self::Pod, Self::Namespace];

    #[must_use]
    pub const fn is_deciding(self) -> bool {
        matches!(self, Self::Service | Self::EndpointSlice | Self::Node)
    }

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Namespace => "Namespace",
        }
    }

    /// Whether its objects lie in no namespace.
    #[must_use]
    pub const fn is_of_cluster(self) -> bool {
        matches!(self, Self::Node | Self::Namespace)
    }
}

//! What stands in a document, by its apiVersion and kind.

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use serde_json::Value;

use crate::convert::Version;
use crate::model::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Object(Kind),
    /// A list, and what its items are where it is a typed one.
    List(Option<Items>),
    /// Nothing that is read here.
    Other,
}

/// Items of a typed list may leave out what the list says already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Items {
    api_version: &'static str,
    kind: &'static str,
}

const SERVICE: Items = Items { api_version: core::Service::API_VERSION, kind: core::Service::KIND };
const NODE: Items = Items { api_version: core::Node::API_VERSION, kind: core::Node::KIND };
const SLICE: Items =
    Items { api_version: discovery::EndpointSlice::API_VERSION, kind: discovery::EndpointSlice::KIND };
const SLICE_BETA: Items = Items { api_version: "discovery.k8s.io/v1beta1", kind: SLICE.kind };

/// The version that a slice's `apiVersion` says.
pub(super) fn version(api_version: &str) -> Version {
    if api_version == SLICE_BETA.api_version { Version::V1beta1 } else { Version::V1 }
}

impl Content {
    pub(super) fn of(api_version: &str, kind: &str) -> Self {
        let written = (api_version, kind);
        for (of, items) in [
            (Kind::Service, SERVICE),
            (Kind::EndpointSlice, SLICE),
            (Kind::EndpointSlice, SLICE_BETA),
            (Kind::Node, NODE),
        ] {
            if written == (items.api_version, items.kind) {
                return Self::Object(of);
            }
            if api_version == items.api_version && kind.strip_suffix("List") == Some(items.kind) {
                return Self::List(Some(items));
            }
        }
        if written == ("v1", "List") { Self::List(None) } else { Self::Other }
    }
}

impl Items {
    pub(super) fn fill_in(self, item: &mut Value) {
        if let Some(fields) = item.as_object_mut() {
            fields.entry("apiVersion").or_insert_with(|| self.api_version.into());
            fields.entry("kind").or_insert_with(|| self.kind.into());
        }
    }
}

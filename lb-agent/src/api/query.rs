//! What is asked of the API server. Pure.

use std::time::Duration;

use crate::model::Kind;

/// From when on a list has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    /// As the API server has it at hand.
    Any,
    /// At least as new as what came before: never back in time.
    NotOlderThan(String),
    /// As etcd has it, whatever came before: by a server that knows nothing of that.
    Newest,
}

/// Only of a list that comes from etcd itself: what the server has in memory comes whole, and is
/// read piece by piece.
const PAGE: u32 = 500;

pub(crate) fn list(kind: Kind, since: &VersionMatch, continued: Option<&str>) -> String {
    let more = match (continued, since) {
        (Some(token), _) => format!("limit={PAGE}&continue={}", escaped(token)),
        (None, VersionMatch::Newest) => format!("limit={PAGE}"),
        (None, since) => format!("resourceVersion={}&resourceVersionMatch=NotOlderThan", version(since)),
    };
    format!("{}{more}", path(kind))
}

/// A list as a watch sends it: each object is an event, and a bookmark ends it.
pub(crate) fn stream(kind: Kind, since: &VersionMatch, most: Duration) -> String {
    let version = version(since);
    let watch = watching(most);
    format!(
        "{}{watch}&sendInitialEvents=true&resourceVersion={version}&resourceVersionMatch=NotOlderThan",
        path(kind)
    )
}

pub(crate) fn watch(kind: Kind, version: &str, most: Duration) -> String {
    format!("{}{}&resourceVersion={}", path(kind), watching(most), escaped(version))
}

/// No object at all, but only of a server that has come to this version: any other refuses. One name in one
/// namespace is one look into what it has at hand.
pub(crate) fn probe(kind: Kind, version: &str) -> String {
    let path = match kind {
        Kind::Service => "/api/v1/namespaces/default/services",
        Kind::Node => "/api/v1/nodes",
        Kind::EndpointSlice => "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
    };
    let version = escaped(version);
    format!(
        "{path}?fieldSelector=metadata.name%3D-&resourceVersion={version}&resourceVersionMatch=NotOlderThan"
    )
}

pub(crate) const fn accept_list(kind: Kind) -> &'static str {
    match kind {
        Kind::Service | Kind::EndpointSlice => "application/json",
        Kind::Node => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json",
    }
}

pub(crate) const fn accept_watch(kind: Kind) -> &'static str {
    match kind {
        Kind::Service | Kind::EndpointSlice => "application/json",
        Kind::Node => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json",
    }
}

/// Slices are selected as kube-proxy selects them.
const fn path(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "/api/v1/services?",
        Kind::Node => "/api/v1/nodes?",
        Kind::EndpointSlice => {
            "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2Fservice-proxy-name&"
        }
    }
}

fn watching(most: Duration) -> String {
    format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={}", most.as_secs().max(1))
}

fn version(since: &VersionMatch) -> String {
    match since {
        VersionMatch::Any => "0".to_owned(),
        VersionMatch::NotOlderThan(version) => escaped(version),
        VersionMatch::Newest => String::new(),
    }
}

pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_never_goes_back_in_time_unless_the_server_knows_nothing_of_it() {
        for (since, continued, expected) in [
            (VersionMatch::Any, None, "resourceVersion=0&resourceVersionMatch=NotOlderThan"),
            (
                VersionMatch::NotOlderThan("17".to_owned()),
                None,
                "resourceVersion=17&resourceVersionMatch=NotOlderThan",
            ),
            (VersionMatch::Newest, None, "limit=500"),
            (VersionMatch::Any, Some("a/b="), "limit=500&continue=a%2Fb%3D"),
        ] {
            assert_eq!(list(Kind::Service, &since, continued), format!("/api/v1/services?{expected}"));
        }
    }
}

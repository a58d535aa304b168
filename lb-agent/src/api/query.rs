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

/// What is asked for: a kind of objects, in one version of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Services,
    Nodes,
    Slices,
    /// As API servers before 1.21 have them, and none since 1.25.
    SlicesV1Beta1,
    /// Those of one Node that have not ended.
    Pods,
    Namespaces,
}

impl Resource {
    /// In the newest version of its API.
    pub(crate) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Service => Self::Services,
            Kind::Node => Self::Nodes,
            Kind::EndpointSlice => Self::Slices,
            Kind::Pod => Self::Pods,
            Kind::Namespace => Self::Namespaces,
        }
    }

    /// As servers have it that do not know this version of its API.
    pub(crate) const fn before(self) -> Option<Self> {
        match self {
            Self::Slices => Some(Self::SlicesV1Beta1),
            Self::Services | Self::Nodes | Self::SlicesV1Beta1 | Self::Pods | Self::Namespaces => None,
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Services => Kind::Service,
            Self::Nodes => Kind::Node,
            Self::Slices | Self::SlicesV1Beta1 => Kind::EndpointSlice,
            Self::Pods => Kind::Pod,
            Self::Namespaces => Kind::Namespace,
        }
    }

    pub(crate) const fn api_version(self) -> &'static str {
        match self {
            Self::Services | Self::Nodes | Self::Pods | Self::Namespaces => "v1",
            Self::Slices => "discovery.k8s.io/v1",
            Self::SlicesV1Beta1 => "discovery.k8s.io/v1beta1",
        }
    }

    pub(crate) const fn list_kind(self) -> &'static str {
        match self {
            Self::Services => "ServiceList",
            Self::Nodes => "NodeList",
            Self::Slices | Self::SlicesV1Beta1 => "EndpointSliceList",
            Self::Pods => "PodList",
            Self::Namespaces => "NamespaceList",
        }
    }

    /// Whether an object's metadata alone says all that is read here.
    const fn is_in_metadata(self) -> bool {
        match self {
            Self::Nodes | Self::Pods | Self::Namespaces => true,
            Self::Services | Self::Slices | Self::SlicesV1Beta1 => false,
        }
    }

    /// What a list of it may be called, in which version of the API.
    pub(crate) fn list_names(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let of_metadata = ["meta.k8s.io/v1", "meta.k8s.io/v1beta1"].into_iter();
        let of_metadata = of_metadata.filter(move |_| self.is_in_metadata());
        let of_metadata = of_metadata.map(|version| ("PartialObjectMetadataList", version));
        [(self.list_kind(), self.api_version())].into_iter().chain(of_metadata)
    }

    /// Whether this is what a list of it may be called.
    pub(crate) fn is_list(self, kind: &str, api_version: &str) -> bool {
        self.list_names().any(|name| name == (kind, api_version))
    }

    /// Whether this is what one of its objects may be called.
    pub(crate) fn is_object(self, kind: &str, api_version: &str) -> bool {
        (kind == self.kind().label() && api_version == self.api_version())
            || (self.is_in_metadata() && kind == "PartialObjectMetadata" && is_of_metadata(api_version))
    }
}

fn is_of_metadata(api_version: &str) -> bool {
    matches!(api_version, "meta.k8s.io/v1" | "meta.k8s.io/v1beta1")
}

/// Only of a list that comes from etcd itself: what the server has in memory comes whole, and is
/// read piece by piece.
const PAGE: u32 = 500;

/// `here` is the Node whose pods are asked for.
pub(crate) fn list(resource: Resource, here: &str, since: &VersionMatch, continued: Option<&str>) -> String {
    let more = match (continued, since) {
        (Some(token), _) => format!("limit={PAGE}&continue={}", escaped(token)),
        (None, VersionMatch::Newest) => format!("limit={PAGE}"),
        (None, since) => format!("resourceVersion={}&resourceVersionMatch=NotOlderThan", version(since)),
    };
    format!("{}?{}{more}", path(resource), selector(resource, here))
}

/// A list as a watch sends it: each object is an event, and a bookmark ends it.
pub(crate) fn stream(resource: Resource, here: &str, since: &VersionMatch, most: Duration) -> String {
    let version = version(since);
    let watch = watching(most);
    format!(
        "{}?{}{watch}&sendInitialEvents=true&resourceVersion={version}&resourceVersionMatch=NotOlderThan",
        path(resource),
        selector(resource, here)
    )
}

pub(crate) fn watch(resource: Resource, here: &str, version: &str, most: Duration) -> String {
    let selector = selector(resource, here);
    format!("{}?{selector}{}&resourceVersion={}", path(resource), watching(most), escaped(version))
}

/// No object at all, but only of a server that has come to this version: any other refuses. One name in one
/// namespace is one look into what it has at hand.
pub(crate) fn probe(resource: Resource, version: &str) -> String {
    let path = match resource {
        Resource::Services => "/api/v1/namespaces/default/services",
        Resource::Nodes | Resource::Namespaces => path(resource),
        Resource::Pods => "/api/v1/namespaces/default/pods",
        Resource::Slices => "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        Resource::SlicesV1Beta1 => "/apis/discovery.k8s.io/v1beta1/namespaces/default/endpointslices",
    };
    let version = escaped(version);
    format!(
        "{path}?fieldSelector=metadata.name%3D-&resourceVersion={version}&resourceVersionMatch=NotOlderThan"
    )
}

pub(crate) const fn accept_list(kind: Kind) -> &'static str {
    match kind {
        Kind::Service | Kind::EndpointSlice => "application/json",
        Kind::Node | Kind::Pod | Kind::Namespace => {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json"
        }
    }
}

pub(crate) const fn accept_watch(kind: Kind) -> &'static str {
    match kind {
        Kind::Service | Kind::EndpointSlice => "application/json",
        Kind::Node | Kind::Pod | Kind::Namespace => {
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"
        }
    }
}

const fn path(resource: Resource) -> &'static str {
    match resource {
        Resource::Services => "/api/v1/services",
        Resource::Nodes => "/api/v1/nodes",
        Resource::Pods => "/api/v1/pods",
        Resource::Namespaces => "/api/v1/namespaces",
        Resource::Slices => "/apis/discovery.k8s.io/v1/endpointslices",
        Resource::SlicesV1Beta1 => "/apis/discovery.k8s.io/v1beta1/endpointslices",
    }
}

/// Slices of a headless Service count for none, whichever the source. Of pods it is those of the Node `here` that have
/// not ended: the others have no cgroup on it.
fn selector(resource: Resource, here: &str) -> String {
    match resource {
        Resource::Services | Resource::Nodes | Resource::Namespaces => String::new(),
        Resource::Slices | Resource::SlicesV1Beta1 => {
            "labelSelector=%21service.kubernetes.io%2Fheadless&".to_owned()
        }
        Resource::Pods => format!(
            "fieldSelector=spec.nodeName%3D{}%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&",
            escaped(here)
        ),
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
            assert_eq!(
                list(Resource::Services, "n1", &since, continued),
                format!("/api/v1/services?{expected}")
            );
        }
    }
    #[test]
    fn of_pods_those_of_one_node_that_have_not_ended_are_asked_for() {
        let of_n1 =
            "fieldSelector=spec.nodeName%3Dn1%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
        let second = Duration::from_secs(1);
        for path in [
            list(Resource::Pods, "n1", &VersionMatch::Any, None),
            stream(Resource::Pods, "n1", &VersionMatch::Any, second),
            watch(Resource::Pods, "n1", "7", second),
        ] {
            assert!(path.starts_with(&format!("/api/v1/pods?{of_n1}&")), "{path}");
        }
    }
}

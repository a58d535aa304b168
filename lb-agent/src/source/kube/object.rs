//! One object as an API server sends it: which one it is, and what it says. Pure.

use std::borrow::Cow;

use serde::{Deserialize, de::DeserializeOwned};

use crate::api::query::Resource;
use crate::convert::{self, Converted, Interner, Nameless, Unusable, Version, written};
use crate::model::{Kind, Object, ObjectName};

use super::head::{called, is_object};

/// What was sent is not JSON, or not an object of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotAnObject(String);

impl NotAnObject {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// What an object calls itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Named<'a> {
    #[serde(default, borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    api_version: Option<Cow<'a, str>>,
    #[serde(default)]
    metadata: NameAndVersion,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NameAndVersion {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
}

/// Which object it is, and its own version.
pub(super) struct Identity {
    pub(super) name: ObjectName,
    pub(super) version: Option<String>,
}

impl Identity {
    /// The version as a number, for versions are compared; `None` where it is none.
    pub(super) fn number(&self) -> Option<u64> {
        self.version.as_deref()?.parse().ok()
    }
}

impl<'a> Named<'a> {
    /// # Errors
    /// The text is not JSON, or not an object.
    pub(super) fn read(json: &'a [u8]) -> Result<Self, NotAnObject> {
        if !is_object(json) {
            return Err(NotAnObject("what was sent is not an object".to_owned()));
        }
        serde_json::from_slice(json).map_err(|error| NotAnObject(error.to_string()))
    }

    /// Whether it says that it is one of what was asked for; `None` where it does not say.
    pub(super) fn is_one_of(&self, resource: Resource) -> Option<bool> {
        let (kind, version) = (word(self.kind.as_ref()), word(self.api_version.as_ref()));
        match (kind, version) {
            (Some(kind), Some(version)) => Some(resource.is_object(kind, version)),
            (Some(kind), None) if kind != resource.kind().label() => Some(false),
            (None, Some(version)) if version != resource.api_version() => Some(false),
            (_, None) | (None, _) => None,
        }
    }

    pub(super) fn other_than(&self, resource: Resource) -> NotAnObject {
        let came = called(word(self.kind.as_ref()), word(self.api_version.as_ref()));
        let (kind, version) = (resource.kind().label(), resource.api_version());
        NotAnObject(format!("{came} instead of the {kind} of {version}"))
    }

    /// # Errors
    /// The object has no name.
    pub(super) fn identity(self, resource: Resource, names: &mut Interner) -> Result<Identity, NotAnObject> {
        let (kind, metadata) = (resource.kind(), self.metadata);
        let Some(name) = metadata.name.filter(|name| !name.is_empty()) else {
            return Err(NotAnObject(Nameless { kind }.to_string()));
        };
        let namespace = match kind {
            Kind::Node | Kind::Namespace => "",
            Kind::Service | Kind::EndpointSlice | Kind::Pod => {
                metadata.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or("default")
            }
        };
        let name = ObjectName { namespace: names.share(namespace), name: names.share(&name) };
        Ok(Identity { name, version: metadata.resource_version.filter(|version| !version.is_empty()) })
    }
}

fn word<'a>(word: Option<&'a Cow<'_, str>>) -> Option<&'a str> {
    word.map(|word| &**word).filter(|word| !word.is_empty())
}

/// What the object says, in our words.
///
/// # Errors
/// It does not fit its kind.
pub(super) fn read(
    resource: Resource,
    json: &[u8],
    names: &mut Interner,
) -> Result<Converted<Object>, String> {
    let slice = |version, names: &mut Interner| {
        typed(json, |read| convert::slice(read, version, names), Object::Slice)
    };
    match resource {
        Resource::Services => typed(json, |read| convert::service(read, names), Object::Service),
        Resource::Slices => slice(Version::V1, names),
        Resource::SlicesV1Beta1 => slice(Version::V1beta1, names),
        Resource::Nodes => {
            typed::<written::Node, _, _>(json, |read| convert::node(read, names), Object::Node)
        }
        Resource::Pods => typed(json, |read| convert::pod(read, names), Object::Pod),
        Resource::Namespaces => typed(json, |read| convert::namespace(read, names), Object::Namespace),
    }
}

fn typed<K: DeserializeOwned, T, E: Into<Unusable>>(
    json: &[u8],
    convert: impl FnOnce(&K) -> Result<Converted<T>, E>,
    wrap: impl FnOnce(T) -> Object,
) -> Result<Converted<Object>, String> {
    let mut from = serde_json::Deserializer::from_slice(json);
    let read: K = serde_path_to_error::deserialize(&mut from)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    let Converted { object, problems } = convert(&read).map_err(|why| why.into().to_string())?;
    Ok(Converted { object: wrap(object), problems })
}

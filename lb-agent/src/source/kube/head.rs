//! Which list it is that was sent, by what stands around its items. Pure.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::api::query::Resource;

/// What was sent is not the list that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTheList {
    #[error("{came} instead of the {} of {}", resource.list_kind(), resource.api_version())]
    OfAnotherKind { came: String, resource: Resource },
    #[error("{} {} without items", article(resource.list_kind()), resource.list_kind())]
    NoItems { resource: Resource },
    #[error("what was sent is not a list of objects")]
    NotAnObject,
    #[error("the head of a list: {0}")]
    Unreadable(String),
}

/// How it is known that an item is one of those that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The list names its kind, so that an item need not.
    ByList,
    /// Each item has to name itself.
    ByItem,
    /// The list has not named its kind yet, and may never do so.
    Unsettled,
}

/// A list, or a part of one, that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListEnd {
    pub(super) naming: Naming,
    /// `None` where it has no version, or version 0, which says nothing.
    pub(super) version: Option<String>,
    /// Where the next part goes on.
    pub(super) continued: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    /// A list of nothing, since the items were taken out, or null.
    #[serde(default, deserialize_with = "are_there")]
    items: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    continued: Option<String>,
}

/// By what stands before the first item. Kind and version may stand behind the last one, in either order: half of
/// a name settles nothing unless no list of these objects is called so.
///
/// # Errors
/// It is the list of another kind.
pub(super) fn naming(before: &[u8], resource: Resource) -> Result<Naming, NotTheList> {
    let head = read(&[before, b"]}"].concat())?;
    let half = match (given(head.kind.as_ref()), given(head.api_version.as_ref())) {
        (Some("List"), None) => true,
        (Some(kind), None) => resource.list_names().any(|(name, _)| name == kind),
        (None, Some(version)) => version == "v1" || resource.list_names().any(|(_, name)| name == version),
        (Some(_), Some(_)) | (None, None) => false,
    };
    if half { Ok(Naming::Unsettled) } else { head.naming(resource) }
}

/// By all that stands around the items.
///
/// # Errors
/// It is the list of another kind, or none.
pub(super) fn end(around: &[u8], resource: Resource) -> Result<ListEnd, NotTheList> {
    let head = read(around)?;
    let naming = head.naming(resource)?;
    if !head.items {
        return Err(NotTheList::NoItems { resource });
    }
    let Metadata { resource_version, continued } = head.metadata.unwrap_or_default();
    Ok(ListEnd {
        naming,
        version: resource_version.filter(|version| says_something(version)),
        continued: continued.filter(|token| !token.is_empty()),
    })
}

/// Whether this is the version of a state: 0 stands for any.
pub(super) fn says_something(version: &str) -> bool {
    !matches!(version, "" | "0")
}

impl Head {
    fn naming(&self, resource: Resource) -> Result<Naming, NotTheList> {
        let (kind, api_version) = (given(self.kind.as_ref()), given(self.api_version.as_ref()));
        match (kind, api_version) {
            (Some("List"), None | Some("v1")) => return Ok(Naming::ByItem),
            (Some(kind), Some(version)) if resource.is_list(kind, version) => return Ok(Naming::ByList),
            (None, None) => return Ok(Naming::Unsettled),
            (Some(kind), None) if kind == resource.list_kind() => return Ok(Naming::Unsettled),
            (None, Some(version)) if version == resource.api_version() => return Ok(Naming::Unsettled),
            _ => {}
        }
        Err(NotTheList::OfAnotherKind { came: called(kind, api_version), resource })
    }
}

/// What something is called that is not what was asked for.
pub(super) fn called(kind: Option<&str>, api_version: Option<&str>) -> String {
    match (kind, api_version) {
        (Some(kind), Some(version)) => format!("{} {kind} of {version}", article(kind)),
        (Some(kind), None) => format!("{} {kind} of no apiVersion", article(kind)),
        (None, Some(version)) => format!("something of {version}"),
        (None, None) => "something without a kind".to_owned(),
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" }
}

pub(super) fn given(word: Option<&String>) -> Option<&str> {
    word.map(String::as_str).filter(|word| !word.is_empty())
}

fn read(head: &[u8]) -> Result<Head, NotTheList> {
    if !is_object(head) {
        return Err(NotTheList::NotAnObject);
    }
    serde_json::from_slice(head).map_err(|error| NotTheList::Unreadable(error.to_string()))
}

/// Whether this JSON text is an object. Where one is expected, a list of what its fields hold could pass for it.
pub(super) fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

fn are_there<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let items: Option<Vec<IgnoredAny>> = Option::deserialize(from)?;
    if items.is_some_and(|items| !items.is_empty()) {
        return Err(serde::de::Error::custom("items are not where they are looked for"));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICES: Resource = Resource::Services;
    const NODES: Resource = Resource::Nodes;
    const SLICES: Resource = Resource::Slices;
    const BETA: Resource = Resource::SlicesV1Beta1;

    fn words(ended: Result<ListEnd, NotTheList>) -> String {
        match ended {
            Err(why) => why.to_string(),
            Ok(ListEnd { naming, version, continued }) => {
                let version = version.unwrap_or_else(|| "no version".to_owned());
                let more = continued.map(|token| format!(", then {token}")).unwrap_or_default();
                format!("{naming:?} at {version}{more}")
            }
        }
    }

    /// What it shows, what was asked for, what stands around the items, and how it is read.
    const LISTS: &[(&str, Resource, &str, &str)] = &[
        (
            "its own kind",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "ByList at 7",
        ),
        (
            "null is a list of nothing",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":null}"#,
            "ByList at 7",
        ),
        (
            "a part",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"t"},"items":[]}"#,
            "ByList at 7, then t",
        ),
        (
            "the last part",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":""},"items":[]}"#,
            "ByList at 7",
        ),
        (
            "no items",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"7"}}"#,
            "a ServiceList without items",
        ),
        (
            "a list of anything",
            SERVICES,
            r#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "ByItem at 7",
        ),
        (
            "a list of anything, in another group",
            SERVICES,
            r#"{"kind":"List","apiVersion":"x.io/v1","items":[]}"#,
            "a List of x.io/v1 instead of the ServiceList of v1",
        ),
        (
            "another kind",
            SERVICES,
            r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "a PodList of v1 instead of the ServiceList of v1",
        ),
        (
            "the same word in another group",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"serving.knative.dev/v1","items":[]}"#,
            "a ServiceList of serving.knative.dev/v1 instead of the ServiceList of v1",
        ),
        (
            "a table",
            SERVICES,
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"rows":[]}"#,
            "a Table of meta.k8s.io/v1 instead of the ServiceList of v1",
        ),
        (
            "a refusal",
            SERVICES,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":500}"#,
            "a Status of v1 instead of the ServiceList of v1",
        ),
        (
            "one object",
            SERVICES,
            r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"7"}}"#,
            "a Service of v1 instead of the ServiceList of v1",
        ),
        (
            "metadata alone, of what has a spec",
            SERVICES,
            r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","items":[]}"#,
            "a PartialObjectMetadataList of meta.k8s.io/v1 instead of the ServiceList of v1",
        ),
        (
            "metadata alone, of Nodes",
            NODES,
            r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "ByList at 7",
        ),
        (
            "its version of before",
            NODES,
            r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1beta1","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "ByList at 7",
        ),
        (
            "whole Nodes",
            NODES,
            r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "ByList at 7",
        ),
        (
            "slices",
            SLICES,
            r#"{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "ByList at 7",
        ),
        (
            "slices of another version than was asked for",
            SLICES,
            r#"{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1beta1","items":[]}"#,
            "an EndpointSliceList of discovery.k8s.io/v1beta1 instead of the EndpointSliceList of discovery.k8s.io/v1",
        ),
        (
            "slices of the older version",
            BETA,
            r#"{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1beta1","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "ByList at 7",
        ),
        ("no kind", SERVICES, r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#, "Unsettled at 7"),
        (
            "half a kind",
            SERVICES,
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":[]}"#,
            "Unsettled at 7",
        ),
        (
            "half of another kind",
            SERVICES,
            r#"{"kind":"PodList","items":[]}"#,
            "a PodList of no apiVersion instead of the ServiceList of v1",
        ),
        (
            "a kind that is null",
            SERVICES,
            r#"{"kind":null,"apiVersion":null,"metadata":null,"items":[]}"#,
            "Unsettled at no version",
        ),
        (
            "no metadata",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","items":[]}"#,
            "ByList at no version",
        ),
        (
            "an empty version",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":""},"items":[]}"#,
            "ByList at no version",
        ),
        (
            "version 0",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"0"},"items":[]}"#,
            "ByList at no version",
        ),
        (
            "what the fields hold, without their names",
            SERVICES,
            r#"["ServiceList","v1",{"resourceVersion":"7"},[]]"#,
            "what was sent is not a list of objects",
        ),
        ("nothing", SERVICES, "{}", "a ServiceList without items"),
        (
            "items under a name that is written in another way",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","it\u0065ms":[{}]}"#,
            "the head of a list: items are not where they are looked for at line 1 column 58",
        ),
        (
            "items that are no list",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","items":5}"#,
            "the head of a list: invalid type: integer `5`, expected a sequence at line 1 column 49",
        ),
        (
            "items twice",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","items":[],"items":[]}"#,
            "the head of a list: duplicate field `items` at line 1 column 58",
        ),
        (
            "two lists one after another",
            SERVICES,
            r#"{"kind":"ServiceList","apiVersion":"v1","items":[]}{"items":[]}"#,
            "the head of a list: trailing characters at line 1 column 52",
        ),
    ];

    #[test]
    fn only_a_list_of_what_was_asked_for_is_one() {
        for (shows, resource, around, expected) in LISTS {
            assert_eq!(words(end(around.as_bytes(), *resource)), *expected, "{shows}");
        }
    }

    #[test]
    fn what_stands_before_the_items_may_settle_what_they_are() {
        for (before, expected) in [
            (r#"{"kind":"ServiceList","apiVersion":"v1","items":["#, Ok(Naming::ByList)),
            (r#"{"apiVersion":"v1","items":["#, Ok(Naming::Unsettled)),
            (r#"{"items":["#, Ok(Naming::Unsettled)),
            (r#"{"kind":"List","apiVersion":"v1","items":["#, Ok(Naming::ByItem)),
        ] {
            assert_eq!(naming(before.as_bytes(), SERVICES), expected, "{before}");
        }
        for (resource, before, is_open) in [
            (SERVICES, r#"{"kind":"PodList","apiVersion":"v1","items":["#, false),
            (SERVICES, r#"{"kind":"PodList","items":["#, false),
            (SERVICES, r#"{"apiVersion":"meta.k8s.io/v1","items":["#, false),
            (NODES, r#"{"apiVersion":"meta.k8s.io/v1","items":["#, true),
            (NODES, r#"{"kind":"PartialObjectMetadataList","items":["#, true),
            (SLICES, r#"{"apiVersion":"v1","items":["#, true),
            (SLICES, r#"{"kind":"List","items":["#, true),
        ] {
            assert_eq!(naming(before.as_bytes(), resource).is_ok(), is_open, "{before}");
        }
    }
}

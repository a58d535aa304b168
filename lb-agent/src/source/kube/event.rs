//! One line of a watch. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::Status;
use crate::api::query::Resource;

use super::head::{called, given, says_something};

/// What a line says, with the object as it is written.
pub(super) enum Event<'a> {
    /// The object is new to the watch.
    Added(&'a [u8]),
    /// The object is new or has changed.
    Applied(&'a [u8]),
    Deleted(&'a [u8]),
    /// Everything up to `version` has been sent; `None` where it says nothing.
    Bookmark {
        version: Option<String>,
        ends_list: bool,
    },
    /// Nothing more will come.
    Error(Status),
}

/// The line is not an event.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAnEvent {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("an event of type {0:?}")]
    Type(String),
    #[error("a bookmark of {0}")]
    Bookmark(String),
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bookmark {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    resource_version: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

/// The bookmark that ends the list which a watch sends carries it.
const LIST_ENDS: &str = "k8s.io/initial-events-end";

impl<'a> Event<'a> {
    /// # Errors
    /// The line is no event, or a bookmark of another kind of objects.
    pub(super) fn read(line: &'a [u8], resource: Resource) -> Result<Self, NotAnEvent> {
        let Line { kind, object } = serde_json::from_slice(line)?;
        let json = object.get().as_bytes();
        Ok(match kind {
            "ADDED" => Self::Added(json),
            "MODIFIED" => Self::Applied(json),
            "DELETED" => Self::Deleted(json),
            "BOOKMARK" => Self::bookmark(&serde_json::from_slice(json)?, resource)?,
            "ERROR" => Self::Error(serde_json::from_slice(json)?),
            other => return Err(NotAnEvent::Type(other.to_owned())),
        })
    }

    fn bookmark(read: &Bookmark, resource: Resource) -> Result<Self, NotAnEvent> {
        let (kind, api_version) = (given(read.kind.as_ref()), given(read.api_version.as_ref()));
        if !resource.is_object(kind.unwrap_or_default(), api_version.unwrap_or_default()) {
            return Err(NotAnEvent::Bookmark(called(kind, api_version)));
        }
        let Some(metadata) = &read.metadata else {
            return Ok(Self::Bookmark { version: None, ends_list: false });
        };
        let version = metadata.resource_version.clone().filter(|version| says_something(version));
        let ends_list = metadata.annotations.as_ref().is_some_and(|known| known.contains_key(LIST_ENDS));
        Ok(Self::Bookmark { version, ends_list })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_event_or_none() {
        for (line, expected) in [
            (r#"{"type":"ADDED","object":{"a":1}}"#, r#"added {"a":1}"#),
            (r#"{"type":"MODIFIED","object":{}}"#, "applied {}"),
            (r#"{"type":"DELETED","object":{}}"#, "deleted {}"),
            (
                r#"{"type":"BOOKMARK","object":{"kind":"Node","apiVersion":"v1","metadata":{"resourceVersion":"7"}}}"#,
                "bookmark 7",
            ),
            (
                r#"{"type":"BOOKMARK","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
                "bookmark 7, ends the list",
            ),
            (
                r#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7"}}}"#,
                "a bookmark of a Pod of v1",
            ),
            (
                r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}"#,
                "a bookmark of something without a kind",
            ),
            (r#"{"type":"ERROR","object":{"code":410}}"#, "error"),
            (
                r#"{"type":"BOOKMARK","object":{"kind":"Node","apiVersion":"v1","metadata":{"resourceVersion":""}}}"#,
                "bookmark nothing",
            ),
            (r#"{"type":"BOOKMARK","object":{"kind":"Node","apiVersion":"v1"}}"#, "bookmark nothing"),
            (r#"{"type":"LATER","object":{}}"#, "an event of type \"LATER\""),
            ("<html>", "expected value at line 1 column 1"),
        ] {
            let found = match Event::read(line.as_bytes(), Resource::Nodes) {
                Ok(Event::Added(json)) => format!("added {}", String::from_utf8_lossy(json)),
                Ok(Event::Applied(json)) => format!("applied {}", String::from_utf8_lossy(json)),
                Ok(Event::Deleted(json)) => format!("deleted {}", String::from_utf8_lossy(json)),
                Ok(Event::Bookmark { version, ends_list }) => {
                    let ends = if ends_list { ", ends the list" } else { "" };
                    format!("bookmark {}{ends}", version.as_deref().unwrap_or("nothing"))
                }
                Ok(Event::Error(_)) => "error".to_owned(),
                Err(wrong) => wrong.to_string(),
            };
            assert_eq!(found, expected, "{line}");
        }
    }
}

//! One line of a watch. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::Status;

/// What a line says, with the object as it is written.
pub(super) enum Event<'a> {
    /// The object is new or has changed.
    Applied(&'a [u8]),
    Deleted(&'a [u8]),
    /// Everything up to `version` has been sent.
    Bookmark {
        version: String,
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
    #[error("a bookmark without a version")]
    NoVersion,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// The bookmark that ends the list which a watch sends carries it.
const LIST_ENDS: &str = "k8s.io/initial-events-end";

impl<'a> Event<'a> {
    pub(super) fn read(line: &'a [u8]) -> Result<Self, NotAnEvent> {
        let Line { kind, object } = serde_json::from_slice(line)?;
        let json = object.get().as_bytes();
        Ok(match kind {
            "ADDED" | "MODIFIED" => Self::Applied(json),
            "DELETED" => Self::Deleted(json),
            "BOOKMARK" => {
                let Bookmark { metadata: Metadata { resource_version: version, annotations } } =
                    serde_json::from_slice(json)?;
                if version.is_empty() {
                    return Err(NotAnEvent::NoVersion);
                }
                let ends_list = annotations.is_some_and(|known| known.contains_key(LIST_ENDS));
                Self::Bookmark { version, ends_list }
            }
            "ERROR" => Self::Error(serde_json::from_slice(json)?),
            other => return Err(NotAnEvent::Type(other.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_event_or_none() {
        for (line, expected) in [
            (r#"{"type":"ADDED","object":{"a":1}}"#, r#"applied {"a":1}"#),
            (r#"{"type":"MODIFIED","object":{}}"#, "applied {}"),
            (r#"{"type":"DELETED","object":{}}"#, "deleted {}"),
            (r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}"#, "bookmark 7 false"),
            (
                r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
                "bookmark 7 true",
            ),
            (r#"{"type":"ERROR","object":{"code":410}}"#, "error"),
            (
                r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":""}}}"#,
                "a bookmark without a version",
            ),
            (r#"{"type":"LATER","object":{}}"#, "an event of type \"LATER\""),
            ("<html>", "expected value at line 1 column 1"),
        ] {
            let found = match Event::read(line.as_bytes()) {
                Ok(Event::Applied(json)) => format!("applied {}", String::from_utf8_lossy(json)),
                Ok(Event::Deleted(json)) => format!("deleted {}", String::from_utf8_lossy(json)),
                Ok(Event::Bookmark { version, ends_list }) => format!("bookmark {version} {ends_list}"),
                Ok(Event::Error(_)) => "error".to_owned(),
                Err(wrong) => wrong.to_string(),
            };
            assert_eq!(found, expected, "{line}");
        }
    }
}

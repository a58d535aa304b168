//! Lists, each object taken in while the rest is still to come.

use std::time::Duration;

use serde::Deserialize;

use crate::model::Kind;

use super::split::{NotAList, Splitter};
use super::tracker::{NotAnObject, Tracker};
use crate::api::query::{self, VersionMatch};
use crate::api::{ApiClient, RequestError, Response};

/// A list, or a part of one, while it arrives.
pub(super) struct Page {
    response: Response,
    splitter: Splitter,
}

/// What stands around the items.
#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) resource_version: String,
    /// Where the next part goes on.
    #[serde(default, rename = "continue")]
    pub(super) continued: Option<String>,
}

impl From<NotAList> for RequestError {
    fn from(wrong: NotAList) -> Self {
        Self::Garbage(wrong.to_string())
    }
}

impl From<NotAnObject> for RequestError {
    fn from(wrong: NotAnObject) -> Self {
        Self::Garbage(wrong.to_string())
    }
}

impl Page {
    pub(super) async fn ask(
        client: &ApiClient,
        kind: Kind,
        since: &VersionMatch,
        continued: Option<&str>,
        patience: Duration,
    ) -> Result<Self, RequestError> {
        let path = query::list(kind, since, continued);
        let response = client.get(&path, query::accept_list(kind), patience).await?;
        Ok(Self { response, splitter: Splitter::default() })
    }

    /// Takes in what comes next. Returns whether there was anything.
    pub(super) async fn more(&mut self, tracker: &mut Tracker) -> Result<bool, RequestError> {
        let Some(bytes) = self.response.next().await? else { return Ok(false) };
        self.splitter.feed(&bytes, |item| -> Result<(), RequestError> {
            tracker.apply(item)?;
            Ok(())
        })?;
        Ok(true)
    }

    /// What stands around the items of a whole list; half a list counts as failed.
    pub(super) fn end(self) -> Result<Metadata, RequestError> {
        let head = self.splitter.finish().map_err(|_half| RequestError::Ended)?;
        let Head { mut metadata } =
            serde_json::from_slice(&head).map_err(|error| RequestError::Garbage(error.to_string()))?;
        metadata.continued = metadata.continued.filter(|token| !token.is_empty());
        if metadata.resource_version.is_empty() && metadata.continued.is_none() {
            return Err(RequestError::Garbage("a list without a resource version".to_owned()));
        }
        Ok(metadata)
    }
}

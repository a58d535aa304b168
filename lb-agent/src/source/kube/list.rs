//! Lists, each object taken in while the rest is still to come.

use std::collections::HashSet;
use std::time::Duration;

use super::head::{self, ListEnd, Naming, NotTheList};
use super::object::NotAnObject;
use super::split::{NotAList, Splitter};
use super::tracker::Tracker;
use crate::api::query::{self, Resource, VersionMatch};
use crate::api::{ApiClient, RequestError, Response};

/// A list, or a part of one, while it arrives.
pub(super) struct Page {
    resource: Resource,
    response: Response,
    splitter: Splitter,
    naming: Option<Naming>,
}

impl From<NotAList> for RequestError {
    fn from(wrong: NotAList) -> Self {
        Self::Garbage(wrong.to_string())
    }
}

impl From<NotTheList> for RequestError {
    fn from(wrong: NotTheList) -> Self {
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
        resource: Resource,
        here: &str,
        since: &VersionMatch,
        continued: Option<&str>,
        patience: Duration,
    ) -> Result<Self, RequestError> {
        let path = query::list(resource, here, since, continued);
        let response = client.get(&path, query::accept_list(resource.kind()), patience).await?;
        Ok(Self { resource, response, splitter: Splitter::default(), naming: None })
    }

    /// Takes in what comes next. Returns whether there was anything.
    pub(super) async fn more(&mut self, tracker: &mut Tracker) -> Result<bool, RequestError> {
        let Some(bytes) = self.response.next().await? else { return Ok(false) };
        let Self { resource, splitter, naming, .. } = self;
        splitter.feed(&bytes, |before, item| -> Result<(), RequestError> {
            let naming = match naming {
                Some(naming) => *naming,
                None => *naming.insert(head::naming(before, *resource)?),
            };
            Ok(tracker.item(item, naming)?)
        })?;
        Ok(true)
    }

    /// What stands around the items of a whole list; half a list counts as failed.
    pub(super) fn end(self, tracker: &mut Tracker) -> Result<ListEnd, RequestError> {
        let around = self.splitter.finish().map_err(|_half| RequestError::Ended)?;
        let ended = head::end(&around, self.resource)?;
        tracker.settle(ended.naming)?;
        Ok(ended)
    }
}

/// The parts of one list, put together. Pure.
#[derive(Debug, Default)]
pub(super) struct Parts {
    tokens: HashSet<String>,
    versions: HashSet<Option<String>>,
    are_named: Option<Naming>,
}

/// A whole list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// What its version is, where it has one that counts for all of it.
    pub(super) version: Option<String>,
    /// It says that it is a list of what was asked for.
    pub(super) is_named: bool,
}

impl Whole {
    /// Where the list is at least as new as this: a server may not keep its version up.
    pub(super) fn newest(&self, of_items: u64) -> Option<String> {
        let version = self.version.as_ref().filter(|_| self.is_named)?;
        let is_older = version.parse().is_ok_and(|version: u64| version < of_items);
        Some(if is_older { of_items.to_string() } else { version.clone() })
    }
}

/// What a list that has a part more goes on with, or all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Part(String),
    End(Whole),
}

/// A list of 500 objects a part has no more parts, however large the cluster.
const MOST_PARTS: usize = 10_000;

impl Parts {
    /// One part more has come.
    ///
    /// # Errors
    /// The list would never end.
    pub(super) fn add(&mut self, part: ListEnd) -> Result<Next, RequestError> {
        self.versions.insert(part.version);
        if part.naming == Naming::Unsettled || self.are_named.is_none() {
            self.are_named = Some(part.naming);
        }
        let Some(token) = part.continued else {
            let version =
                if self.versions.len() == 1 { self.versions.drain().next().flatten() } else { None };
            return Ok(Next::End(Whole { version, is_named: self.are_named != Some(Naming::Unsettled) }));
        };
        if !self.tokens.insert(token.clone()) {
            return Err(RequestError::Garbage("a list that goes on where it went on before".to_owned()));
        }
        if self.tokens.len() >= MOST_PARTS {
            return Err(RequestError::Garbage(format!("a list of more than {MOST_PARTS} parts")));
        }
        Ok(Next::Part(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(version: &str, continued: Option<&str>, naming: Naming) -> ListEnd {
        let version = Some(version.to_owned()).filter(|version| !version.is_empty());
        ListEnd { naming, version, continued: continued.map(str::to_owned) }
    }

    #[test]
    fn parts_make_one_list_and_none_that_never_ends() {
        use Naming::{ByItem, ByList, Unsettled};
        for (shows, parts, expected) in [
            ("one part", vec![part("7", None, ByList)], "7, named"),
            ("two", vec![part("7", Some("a"), ByList), part("7", None, ByList)], "7, named"),
            (
                "of two versions: which holds is not known",
                vec![part("7", Some("a"), ByList), part("8", None, ByList)],
                "no version, named",
            ),
            (
                "one without a version",
                vec![part("7", Some("a"), ByList), part("", None, ByList)],
                "no version, named",
            ),
            (
                "one that does not say what it is",
                vec![part("7", Some("a"), Unsettled), part("7", None, ByItem)],
                "7, not named",
            ),
            (
                "the other way round",
                vec![part("7", Some("a"), ByItem), part("7", None, Unsettled)],
                "7, not named",
            ),
            ("more to come", vec![part("7", Some("a"), ByList)], "then a"),
            (
                "a token again",
                vec![
                    part("7", Some("a"), ByList),
                    part("7", Some("b"), ByList),
                    part("7", Some("a"), ByList),
                ],
                "sent something that is not understood: a list that goes on where it went on before",
            ),
            (
                "without end",
                (0..MOST_PARTS).map(|number| part("7", Some(&number.to_string()), ByList)).collect(),
                "sent something that is not understood: a list of more than 10000 parts",
            ),
        ] {
            let mut all = Parts::default();
            let mut last = String::new();
            for part in parts {
                last = match all.add(part) {
                    Err(why) => why.to_string(),
                    Ok(Next::Part(token)) => format!("then {token}"),
                    Ok(Next::End(Whole { version, is_named })) => {
                        let named = if is_named { "named" } else { "not named" };
                        format!("{}, {named}", version.as_deref().unwrap_or("no version"))
                    }
                };
            }
            assert_eq!(last, expected, "{shows}");
        }
    }
}

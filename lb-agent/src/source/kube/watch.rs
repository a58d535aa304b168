//! One kind of objects, followed for ever: a list, then watches from where it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::model::Kind;

use super::list::Page;
use super::sink::{ChangeSink, Closed, Timing};
use super::tracker::Tracker;
use crate::api::query::{self, VersionMatch};
use crate::api::{ApiClient, RequestError, Response, Status};
use crate::api::{Backoff, jitter};

/// How many changes are handed in together, at most.
const TOGETHER: usize = 256;
/// A list that a watch tells may take this long.
const LONG: Duration = Duration::from_secs(600);
/// No event is longer.
const LONGEST: usize = 8 << 20;
/// A watch that ends sooner, having told nothing, is none.
const SHORT: Duration = Duration::from_millis(500);
/// Whole seconds are asked for, and a server's seconds may be shorter.
const MARGIN: Duration = Duration::from_secs(2);

pub(super) struct Watch {
    kind: Kind,
    link: ApiClient,
    timing: Timing,
    desk: Arc<ChangeSink>,
    track: Tracker,
    backoff: Backoff,
    /// From where the next watch goes on; `None` where everything has to be told again.
    version: Option<String>,
    since: VersionMatch,
    /// Whether the API server may be asked to tell its list by a watch.
    streams: bool,
    /// The last thing that arrived could not be understood.
    garbled: bool,
    /// Whoever answers now may be another server than the one that told the version.
    doubtful: bool,
    /// The last watch ended as soon as it had begun.
    was_short: bool,
    /// The credentials could not be read again, and that was said.
    is_stale: bool,
}

/// Why a round is over.
enum Over {
    RequestError(RequestError),
    Closed,
}

impl From<RequestError> for Over {
    fn from(trouble: RequestError) -> Self {
        Self::RequestError(trouble)
    }
}

impl From<Closed> for Over {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// A line of a watch.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: String,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// What ends a list that a watch tells.
const LIST_ENDS: &str = "k8s.io/initial-events-end";

impl Watch {
    pub(super) fn new(kind: Kind, link: ApiClient, timing: Timing, desk: Arc<ChangeSink>) -> Self {
        Self {
            kind,
            link,
            timing,
            desk,
            track: Tracker::new(kind),
            backoff: Backoff::default(),
            version: None,
            since: VersionMatch::Any,
            streams: true,
            garbled: false,
            doubtful: false,
            was_short: false,
            is_stale: false,
        }
    }

    /// Goes on until nobody listens.
    pub(super) async fn run(mut self) {
        loop {
            let trouble = match self.round().await {
                Ok(()) => continue,
                Err(Over::Closed) => return,
                Err(Over::RequestError(trouble)) => trouble,
            };
            if self.learn(&trouble) {
                continue;
            }
            if self.desk.trouble(self.kind, &trouble, self.track.is_synced()).is_err() {
                return;
            }
            self.doubtful = true;
            tokio::time::sleep(self.backoff.after(&trouble)).await;
            if trouble.asks_for_new_credentials() {
                self.renew().await;
            }
        }
    }

    /// Once a second while the link is dead: what is wrong is said once.
    async fn renew(&mut self) {
        let was_stale = std::mem::take(&mut self.is_stale);
        if let Err(error) = self.link.renew().await {
            self.is_stale = true;
            if !was_stale {
                let kind = self.kind.label();
                tracing::warn!(kind, %error, "could not read the credentials again; the last ones are used");
            }
        }
    }

    /// One list, or one watch to its end.
    async fn round(&mut self) -> Result<(), Over> {
        match (self.version.clone(), self.streams) {
            (Some(version), _) => self.watch(&version).await,
            (None, true) => self.stream().await,
            (None, false) => self.list().await,
        }
    }

    /// What is to be done differently after this trouble; answers whether that is all there is
    /// to it.
    ///
    /// 1. A version that the server does not know any more: everything again, no older than
    ///    that. A version that it does not know yet, even for a list, is another server's.
    /// 2. A list that a watch cannot tell is asked for as such from then on, whatever the server
    ///    has against it, unless it is only busy or does not know us.
    /// 3. So is one that a watch promises and does not tell, as YurtHub's while it is cut off.
    /// 4. What was not understood twice at the same place is left behind.
    fn learn(&mut self, trouble: &RequestError) -> bool {
        let is_garbage = matches!(trouble, RequestError::Garbage(_));
        let is_silent = matches!(trouble, RequestError::Silent { .. });
        let again = std::mem::replace(&mut self.garbled, is_garbage) && is_garbage;
        match (&self.version, trouble.code()) {
            (_, Some(401 | 429 | 500 | 502 | 503)) | (Some(_), Some(403)) => {}
            (Some(version), Some(410)) => self.forget(VersionMatch::NotOlderThan(version.clone())),
            (Some(_), Some(_)) => self.forget(VersionMatch::Newest),
            (Some(version), None) if again => self.forget(VersionMatch::NotOlderThan(version.clone())),
            (None, Some(410 | 504)) if self.since != VersionMatch::Newest => {
                self.forget(VersionMatch::Newest)
            }
            (None, Some(_)) if self.streams => return self.stream_no_more(),
            (None, None) if self.streams && (again || is_silent) => return self.stream_no_more(),
            (None, Some(400)) => self.forget(VersionMatch::Newest),
            (_, Some(_)) | (_, None) => {}
        }
        false
    }

    fn stream_no_more(&mut self) -> bool {
        tracing::debug!(
            kind = self.kind.label(),
            "the API server tells no lists by watches; plain ones are asked for"
        );
        self.streams = false;
        true
    }

    /// Whatever trouble there was, a server that speaks of versions is over it.
    fn forget(&mut self, since: VersionMatch) {
        self.backoff.reset();
        self.version = None;
        self.since = since;
    }

    /// Asks for everything, and hands it in while it arrives.
    async fn list(&mut self) -> Result<(), Over> {
        self.track.begin();
        let (kind, patience) = (self.kind, self.timing.silence);
        let mut continued: Option<String> = None;
        loop {
            let mut page = Page::ask(&self.link, kind, &self.since, continued.as_deref(), patience).await?;
            while page.more(&mut self.track).await? {
                self.hand_in(TOGETHER).await?;
            }
            let metadata = page.end()?;
            continued = metadata.continued;
            if continued.is_none() {
                self.track.end();
                self.progress(metadata.resource_version);
                self.hand_in(0).await?;
                return Ok(());
            }
        }
    }

    /// Asks for a watch that tells everything first, and leaves it then: it may take as long as
    /// it needs, and would be silent for longer than a link may be. A server that does so begins
    /// at once.
    async fn stream(&mut self) -> Result<(), Over> {
        let path = query::stream(self.kind, &self.since, LONG);
        let patience = self.timing.silence / 5;
        let answer = self.link.get(&path, query::accept_watch(self.kind), patience).await?;
        self.track.begin();
        self.read(answer).await?;
        // The server may not know what was asked for, and tell changes alone.
        if self.version.is_none() { Err(RequestError::Ended.into()) } else { Ok(()) }
    }

    async fn watch(&mut self, version: &str) -> Result<(), Over> {
        let most = self.timing.watch - jitter(self.timing.watch / 10);
        let path = query::watch(self.kind, version, most);
        let answer = self.link.get(&path, query::accept_watch(self.kind), self.timing.silence).await?;
        if !self.was_short {
            self.desk.in_sync(self.kind, &self.link)?;
        }
        let start = Instant::now();
        let told = self.read(answer).await?;
        let took = start.elapsed();
        self.was_short = !told && took < SHORT;
        if self.was_short {
            return Err(RequestError::Ended.into());
        }
        // Not by whoever was asked to end it.
        self.doubtful |= took + MARGIN < most;
        if !told && self.doubtful {
            self.doubt(version).await?;
        }
        self.doubtful = false;
        Ok(())
    }

    /// An API server that has not come to a version yet (etcd was restored, or made anew) refuses no watch from
    /// there: it tells nothing until it has. One that tells nothing after trouble is asked whether it knows it.
    async fn doubt(&self, version: &str) -> Result<(), Over> {
        let path = query::probe(self.kind, version);
        match self.link.get(&path, query::accept_list(self.kind), self.timing.silence).await {
            Err(trouble) if trouble.is_of_the_link() || trouble.code() == Some(504) => Err(trouble.into()),
            // Whatever else it has against the question is no answer to it.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Reads events until the watch or the list that it tells ends, and answers whether there
    /// were any.
    async fn read(&mut self, mut answer: Response) -> Result<bool, Over> {
        let mut line = Vec::new();
        let mut told = false;
        while let Some(bytes) = self.next(&mut answer).await? {
            let mut rest = &bytes[..];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                line.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                let done = self.event(&line);
                line.clear();
                if done.is_err() {
                    self.hand_in(0).await?;
                }
                if done? {
                    self.hand_in(0).await?;
                    self.desk.in_sync(self.kind, &self.link)?;
                    return Ok(true);
                }
                told = true;
                self.hand_in(TOGETHER).await?;
            }
            line.extend_from_slice(rest);
            if line.len() > LONGEST {
                return Err(RequestError::Garbage("an event without an end".to_owned()).into());
            }
            if !self.track.is_listing() {
                self.hand_in(0).await?;
            }
        }
        if line.is_empty() { Ok(told) } else { Err(RequestError::Ended.into()) }
    }

    /// The next bytes. After a watch that was none, the next one has to last before all is said
    /// to be well: a proxy without its API server may end one after the other.
    async fn next(&mut self, answer: &mut Response) -> Result<Option<bytes::Bytes>, Over> {
        if self.was_short && !self.track.is_listing() {
            let first = timeout(SHORT, answer.next()).await;
            if !matches!(first, Ok(Ok(None) | Err(_))) {
                self.was_short = false;
                self.desk.in_sync(self.kind, &self.link)?;
            }
            if let Ok(first) = first {
                return Ok(first?);
            }
        }
        Ok(answer.next().await?)
    }

    /// Takes one event in, and answers whether it ended a list.
    fn event(&mut self, line: &[u8]) -> Result<bool, RequestError> {
        let Event { kind, object } = serde_json::from_slice(line).map_err(garbage)?;
        let json = object.get().as_bytes();
        let version = match kind {
            "ADDED" | "MODIFIED" => self.track.now(json)?,
            "DELETED" => self.track.gone(json)?,
            "BOOKMARK" => {
                let Bookmark { metadata } = serde_json::from_slice(json).map_err(garbage)?;
                let ends = metadata.annotations.is_some_and(|known| known.contains_key(LIST_ENDS));
                let version = metadata.resource_version;
                if version.is_empty() {
                    return Err(RequestError::Garbage("a bookmark without a version".to_owned()));
                }
                if ends && self.track.is_listing() {
                    self.track.end();
                    self.progress(version);
                    return Ok(true);
                }
                Some(version)
            }
            "ERROR" => {
                let status: Status = serde_json::from_slice(json).map_err(garbage)?;
                // YurtHub refuses lists told by watches so, whatever the code says.
                return Err(if self.track.is_listing() { status.refusal() } else { status.into() });
            }
            other => return Err(RequestError::Garbage(format!("an event of type {other:?}"))),
        };
        if let Some(version) = version.filter(|_| !self.track.is_listing()) {
            self.progress(version);
        }
        Ok(false)
    }

    fn progress(&mut self, version: String) {
        self.version = Some(version);
        self.since = VersionMatch::Any;
        self.garbled = false;
        self.backoff.reset();
    }

    /// Sends on what has gathered, if it is more than `least`.
    async fn hand_in(&mut self, least: usize) -> Result<(), Closed> {
        if least > 0 && self.track.waiting() < least {
            return Ok(());
        }
        let (changes, said) = (self.track.take_changes(), self.track.take_news());
        self.desk.changes(self.kind, changes, said).await
    }
}

fn garbage(error: serde_json::Error) -> RequestError {
    RequestError::Garbage(error.to_string())
}

//! One kind of objects, followed for ever: a list, then watches from where it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::api::query::{self, Resource, VersionMatch};
use crate::api::{ApiClient, Backoff, RequestError, Response, jitter};
use crate::model::Kind;

use super::event::{Event, NotAnEvent};
use super::list::{Next, Page, Parts, Whole};
use super::sink::{ChangeSink, Closed, Timing};
use super::state::{Fault, Retry, State, Trust};
use super::tracker::{Extent, Tracker};

/// How many changes are sent on together, at most.
const TOGETHER: usize = 256;
/// A list that a watch sends may take this long.
const LONG: Duration = Duration::from_secs(600);
/// No event is longer.
const LONGEST: usize = 8 << 20;
/// A watch that ends sooner without an event counts as failed.
const BRIEF: Duration = Duration::from_millis(500);
/// Whole seconds are asked for, and a server's seconds may be shorter.
const MARGIN: Duration = Duration::from_secs(2);

pub(super) struct Watch {
    kind: Kind,
    client: ApiClient,
    timing: Timing,
    sink: Arc<ChangeSink>,
    tracker: Tracker,
    backoff: Backoff,
    state: State,
    trust: Trust,
}

/// Why a round ended early.
enum Ended {
    Failed(RequestError),
    Closed,
}

impl From<RequestError> for Ended {
    fn from(error: RequestError) -> Self {
        Self::Failed(error)
    }
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<NotAnEvent> for RequestError {
    fn from(wrong: NotAnEvent) -> Self {
        Self::Garbage(wrong.to_string())
    }
}

impl From<&RequestError> for Fault {
    fn from(error: &RequestError) -> Self {
        match error {
            RequestError::Response { code, .. } => Self::Code(*code),
            RequestError::Garbage(_) => Self::Garbage,
            RequestError::Silent { .. } => Self::Silence,
            RequestError::Unreachable(_)
            | RequestError::Untrusted(_)
            | RequestError::NoCredentials(_)
            | RequestError::Ended => Self::Link,
        }
    }
}

impl Watch {
    pub(super) fn new(kind: Kind, client: ApiClient, timing: Timing, sink: Arc<ChangeSink>) -> Self {
        Self {
            kind,
            client,
            timing,
            sink,
            tracker: Tracker::new(kind),
            backoff: Backoff::default(),
            state: State::start(),
            trust: Trust::Sound,
        }
    }

    /// Goes on until nothing receives the changes any more.
    pub(super) async fn run(mut self) {
        loop {
            let error = match self.round().await {
                Ok(()) => continue,
                Err(Ended::Closed) => return,
                Err(Ended::Failed(error)) => error,
            };
            if self.learn(&error) == Retry::AtOnce {
                tracing::debug!(
                    kind = self.kind.label(),
                    "the API server sends no lists by watches; plain ones are asked for"
                );
                continue;
            }
            if self.sink.failed(self.kind, &error, self.tracker.is_synced()).is_err() {
                return;
            }
            tokio::time::sleep(self.backoff.after(&error)).await;
            self.client.recover(&error);
        }
    }

    /// Changes the state as the failure asks for.
    fn learn(&mut self, error: &RequestError) -> Retry {
        let fault = Fault::from(error);
        let state = std::mem::replace(&mut self.state, State::start());
        let (state, retry) = state.after(self.trust, fault);
        self.state = state;
        match retry {
            Retry::AtOnce => return retry,
            Retry::AfterFirstWait => self.backoff.reset(),
            Retry::AfterWait => {}
        }
        self.trust = self.trust.after(fault);
        retry
    }

    /// One list, or one watch to its end.
    async fn round(&mut self) -> Result<(), Ended> {
        match self.state.clone() {
            State::Streaming { since } => self.stream(&since).await,
            State::Listing { since } => self.list(&since).await,
            State::Watching { version, .. } => self.watch(&version).await,
        }
    }

    /// Asks for everything, and sends it on while it arrives.
    async fn list(&mut self, since: &VersionMatch) -> Result<(), Ended> {
        let resource = Resource::of(self.kind);
        self.tracker.begin(resource);
        if *since == VersionMatch::Newest {
            self.tracker.forget_versions();
        }
        let patience = self.timing.silence;
        let mut parts = Parts::default();
        let mut continued: Option<String> = None;
        loop {
            let mut page = Page::ask(&self.client, resource, since, continued.as_deref(), patience).await?;
            while page.more(&mut self.tracker).await? {
                self.send(TOGETHER).await?;
            }
            match parts.add(page.end(&mut self.tracker)?).map_err(Ended::Failed)? {
                Next::Part(token) => continued = Some(token),
                Next::End(whole) => {
                    self.whole(whole);
                    return Ok(self.send(0).await?);
                }
            }
        }
    }

    /// Asks for a watch that sends everything first, and leaves it then: it may take as long as
    /// it needs, and would be silent for longer than a link may be. A server that does so begins
    /// at once.
    async fn stream(&mut self, since: &VersionMatch) -> Result<(), Ended> {
        let path = query::stream(Resource::of(self.kind), since, LONG);
        let patience = self.timing.silence / 5;
        let response = self.client.get(&path, query::accept_watch(self.kind), patience).await?;
        self.tracker.begin(Resource::of(self.kind));
        if *since == VersionMatch::Newest {
            self.tracker.forget_versions();
        }
        self.read(response).await?;
        match self.state {
            State::Watching { .. } => Ok(()),
            // The server may not know what was asked for, and send changes alone.
            State::Streaming { .. } | State::Listing { .. } => Err(RequestError::Ended.into()),
        }
    }

    async fn watch(&mut self, version: &str) -> Result<(), Ended> {
        let most = self.timing.watch - jitter(self.timing.watch / 10);
        let path = query::watch(Resource::of(self.kind), version, most);
        let response = self.client.get(&path, query::accept_watch(self.kind), self.timing.silence).await?;
        if self.trust != Trust::Brief {
            self.sink.in_sync(self.kind, &self.client)?;
        }
        let start = Instant::now();
        let any_event = self.read(response).await?;
        let took = start.elapsed();
        if !any_event && took < BRIEF {
            self.trust = Trust::Brief;
            return Err(RequestError::Ended.into());
        }
        let was_cut = took + MARGIN < most;
        if !any_event && (was_cut || self.trust != Trust::Sound) {
            self.probe(version).await?;
        }
        self.trust = Trust::Sound;
        Ok(())
    }

    /// An API server that has not come to a version yet (etcd was restored, or made anew) refuses no watch from
    /// there: it sends nothing until it has. One that sends nothing after a failure is asked whether it knows it.
    async fn probe(&self, version: &str) -> Result<(), Ended> {
        let path = query::probe(Resource::of(self.kind), version);
        match self.client.get(&path, query::accept_list(self.kind), self.timing.silence).await {
            Err(error) if error.is_of_the_link() || error.code() == Some(504) => Err(error.into()),
            // Any other refusal says nothing about the version.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Reads events until the watch, or the list that it sends, ends. Returns whether there were
    /// any.
    async fn read(&mut self, mut response: Response) -> Result<bool, Ended> {
        let mut line = Vec::new();
        let mut any_event = false;
        while let Some(bytes) = self.next(&mut response).await? {
            let mut rest = &bytes[..];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                line.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                let ends_list = self.event(&line);
                line.clear();
                if !matches!(ends_list, Ok(false)) {
                    self.send(0).await?;
                }
                if ends_list? {
                    self.sink.in_sync(self.kind, &self.client)?;
                    return Ok(true);
                }
                any_event = true;
                self.send(TOGETHER).await?;
            }
            line.extend_from_slice(rest);
            if line.len() > LONGEST {
                return Err(RequestError::Garbage("an event without an end".to_owned()).into());
            }
            if !self.tracker.is_listing() {
                self.send(0).await?;
            }
        }
        if line.is_empty() { Ok(any_event) } else { Err(RequestError::Ended.into()) }
    }

    /// The next bytes. After a watch that was too brief, the next one has to last before the kind
    /// is in sync again: a proxy without its API server may end one after the other.
    async fn next(&mut self, response: &mut Response) -> Result<Option<bytes::Bytes>, Ended> {
        if self.trust == Trust::Brief && !self.tracker.is_listing() {
            let first = timeout(BRIEF, response.next()).await;
            if !matches!(first, Ok(Ok(None) | Err(_))) {
                self.trust = self.trust.lasts();
                self.sink.in_sync(self.kind, &self.client)?;
            }
            if let Ok(first) = first {
                return Ok(first?);
            }
        }
        Ok(response.next().await?)
    }

    /// Takes one event in. Returns whether it ended a list.
    fn event(&mut self, line: &[u8]) -> Result<bool, RequestError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(false);
        }
        let is_listing = self.tracker.is_listing();
        let version = match Event::read(line, Resource::of(self.kind))? {
            Event::Applied(json) => self.tracker.apply(json)?,
            Event::Deleted(json) => self.tracker.delete(json)?,
            Event::Bookmark { version, ends_list } if is_listing && ends_list => {
                self.whole(Whole { version, is_named: true });
                return Ok(true);
            }
            Event::Bookmark { version, .. } => version,
            // YurtHub refuses lists sent by watches so, whatever the code says.
            Event::Error(status) => return Err(if is_listing { status.refusal() } else { status.into() }),
        };
        if let Some(version) = version.filter(|_| !is_listing) {
            self.reached(version);
        }
        Ok(false)
    }

    /// A list has come to its end.
    fn whole(&mut self, Whole { version, is_named }: Whole) {
        let is_certain = version.is_some() && is_named;
        self.tracker.end(if is_certain { Extent::Complete } else { Extent::Uncertain });
        self.reached(version.unwrap_or_default());
    }

    fn reached(&mut self, version: String) {
        self.state.reached(version);
        self.trust = self.trust.understood();
        self.backoff.reset();
    }

    /// Sends on what has gathered, unless it is less than `least`.
    async fn send(&mut self, least: usize) -> Result<(), Closed> {
        if self.tracker.waiting() < least {
            return Ok(());
        }
        let (changes, problems) = (self.tracker.take_changes(), self.tracker.take_problems());
        self.sink.changes(self.kind, changes, problems).await
    }
}

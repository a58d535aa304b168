//! One kind of objects, followed for ever: a list, then watches from where it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::query::{self, VersionMatch};
use crate::api::{ApiClient, Backoff, RequestError, chance, jitter};
use crate::model::Kind;

use super::ended::Ended;
use super::frames::Frames;
use super::history::{History, Standing};
use super::list::{Next, Page, Parts, Whole};
use super::pace::Pace;
use super::sink::{ChangeSink, Closed, Timing};
use super::state::{Course, Fault, Retry, Since, State, Trust};
use super::tracker::{Extent, Tracker};

/// How many changes are sent on together, at most.
pub(super) const TOGETHER: usize = 256;
/// A list that a watch sends may take this long.
const LONG: Duration = Duration::from_secs(600);
/// A watch that ends sooner without an event counts as failed.
pub(super) const BRIEF: Duration = Duration::from_millis(500);
/// A server's seconds may be shorter.
const MARGIN: Duration = Duration::from_millis(500);
/// Watches that all ended at once are not all begun again at once.
const RETURN: Duration = Duration::from_millis(1200);

pub(super) struct Watch {
    pub(super) kind: Kind,
    /// The Node whose pods are asked for.
    pub(super) here: Arc<str>,
    pub(super) client: ApiClient,
    pub(super) timing: Timing,
    pub(super) sink: Arc<ChangeSink>,
    pub(super) tracker: Tracker,
    pub(super) course: Course,
    pub(super) history: History,
    pace: Pace,
    backoff: Backoff,
    start: Instant,
    /// Since when lists do not surely name everything, if they do not.
    uncertain: Option<Duration>,
    /// The last list had nothing to compare it by.
    is_unknown: bool,
    /// When it was seen last that the server knows our version.
    probed: Duration,
}

impl Watch {
    pub(super) fn new(
        kind: Kind,
        here: Arc<str>,
        client: ApiClient,
        timing: Timing,
        sink: Arc<ChangeSink>,
    ) -> Self {
        Self {
            kind,
            here,
            client,
            timing,
            sink,
            tracker: Tracker::new(kind),
            course: Course::new(kind),
            history: History::default(),
            pace: Pace::default(),
            backoff: Backoff::default(),
            start: Instant::now(),
            uncertain: None,
            is_unknown: false,
            probed: Duration::ZERO,
        }
    }

    /// Goes on until nothing receives the changes any more.
    pub(super) async fn run(mut self) {
        loop {
            let ended = match self.round().await {
                Ok(()) => Ok(()),
                Err(Ended::Closed) => return,
                Err(Ended::Failed(error)) => self.failed(&error).await,
                Err(Ended::Endless) => self.endless(),
            };
            if ended.is_err() {
                return;
            }
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    async fn failed(&mut self, error: &RequestError) -> Result<(), Closed> {
        let (fault, now) = (Fault::from(error), self.now());
        if matches!(self.course.state, State::Watching { .. })
            && matches!(fault, Fault::Expired | Fault::Future)
        {
            self.pace.expired();
        }
        let retry = self.course.after(fault, self.history.known(), now);
        if retry == Retry::AtOnce {
            tracing::debug!(kind = self.kind.label(), %error, "the API server is asked in another way");
            return Ok(());
        }
        let why = error.to_string();
        if fault == Fault::Garbage {
            self.sink.warn_of(self.kind, &why);
        }
        self.sink.failed(self.kind, &why, self.tracker.is_synced())?;
        if fault == Fault::Code(403) {
            self.sink.refused(self.kind)?;
        }
        if retry == Retry::AfterWait {
            tokio::time::sleep(self.backoff.after(error)).await;
        }
        self.client.recover(error);
        Ok(())
    }

    fn endless(&mut self) -> Result<(), Closed> {
        self.course.after(Fault::Endless, self.history.known(), self.now());
        self.sink.failed(
            self.kind,
            "sent no end of a list that a watch begins with",
            self.tracker.is_synced(),
        )?;
        self.note()
    }

    /// One list, or one watch to its end.
    async fn round(&mut self) -> Result<(), Ended> {
        if self.history.is_another(self.now()) {
            tracing::warn!(
                kind = self.kind.label(),
                known = self.history.known(),
                "the API server's versions stay below those that it had; it counts as another one"
            );
            self.course.is_another(self.now());
        }
        let now = self.now();
        if self.uncertain.is_some_and(|since| now.saturating_sub(since) >= self.timing.uncertain) {
            self.uncertain = Some(now);
            self.course.is_uncertain(self.history.known(), now);
        }
        self.course.look_for_newer(self.history.known(), now);
        if let (None, Some(version)) = (self.history.known(), self.tracker.newest()) {
            self.history.seen(version);
        }
        match self.course.next(self.history.known()) {
            State::Streaming { since } => self.stream(&since).await,
            State::Listing { since } => self.list(&since).await,
            State::Watching { version } => self.watch(&version).await,
        }
    }

    /// Asks for everything, and sends it on while it arrives.
    async fn list(&mut self, since: &Since) -> Result<(), Ended> {
        self.wait_for_list().await;
        let patience = self.timing.silence;
        let version_match = VersionMatch::from(since);
        let mut parts = Parts::default();
        let mut continued: Option<String> = None;
        loop {
            let (client, resource) = (&self.client, self.course.resource);
            let mut page =
                Page::ask(client, resource, &self.here, &version_match, continued.as_deref(), patience)
                    .await?;
            if continued.is_none() {
                self.begin(since);
                self.list_begins();
            }
            while page.more(&mut self.tracker).await? {
                self.send(TOGETHER).await?;
            }
            match parts.add(page.end(&mut self.tracker)?)? {
                Next::Part(token) => continued = Some(token),
                Next::End(whole) => return Ok(self.whole(since, whole).await?),
            }
        }
    }

    /// Asks for a watch that sends everything first, and goes on with it for a while. A server that does so
    /// begins at once.
    async fn stream(&mut self, since: &Since) -> Result<(), Ended> {
        self.wait_for_list().await;
        self.wait_for_watch().await;
        let resource = self.course.resource;
        let path = query::stream(resource, &self.here, &VersionMatch::from(since), LONG);
        let patience = self.timing.silence / 5;
        let response = self.client.get(&path, query::accept_watch(self.kind), patience).await?;
        self.begin(since);
        let mut response = response.with_patience(self.timing.silence);
        let mut frames = Frames::default();
        let whole = self.read_list(&mut response, &mut frames).await?;
        self.whole(since, whole).await?;
        // A link that is dead has to be noticed in time, and this watch has a longer one.
        let most = self.timing.watch / 2;
        let leave = self.now() + most + chance(most / 4);
        let begun = self.now();
        let ended = self.read_changes(&mut response, frames, Some(leave)).await;
        self.lasted(begun);
        match ended? {
            _ if self.now() >= leave => Ok(()),
            true => {
                self.course.trust = Trust::Doubtful;
                self.spread().await
            }
            false => self.cut(begun).await,
        }
    }

    /// The server has begun to send a list, which costs it something.
    pub(super) fn list_begins(&mut self) {
        self.pace.list_begins(self.now());
    }

    /// What arrives now is a list.
    fn begin(&mut self, since: &Since) {
        self.tracker.begin(self.course.resource);
        if *since == Since::Another {
            self.tracker.forget_versions();
        }
    }

    async fn watch(&mut self, version: &str) -> Result<(), Ended> {
        self.wait_for_watch().await;
        let most = self.timing.watch - jitter(self.timing.watch / 10);
        let path = query::watch(self.course.resource, &self.here, version, most);
        // Whatever is asked for, a watch begins at once.
        let patience = self.timing.silence * 2 / 5;
        let response = self.client.get(&path, query::accept_watch(self.kind), patience).await?;
        let mut response = response.with_patience(self.timing.silence);
        let begun = self.now();
        let ended = self.read_changes(&mut response, Frames::default(), None).await;
        self.lasted(begun);
        let any_event = ended?;
        let took = self.now().saturating_sub(begun);
        let is_cut = took + MARGIN < Duration::from_secs(most.as_secs());
        if any_event {
            self.probed = self.now();
        } else if is_cut && took < BRIEF {
            return Err(RequestError::Ended.into());
        } else if self.course.trust != Trust::Sound || self.now() >= self.probed + self.timing.doubt {
            self.probe(version).await?;
            self.probed = self.now();
            self.course.trust = Trust::Sound;
            return Ok(());
        }
        self.course.trust = if is_cut { Trust::Doubtful } else { Trust::Sound };
        if is_cut { self.spread().await } else { Ok(()) }
    }

    /// A watch ended, with a failure or without, that began then.
    fn lasted(&mut self, begun: Duration) {
        if self.now().saturating_sub(begun) >= self.timing.sound {
            self.pace.is_sound();
            self.backoff.reset();
            self.course.is_sound();
        }
    }

    /// A watch ended early without an event.
    async fn cut(&mut self, begun: Duration) -> Result<(), Ended> {
        if self.now().saturating_sub(begun) < BRIEF {
            return Err(RequestError::Ended.into());
        }
        if self.course.trust == Trust::Sound {
            self.course.trust = Trust::Doubtful;
        }
        self.spread().await
    }

    async fn spread(&self) -> Result<(), Ended> {
        tokio::time::sleep(chance(RETURN)).await;
        Ok(())
    }

    /// An API server that has not come to a version yet (etcd was restored, or made anew) refuses no watch from
    /// there: it sends nothing until it has. One that sends nothing after a failure, or for long, is asked whether
    /// it knows it.
    async fn probe(&self, version: &str) -> Result<(), Ended> {
        let path = query::probe(self.course.resource, version);
        match self.client.get(&path, query::accept_list(self.kind), self.timing.silence).await {
            Err(error) if matches!(Fault::from(&error), Fault::Future | Fault::Link | Fault::Silence) => {
                Err(error.into())
            }
            // Any other refusal says nothing about the version.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A list has come to its end.
    async fn whole(&mut self, since: &Since, whole: Whole) -> Result<(), Closed> {
        let compared = whole.newest(self.tracker.newest_of_list());
        let version = whole.version;
        let standing = self.history.list(compared.as_deref(), *since == Since::Another, self.now());
        let counts = matches!(standing, Standing::Newer | Standing::Another);
        let extent = if counts { Extent::Complete } else { Extent::Uncertain };
        self.tracker.end(extent, compared.as_deref());
        let is_certain = standing != Standing::Unknown && self.tracker.extent() == Extent::Complete;
        self.uncertain = (!is_certain).then(|| self.now());
        if standing == Standing::Another {
            tracing::warn!(
                kind = self.kind.label(),
                version,
                "the API server has another history than the one before; what it has now counts"
            );
        }
        self.send(0).await?;
        if let Standing::Older { known } = &standing {
            let version = version.as_deref().unwrap_or_default();
            let why = format!(
                "sent a list of version {version}, which is older than {known}; nothing is removed for that"
            );
            self.sink.failed(self.kind, &why, true)?;
        }
        self.course.listed(version);
        self.probed = self.now();
        self.is_unknown = standing == Standing::Unknown;
        self.note()
    }

    /// What is unusual about how this kind is followed.
    fn note(&self) -> Result<(), Closed> {
        let kind = self.kind.label();
        let mut notes = Vec::new();
        if self.course.is_endless() {
            notes.push(format!(
                "sends no end of {kind} lists that a watch begins with: plain lists are asked for"
            ));
        }
        if self.is_unknown {
            notes.push(format!(
                "sends {kind} lists without a version or kind to go by: what they do not name stays until it is deleted"
            ));
        }
        self.sink.notes(self.kind, notes)
    }

    async fn wait_for_list(&self) {
        let wait = self.pace.before_list(self.now());
        tokio::time::sleep(wait + chance(wait / 4)).await;
    }

    async fn wait_for_watch(&mut self) {
        tokio::time::sleep(self.pace.before_watch(self.now())).await;
        self.pace.watch_begins(self.now());
    }
}

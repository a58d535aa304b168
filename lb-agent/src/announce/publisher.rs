//! Makes one Event of each warning, in its own time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::api::{ApiClient, Backoff, RequestError, jitter};
use crate::shown::Shown;

use super::event;
use super::queue::EventQueue;
use super::warning::TopologyWarning;

/// How fast Events are made.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// Every agent notices a mistake in the same moment: each makes its Event somewhere within this.
    pub spread: Duration,
    /// Between two Events, as long as this agent is the one that makes them.
    pub gap: Duration,
    /// The gap doubles after each Event that another agent has made, and after each failure, up to
    /// this: the work is done elsewhere.
    pub most: Duration,
    /// How long the lack of the right to make Events in a namespace is taken for granted.
    pub without_right: Duration,
    /// How long the API server may send nothing.
    pub silence: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            spread: Duration::from_secs(10),
            gap: Duration::from_millis(400),
            most: Duration::from_secs(30),
            without_right: Duration::from_secs(3600),
            silence: Duration::from_secs(25),
        }
    }
}

/// Makes Events of the warnings in `queue`, on the runtime that this is called on and in the name of
/// the agent on `node`. Ends when dropped.
#[must_use]
pub fn publish(client: &ApiClient, queue: EventQueue, node: &str, rate: RateLimit) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(EventPublisher::new(client.clone(), queue, node.to_owned(), rate).run());
    tasks
}

struct EventPublisher {
    client: ApiClient,
    queue: EventQueue,
    node: String,
    rate: RateLimit,
    backoff: Backoff,
    gap: Duration,
    not_before: Instant,
    /// Namespaces that have refused, and until when that is taken for granted.
    refused: BTreeMap<Arc<str>, Instant>,
    refusal: Refusal,
}

/// Whether the log has said that Events are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    News,
    Said,
}

/// What became of an attempt to make an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Posted {
    Made,
    /// Another agent was first.
    Known,
    /// It cannot be made, now or later.
    Moot,
    /// Not in this namespace: a missing right, a quota, a policy.
    NoRight,
    Again,
}

impl EventPublisher {
    fn new(client: ApiClient, queue: EventQueue, node: String, rate: RateLimit) -> Self {
        Self {
            client,
            queue,
            node,
            rate,
            backoff: Backoff::default(),
            gap: rate.gap,
            not_before: Instant::now(),
            refused: BTreeMap::new(),
            refusal: Refusal::News,
        }
    }

    /// Goes on for ever.
    async fn run(mut self) {
        loop {
            let Some((due, warning)) = self.queue.next(self.rate.spread) else {
                self.queue.news().await;
                continue;
            };
            if let Some(until) = self.refused_until(&warning.service.namespace)
                && until > due
            {
                self.queue.put_off_all(&warning.service.namespace, until);
                continue;
            }
            tokio::select! {
                () = sleep_until(due.max(self.not_before)) => self.post(&warning).await,
                // Meanwhile another may be due sooner, or this be corrected.
                () = self.queue.news() => {}
            }
        }
    }

    /// Until when the namespace counts as one that refuses.
    fn refused_until(&mut self, namespace: &str) -> Option<Instant> {
        let now = Instant::now();
        self.refused.retain(|_, until| *until > now);
        self.refused.get(namespace).copied()
    }

    async fn post(&mut self, warning: &TopologyWarning) {
        if !self.queue.holds(warning) {
            return;
        }
        let body = event::body(warning, &self.node, Timestamp::now());
        let response = self.client.post(&event::path(&warning.service), body, self.rate.silence).await;
        let posted = Posted::by(&response);
        let error = response.err();
        self.log(posted, warning, error.as_ref());
        let wait = self.wait(posted, error.as_ref());
        self.not_before = Instant::now() + wait;
        match posted {
            Posted::Made | Posted::Known | Posted::Moot => self.queue.settle(warning),
            Posted::NoRight => {
                let namespace = &warning.service.namespace;
                let until = Instant::now() + self.rate.without_right;
                self.refused.insert(Arc::clone(namespace), until);
                self.queue.put_off_all(namespace, until);
            }
            Posted::Again => self.queue.put_off(warning, self.not_before),
        }
        if let Some(error) = error {
            self.client.recover(&error);
        }
    }

    fn wait(&mut self, posted: Posted, error: Option<&RequestError>) -> Duration {
        self.gap = match posted {
            Posted::Made => self.rate.gap,
            Posted::Known | Posted::Moot | Posted::NoRight | Posted::Again => {
                (self.gap * 2).min(self.rate.most)
            }
        };
        let asked = match (posted, error) {
            (Posted::Again, Some(error)) => self.backoff.after(error),
            (Posted::Made | Posted::Known | Posted::Moot | Posted::NoRight | Posted::Again, _) => {
                self.backoff.reset();
                Duration::ZERO
            }
        };
        asked.max(jitter(self.gap))
    }

    fn log(&mut self, posted: Posted, warning: &TopologyWarning, error: Option<&RequestError>) {
        let service = &warning.service;
        let error = error.map(ToString::to_string).unwrap_or_default();
        match posted {
            Posted::Made => tracing::debug!(%service, "an Event was made"),
            Posted::Known => tracing::debug!(%service, "another agent has made the Event"),
            Posted::Moot => tracing::debug!(%service, error, "no Event can be made"),
            Posted::Again => tracing::debug!(%service, error, "could not make an Event; it is tried again"),
            Posted::NoRight if self.refusal == Refusal::Said => {
                tracing::debug!(%service, error, "this namespace takes no Events either");
            }
            Posted::NoRight => {
                self.refusal = Refusal::Said;
                tracing::info!(
                    namespace = %Shown(&service.namespace),
                    error,
                    "this namespace takes no Events: what is wrong with its Services is in the log and in status alone"
                );
            }
        }
    }
}

impl Posted {
    /// What a response means for the Event.
    ///
    /// 1. An Event of that name exists: another agent was first, or this one before it restarted.
    /// 2. A namespace that is going takes no Events and soon needs none; nor does one that is gone.
    /// 3. Other refusals last, except for missing rights and quotas, which may be given later: they are a
    ///    namespace's own, and say nothing of others.
    /// 4. What may pass is tried again.
    fn by(response: &Result<(), RequestError>) -> Self {
        let Err(error) = response else { return Self::Made };
        match error {
            RequestError::Response { code: 409, .. } => Self::Known,
            RequestError::Response { code: 403, message, .. } if message.contains(TERMINATING) => Self::Moot,
            RequestError::Response { code: 403, .. } => Self::NoRight,
            RequestError::Response { code: 401 | 408 | 429, .. } => Self::Again,
            RequestError::Response { code, .. } if (400..500).contains(code) => Self::Moot,
            RequestError::Response { .. }
            | RequestError::Unreachable(_)
            | RequestError::Untrusted(_)
            | RequestError::NoCredentials(_)
            | RequestError::Silent { .. }
            | RequestError::Ended
            | RequestError::Garbage(_) => Self::Again,
        }
    }
}

/// How API servers word it. Taken for a missing right, it would be waited for in vain.
const TERMINATING: &str = "because it is being terminated";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Says;

    #[test]
    fn what_an_answer_means_for_the_event() {
        let responded = |code, message: &str| {
            Err(RequestError::Response {
                code,
                message: message.to_owned(),
                retry_after: None,
                says: Says::Nothing,
            })
        };
        let gone =
            "events is forbidden: unable to create new content in namespace a because it is being terminated";
        for (shows, response, expected) in [
            ("made", Ok(()), Posted::Made),
            ("there already", responded(409, "already exists"), Posted::Known),
            ("no right", responded(403, "forbidden"), Posted::NoRight),
            ("a quota", responded(403, "events is forbidden: exceeded quota: few"), Posted::NoRight),
            ("the namespace goes", responded(403, gone), Posted::Moot),
            ("the namespace is gone", responded(404, "not found"), Posted::Moot),
            ("not taken for an Event", responded(422, "invalid"), Posted::Moot),
            ("a token that has expired", responded(401, ""), Posted::Again),
            ("busy", responded(429, ""), Posted::Again),
            ("in error", responded(500, ""), Posted::Again),
            ("no client", Err(RequestError::Ended), Posted::Again),
        ] {
            assert_eq!(Posted::by(&response), expected, "{shows}");
        }
    }
}

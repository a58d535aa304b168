//! Says on Services what is wrong with them: one Event each, in its own time.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::announce::warning::TopologyWarning;

use super::event;
use super::queue::EventQueue;
use crate::api::{ApiClient, RequestError};
use crate::api::{Backoff, jitter};

/// How fast Events are made.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// Every agent notices a mistake in the same moment: each speaks of it somewhere within this.
    pub spread: Duration,
    /// Between two Events, as long as they are this agent's to make.
    pub gap: Duration,
    /// Twice as long after each one that another agent has made, and after each failure, up to
    /// this: what is there to do is being done.
    pub most: Duration,
    /// How long the lack of the right to make Events is taken for granted.
    pub without_right: Duration,
    /// How long the API server may say nothing.
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

/// Makes Events of what `outbox` holds, on the runtime that this is called on and in the name of the
/// agent on `node`. Aborted when dropped.
#[must_use]
pub fn publish(link: &ApiClient, outbox: EventQueue, node: &str, pace: RateLimit) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(EventPublisher::new(link.clone(), outbox, node.to_owned(), pace).run());
    tasks
}

struct EventPublisher {
    link: ApiClient,
    outbox: EventQueue,
    node: String,
    pace: RateLimit,
    backoff: Backoff,
    gap: Duration,
    not_before: Instant,
    was_refused: bool,
}

/// What became of an attempt to make an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Posted {
    Made,
    /// Another agent was first.
    Known,
    /// It cannot be made, now or later.
    Moot,
    NoRight,
    Again,
}

impl EventPublisher {
    fn new(link: ApiClient, outbox: EventQueue, node: String, pace: RateLimit) -> Self {
        Self {
            link,
            outbox,
            node,
            pace,
            backoff: Backoff::default(),
            gap: pace.gap,
            not_before: Instant::now(),
            was_refused: false,
        }
    }

    /// Goes on for ever.
    async fn run(mut self) {
        loop {
            let Some((due, complaint)) = self.outbox.next(self.pace.spread) else {
                self.outbox.news().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(due.max(self.not_before)) => self.say(&complaint).await,
                // Meanwhile something may be due sooner, or this be mended.
                () = self.outbox.news() => {}
            }
        }
    }

    async fn say(&mut self, complaint: &TopologyWarning) {
        if !self.outbox.holds(complaint) {
            return;
        }
        let body = event::body(complaint, &self.node, Timestamp::now());
        let answer = self.link.post(&event::path(&complaint.service), body, self.pace.silence).await;
        let fate = fate(&answer);
        let trouble = answer.err();
        self.log(fate, complaint, trouble.as_ref());
        let wait = self.wait(fate, trouble.as_ref());
        self.not_before = Instant::now() + wait;
        match fate {
            Posted::Made | Posted::Known | Posted::Moot => self.outbox.settle(complaint),
            Posted::NoRight | Posted::Again => self.outbox.put_off(complaint, self.not_before),
        }
        if trouble.is_some_and(|trouble| trouble.asks_for_new_credentials())
            && let Err(error) = self.link.renew().await
        {
            tracing::debug!(%error, "could not read the credentials again; the last ones are used");
        }
    }

    fn wait(&mut self, fate: Posted, trouble: Option<&RequestError>) -> Duration {
        self.gap = match fate {
            Posted::Made => self.pace.gap,
            Posted::Known | Posted::Moot | Posted::NoRight | Posted::Again => {
                (self.gap * 2).min(self.pace.most)
            }
        };
        let asked = match (fate, trouble) {
            (Posted::NoRight, _) => self.pace.without_right,
            (Posted::Again, Some(trouble)) => self.backoff.after(trouble),
            (Posted::Made | Posted::Known | Posted::Moot | Posted::Again, _) => {
                self.backoff.reset();
                Duration::ZERO
            }
        };
        asked.max(jitter(self.gap))
    }

    fn log(&mut self, fate: Posted, complaint: &TopologyWarning, trouble: Option<&RequestError>) {
        let service = &complaint.service;
        let trouble = trouble.map(ToString::to_string).unwrap_or_default();
        match fate {
            Posted::Made => tracing::debug!(%service, "an Event was made"),
            Posted::Known => tracing::debug!(%service, "another agent has made the Event"),
            Posted::Moot => tracing::debug!(%service, trouble, "no Event can be made"),
            Posted::Again => tracing::debug!(%service, trouble, "could not make an Event; it is tried again"),
            Posted::NoRight if self.was_refused => {}
            Posted::NoRight => {
                self.was_refused = true;
                tracing::info!(
                    trouble,
                    "no right to make Events: what is wrong with a Service stands in the log and in status alone"
                );
            }
        }
    }
}

/// 1. An Event of that name: another agent was first, or this one before it was started anew.
/// 2. A namespace that goes takes no Events, and soon needs none; one that is gone, neither.
/// 3. Other refusals are for ever, but for missing rights, which may be given later.
/// 4. What may pass is tried again.
fn fate(answer: &Result<(), RequestError>) -> Posted {
    let Err(trouble) = answer else { return Posted::Made };
    match trouble {
        RequestError::Response { code: 409, .. } => Posted::Known,
        RequestError::Response { code: 403, message, .. } if message.contains(TERMINATING) => Posted::Moot,
        RequestError::Response { code: 403, .. } => Posted::NoRight,
        RequestError::Response { code: 401 | 408 | 429, .. } => Posted::Again,
        RequestError::Response { code, .. } if (400..500).contains(code) => Posted::Moot,
        RequestError::Response { .. }
        | RequestError::Unreachable(_)
        | RequestError::Untrusted(_)
        | RequestError::Silent { .. }
        | RequestError::Ended
        | RequestError::Garbage(_) => Posted::Again,
    }
}

/// How API servers word it. Taken for a missing right, it would only be waited for in vain.
const TERMINATING: &str = "because it is being terminated";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means_for_the_event() {
        let answered = |code, message: &str| {
            Err(RequestError::Response { code, message: message.to_owned(), retry_after: None })
        };
        let gone =
            "events is forbidden: unable to create new content in namespace a because it is being terminated";
        for (shows, answer, expected) in [
            ("made", Ok(()), Posted::Made),
            ("there already", answered(409, "already exists"), Posted::Known),
            ("no right", answered(403, "forbidden"), Posted::NoRight),
            ("the namespace goes", answered(403, gone), Posted::Moot),
            ("the namespace is gone", answered(404, "not found"), Posted::Moot),
            ("not taken for an Event", answered(422, "invalid"), Posted::Moot),
            ("a token that has expired", answered(401, ""), Posted::Again),
            ("busy", answered(429, ""), Posted::Again),
            ("in trouble", answered(500, ""), Posted::Again),
            ("no link", Err(RequestError::Ended), Posted::Again),
        ] {
            assert_eq!(fate(&answer), expected, "{shows}");
        }
    }
}

//! Says on Services what is wrong with them: one Event each, in its own time.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::announce::warning::Complaint;

use super::event;
use super::queue::Outbox;
use crate::api::{Backoff, jitter};
use crate::api::{Link, Trouble};

/// How fast Events are made.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
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

impl Default for Pace {
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
pub fn publish(link: &Link, outbox: Outbox, node: &str, pace: Pace) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(Herald::new(link.clone(), outbox, node.to_owned(), pace).run());
    tasks
}

struct Herald {
    link: Link,
    outbox: Outbox,
    node: String,
    pace: Pace,
    backoff: Backoff,
    gap: Duration,
    not_before: Instant,
    was_refused: bool,
}

/// What became of an attempt to make an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Made,
    /// Another agent was first.
    Known,
    /// It cannot be made, now or later.
    Moot,
    NoRight,
    Again,
}

impl Herald {
    fn new(link: Link, outbox: Outbox, node: String, pace: Pace) -> Self {
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

    async fn say(&mut self, complaint: &Complaint) {
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
            Fate::Made | Fate::Known | Fate::Moot => self.outbox.settle(complaint),
            Fate::NoRight | Fate::Again => self.outbox.put_off(complaint, self.not_before),
        }
        if trouble.is_some_and(|trouble| trouble.asks_for_new_credentials())
            && let Err(error) = self.link.renew().await
        {
            tracing::debug!(%error, "could not read the credentials again; the last ones are used");
        }
    }

    fn wait(&mut self, fate: Fate, trouble: Option<&Trouble>) -> Duration {
        self.gap = match fate {
            Fate::Made => self.pace.gap,
            Fate::Known | Fate::Moot | Fate::NoRight | Fate::Again => (self.gap * 2).min(self.pace.most),
        };
        let asked = match (fate, trouble) {
            (Fate::NoRight, _) => self.pace.without_right,
            (Fate::Again, Some(trouble)) => self.backoff.after(trouble),
            (Fate::Made | Fate::Known | Fate::Moot | Fate::Again, _) => {
                self.backoff.reset();
                Duration::ZERO
            }
        };
        asked.max(jitter(self.gap))
    }

    fn log(&mut self, fate: Fate, complaint: &Complaint, trouble: Option<&Trouble>) {
        let service = &complaint.service;
        let trouble = trouble.map(ToString::to_string).unwrap_or_default();
        match fate {
            Fate::Made => tracing::debug!(%service, "an Event was made"),
            Fate::Known => tracing::debug!(%service, "another agent has made the Event"),
            Fate::Moot => tracing::debug!(%service, trouble, "no Event can be made"),
            Fate::Again => tracing::debug!(%service, trouble, "could not make an Event; it is tried again"),
            Fate::NoRight if self.was_refused => {}
            Fate::NoRight => {
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
fn fate(answer: &Result<(), Trouble>) -> Fate {
    let Err(trouble) = answer else { return Fate::Made };
    match trouble {
        Trouble::Answer { code: 409, .. } => Fate::Known,
        Trouble::Answer { code: 403, message, .. } if message.contains(TERMINATING) => Fate::Moot,
        Trouble::Answer { code: 403, .. } => Fate::NoRight,
        Trouble::Answer { code: 401 | 408 | 429, .. } => Fate::Again,
        Trouble::Answer { code, .. } if (400..500).contains(code) => Fate::Moot,
        Trouble::Answer { .. }
        | Trouble::Unreachable(_)
        | Trouble::Untrusted(_)
        | Trouble::Silent { .. }
        | Trouble::Ended
        | Trouble::Garbage(_) => Fate::Again,
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
            Err(Trouble::Answer { code, message: message.to_owned(), retry_after: None })
        };
        let gone =
            "events is forbidden: unable to create new content in namespace a because it is being terminated";
        for (shows, answer, expected) in [
            ("made", Ok(()), Fate::Made),
            ("there already", answered(409, "already exists"), Fate::Known),
            ("no right", answered(403, "forbidden"), Fate::NoRight),
            ("the namespace goes", answered(403, gone), Fate::Moot),
            ("the namespace is gone", answered(404, "not found"), Fate::Moot),
            ("not taken for an Event", answered(422, "invalid"), Fate::Moot),
            ("a token that has expired", answered(401, ""), Fate::Again),
            ("busy", answered(429, ""), Fate::Again),
            ("in trouble", answered(500, ""), Fate::Again),
            ("no link", Err(Trouble::Ended), Fate::Again),
        ] {
            assert_eq!(fate(&answer), expected, "{shows}");
        }
    }
}

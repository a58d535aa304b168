//! What the agent makes known on its own Node: the condition `edgeloop.io/Covered`, and that a start-up taint has done
//! its work.

mod coverage;
mod due;
mod object;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::api::{ApiClient, RequestError, jitter};
use crate::shown::Shown;
use crate::view::published::Published;

use coverage::Coverage;
pub use due::{Before, Pace};
use due::{History, Known};
use object::SeenNode;

/// What is made known; nothing of it unless it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSigns {
    /// `--node-condition`.
    pub condition: WithCondition,
    /// `--startup-taint`: the key.
    pub taint: Option<Arc<str>>,
}

/// Whether the Node's condition is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithCondition {
    On,
    #[default]
    Off,
}

impl NodeSigns {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Makes known on the Node `node` what the writer published, on the runtime that this is called on. It asks nothing of
/// the writer, which never waits for it. Ends when dropped; what stands in the Node's object stays.
#[must_use]
pub fn signs(
    client: &ApiClient,
    node: &str,
    wanted: NodeSigns,
    published: watch::Receiver<Arc<Published>>,
    before: Before,
    pace: Pace,
) -> JoinSet<()> {
    let signer = Signer {
        client: client.clone(),
        node: node.to_owned(),
        wanted,
        published,
        history: History::new(before),
        seen: None,
        untainted: None,
        retries: Retries { wait: pace.retry.0, not_before: None, refusal: None },
        read_at: None,
        written_at: None,
        pace,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(signer.run());
    tasks
}

/// Removes the condition from the Node, once: programs and maps are gone.
///
/// # Errors
/// When the API server cannot be asked, or refuses.
pub async fn remove_condition(
    client: &ApiClient,
    node: &str,
    patience: Duration,
) -> Result<(), RequestError> {
    client.patch(&object::path_of_status(node), object::without_condition(), patience).await
}

struct Signer {
    client: ApiClient,
    node: String,
    wanted: NodeSigns,
    published: watch::Receiver<Arc<Published>>,
    pace: Pace,
    history: History,
    /// The Node as it was read last, with what was written since; `None` where it has to be read.
    seen: Option<SeenNode>,
    /// The Node, by uid, that was covered without the taint once. One that is added later stays.
    untainted: Option<String>,
    retries: Retries,
    read_at: Option<Instant>,
    written_at: Option<Instant>,
}

/// After failures.
struct Retries {
    wait: Duration,
    not_before: Option<Instant>,
    /// What the log has said of the last failure, as its code.
    refusal: Option<Option<u16>>,
}

impl Signer {
    /// Goes on for ever.
    async fn run(mut self) {
        loop {
            sleep(self.pace.look).await;
            let now = Instant::now();
            let coverage = Coverage::of(&self.published.borrow(), now);
            self.history.take(&coverage, now);
            if self.retries.not_before.is_some_and(|until| now < until) {
                continue;
            }
            match self.step(&coverage, now).await {
                Ok(()) => self.retries.settle(self.pace),
                Err(error) => {
                    self.retries.failed(&error, &self.node, self.pace);
                    // What was compared is another by now, or the Node is gone.
                    self.seen = None;
                    self.client.recover(&error);
                }
            }
        }
    }

    /// Reads the Node where that is due, and writes at most once.
    async fn step(&mut self, coverage: &Coverage, now: Instant) -> Result<(), RequestError> {
        if self.read_at.is_none_or(|at| now >= at) {
            self.seen = None;
        }
        let seen = match self.seen.take() {
            Some(seen) => seen,
            None => self.read(now).await?,
        };
        self.seen = Some(seen.clone());
        if coverage.reason.is_covered() && self.untainted.as_ref() != Some(&seen.uid) {
            self.remove_taint(&seen).await?;
        }
        if self.wanted.condition == WithCondition::On
            && let Some(due) = self.history.due(seen.condition.as_ref(), &self.pace)
            && now >= self.written_at.map_or(due, |written| due.max(written + self.pace.gap))
        {
            self.write_condition(&seen, coverage, now).await?;
        }
        Ok(())
    }

    async fn read(&mut self, now: Instant) -> Result<SeenNode, RequestError> {
        let text = self.client.text(&object::path_to_read(&self.node), self.pace.silence).await?;
        let seen = SeenNode::read(&text).ok_or_else(|| RequestError::Garbage("no Node".to_owned()))?;
        self.read_at = Some(now + jitter(self.pace.read));
        Ok(seen)
    }

    async fn remove_taint(&mut self, seen: &SeenNode) -> Result<(), RequestError> {
        if let Some(key) = &self.wanted.taint
            && let Some(patch) = seen.without_taint(key)
        {
            self.client.json_patch(&object::path(&self.node), patch, self.pace.silence).await?;
            tracing::info!(node = %Shown(&self.node), taint = %key, "the node is covered: its start-up taint was removed");
            // The other taints are another list by now.
            self.seen = None;
        }
        self.untainted = Some(seen.uid.clone());
        Ok(())
    }

    async fn write_condition(
        &mut self,
        seen: &SeenNode,
        coverage: &Coverage,
        now: Instant,
    ) -> Result<(), RequestError> {
        // Also when it fails: what was written may be there all the same.
        self.written_at = Some(now);
        let patch = seen.with_condition(coverage, Timestamp::now());
        self.client.patch(&object::path_of_status(&self.node), patch, self.pace.silence).await?;
        let (reason, message) = (coverage.reason.word(), &coverage.message);
        tracing::info!(node = %Shown(&self.node), reason, message, "the Node's condition {} was written", object::CONDITION);
        let written = Known { is_covered: coverage.reason.is_covered(), reason: reason.to_owned() };
        if let Some(seen) = &mut self.seen {
            seen.condition = Some(written);
        }
        Ok(())
    }
}

impl Retries {
    fn settle(&mut self, pace: Pace) {
        *self = Self { wait: pace.retry.0, not_before: None, refusal: None };
    }

    /// The log has each kind of failure once: an API server that is gone says so by the source.
    fn failed(&mut self, error: &RequestError, node: &str, pace: Pace) {
        let code = error.code();
        if self.refusal != Some(code) {
            self.refusal = Some(code);
            let error = error.to_string();
            if code == Some(403) {
                tracing::warn!(
                    node = %Shown(node),
                    error,
                    "the agent may not change its Node, and tries again: --node-condition needs the rights to get nodes and to patch \
                     nodes/status, --startup-taint those to get and to patch nodes"
                );
            } else {
                tracing::debug!(node = %Shown(node), error, "could not change the Node; it is tried again");
            }
        }
        self.not_before = Some(Instant::now() + jitter(self.wait));
        self.wait = (self.wait * 2).min(pace.retry.1);
    }
}

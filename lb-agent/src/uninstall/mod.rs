//! Has all pods of a DaemonSet remove what their agents have put into the kernels, and waits for it.

mod objects;
mod progress;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::api::query::escaped;
use crate::api::{ApiClient, Backoff, ConnectError, KubeConfig, RequestError};
use crate::shown::{Shown, line, shown};

use objects::{DaemonSet, DaemonSetStatus, Pod, Pods};
use progress::{At, Progress, progress};

/// Between two looks at the DaemonSet.
const PERIOD: Duration = Duration::from_secs(1);
/// The pods are listed when its status differs, and this often besides.
const LIST_EVERY: Duration = Duration::from_secs(5);
/// The API server may send nothing for so long.
const SILENCE: Duration = Duration::from_secs(10);
/// A right that was given a moment ago may not have reached every API server.
const RIGHTS: Duration = Duration::from_secs(10);

/// Whose pods, and for how long they are waited for.
#[derive(Clone, Debug)]
pub struct Target {
    pub namespace: String,
    pub daemon_set: String,
    pub timeout: Duration,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every node that can be reached is done.
    Done,
    /// The time is over, and nodes are left that can be reached.
    Left,
}

#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    #[error(transparent)]
    Connect(#[from] ConnectError),

    #[error("could not {doing} at {server}")]
    Request {
        doing: String,
        server: String,
        #[source]
        source: RequestError,
    },

    #[error("DaemonSet {} has no container {:?}: is it Edgeloop's?", shown(daemon_set), objects::CONTAINER)]
    NotOurs { daemon_set: String },
}

/// Patches the DaemonSet, so that its pods clean up and stay, and waits until they have. `say` gets a line for each
/// node.
///
/// # Errors
/// The API server cannot be reached, refuses, or has another DaemonSet of this name.
pub async fn uninstall(
    config: KubeConfig,
    target: Target,
    mut say: impl FnMut(&str),
) -> Result<End, UninstallError> {
    let Target { namespace, daemon_set: name, timeout } = target;
    let path = format!("/apis/apps/v1/namespaces/{}/daemonsets/{}", escaped(&namespace), escaped(&name));
    let server = Server { client: ApiClient::new(config, None).await?, until: Instant::now() + timeout };
    let called = format!("DaemonSet {}/{}", Shown(&namespace), Shown(&name));
    let Some(daemon_set) = server.daemon_set(&path, &called).await? else {
        say(&format!("there is no {called}: nothing is to be done"));
        return Ok(End::Done);
    };
    if !daemon_set.has_agent() {
        return Err(UninstallError::NotOurs { daemon_set: format!("{namespace}/{name}") });
    }
    server.patch(&path, &called).await?;
    say(&format!("{called} is changed: its pods remove programs and maps"));
    let mut watch = Watch { last: None, said: BTreeSet::new() };
    let progress = loop {
        let Some(daemon_set) = server.daemon_set(&path, &called).await? else {
            say(&format!("{called} is gone: its nodes are not waited for"));
            return Ok(End::Done);
        };
        let is_over = Instant::now() + PERIOD >= server.until;
        if is_over || watch.is_due(&daemon_set.status) {
            let pods = server.pods(&daemon_set, &namespace).await?;
            let progress = progress(&daemon_set, &pods);
            watch.say_done(&progress, &mut say);
            if is_over || progress.is_complete() {
                break progress;
            }
        }
        sleep(PERIOD).await;
    };
    Ok(conclude(&progress, timeout, say))
}

/// What is left, and what to do about it.
fn conclude(progress: &Progress, timeout: Duration, mut say: impl FnMut(&str)) -> End {
    for (node, at) in &progress.nodes {
        let node = Shown(node);
        match at {
            At::Done => {}
            At::Unreachable => {
                say(&format!("unreachable or not ready: {node}: run `lb-agent cleanup --stop` there"));
            }
            At::Behind(why) => say(&line(&format!("not done: {node}: {}", Shown(why)))),
        }
    }
    match progress.missing {
        Some(0) => {}
        Some(missing) => say(&format!("not done: {missing} more nodes have no pod")),
        None => say("not done: the DaemonSet's controller has not seen the change"),
    }
    let done = progress.done().count();
    if progress.is_complete() {
        say(&format!("everything is removed on all {done} nodes"));
    } else {
        say(&format!("after {} s everything is removed on {done} nodes", timeout.as_secs()));
    }
    if progress.is_as_far_as_it_can() { End::Done } else { End::Left }
}

/// What was seen and said already.
struct Watch {
    last: Option<(DaemonSetStatus, Instant)>,
    said: BTreeSet<String>,
}

impl Watch {
    fn is_due(&mut self, status: &DaemonSetStatus) -> bool {
        let now = Instant::now();
        let is_due = self
            .last
            .as_ref()
            .is_none_or(|(seen, at)| seen != status || now.duration_since(*at) >= LIST_EVERY);
        if is_due {
            self.last = Some((status.clone(), now));
        }
        is_due
    }

    fn say_done(&mut self, progress: &Progress, mut say: impl FnMut(&str)) {
        for node in progress.done() {
            if self.said.insert(node.to_owned()) {
                say(&format!("everything is removed: {}", Shown(node)));
            }
        }
    }
}

/// An API server that is asked again until the time is over.
struct Server {
    client: ApiClient,
    until: Instant,
}

impl Server {
    /// `None`: it does not exist.
    async fn daemon_set(&self, path: &str, called: &str) -> Result<Option<DaemonSet>, UninstallError> {
        let read = self.ask(format!("read {called}"), async || read(&self.client, path).await).await;
        match read {
            Err(UninstallError::Request { source: RequestError::Response { code: 404, .. }, .. }) => Ok(None),
            read => read.map(Some),
        }
    }

    async fn patch(&self, path: &str, called: &str) -> Result<(), UninstallError> {
        let patch = async || self.client.patch(path, objects::patch(), SILENCE).await;
        self.ask(format!("change {called}"), patch).await
    }

    async fn pods(&self, daemon_set: &DaemonSet, namespace: &str) -> Result<Vec<Pod>, UninstallError> {
        let all = async || {
            let mut pods = Vec::new();
            let mut continued = String::new();
            loop {
                let path = daemon_set.pods(namespace, &continued);
                let part: Pods = read(&self.client, &path).await?;
                pods.extend(part.items.into_iter().flatten());
                continued = part.metadata.continued;
                if continued.is_empty() {
                    return Ok(pods);
                }
            }
        };
        self.ask(format!("list the pods in {}", Shown(namespace)), all).await
    }

    async fn ask<T>(
        &self,
        doing: String,
        request: impl AsyncFn() -> Result<T, RequestError>,
    ) -> Result<T, UninstallError> {
        let (begin, mut backoff) = (Instant::now(), Backoff::default());
        loop {
            let error = match timeout_at(self.until.max(begin + SILENCE), request()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_elapsed) => RequestError::Silent { after: SILENCE },
            };
            self.client.recover(&error);
            let wait = backoff.after(&error);
            if !may_pass(&error, begin.elapsed()) || Instant::now() + wait > self.until {
                let server = self.client.server();
                return Err(UninstallError::Request { doing, server, source: error });
            }
            sleep(wait).await;
        }
    }
}

fn may_pass(error: &RequestError, since: Duration) -> bool {
    match error.code() {
        Some(401 | 403) => since < RIGHTS,
        // A list that took too long is begun again; so is a change that met another one.
        Some(code) => matches!(code, 409 | 410 | 429 | 500..=599),
        None => error.is_of_the_link() || matches!(error, RequestError::NoCredentials(_)),
    }
}

async fn read<T: serde::de::DeserializeOwned>(client: &ApiClient, path: &str) -> Result<T, RequestError> {
    let text = client.text(path, SILENCE).await?;
    serde_json::from_str(&text).map_err(|error| RequestError::Garbage(error.to_string()))
}

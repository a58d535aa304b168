//! Runs this program in the agents' pods, by way of the API server, and gathers what it prints there.

pub mod live;
mod pods;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::api::exec::Exec;
use crate::api::{ApiClient, ConnectError, ExecError, KubeConfig, RequestError};
use crate::shown::{Shown, shown};

use pods::{Node, Part, Pod, by_node};

/// Where the agents' DaemonSet usually is.
pub const NAMESPACE: &str = "kube-system";
/// What the agents' pods have, by the chart and by the manifests that are made from it.
pub const SELECTOR: &str = "app.kubernetes.io/name=edgeloop,app.kubernetes.io/component=agent";
/// A node has so long for all of its answer.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// In the image.
const PROGRAM: &str = "/lb-agent";
/// Nodes that are asked at the same time.
const AT_ONCE: usize = 16;
/// Bytes that one node may print, and all together.
const MOST: usize = 16 << 20;
const MOST_IN_ALL: usize = 512 << 20;
/// The API server may send nothing for so long.
const SILENCE: Duration = Duration::from_secs(10);
/// Parts of a list: far more than a cluster has nodes.
const MOST_PARTS: usize = 1000;

/// Whose pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    /// Labels, as `kubectl get --selector` has them.
    pub selector: String,
    /// For all of the answer of one node.
    pub timeout: Duration,
}

/// Which nodes are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// All that the agents have a pod for.
    All,
    These(BTreeSet<String>),
}

/// What one node printed on standard output.
pub type Printed = Result<Vec<u8>, RemoteError>;

/// Why no node can be asked.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Connect(#[from] ConnectError),

    #[error("could not list the pods in namespace {}: {server} {source}", shown(namespace))]
    List { namespace: String, server: String, source: RequestError },

    #[error("could not list the nodes: {server} {source}")]
    Nodes { server: String, source: RequestError },

    #[error(
        "no pod in namespace {} has the labels {}: name the agents' namespace with --namespace, or their labels with --selector",
        shown(namespace),
        shown(selector)
    )]
    NoPods { namespace: String, selector: String },

    #[error(
        "no agent's pod in namespace {} has a container {:?}: name an image with --image",
        shown(namespace),
        pods::CONTAINER
    )]
    NoImage { namespace: String },
}

/// Why one node gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("the agents have no pod there")]
    NoPod,

    #[error("the container {:?} of its pod {} does not run: {}", pods::CONTAINER, Shown(pod), Shown(why))]
    NotRunning { pod: String, why: String },

    #[error(transparent)]
    Exec(#[from] ExecError),

    #[error("all nodes together printed more than {} MB: name fewer with --on", MOST_IN_ALL >> 20)]
    TooMuchInAll,

    #[error("the task that asked it panicked")]
    Panicked,
}

/// The agents' pods of the nodes that are asked.
#[derive(Debug)]
pub struct Agents {
    client: ApiClient,
    namespace: Arc<str>,
    timeout: Duration,
    /// The name of the pod, or why it has none to ask.
    pods: BTreeMap<String, Result<String, RemoteError>>,
}

/// Runs this program once with these arguments, for each node in its agent's pod. By node.
///
/// # Errors
/// No node can be asked.
pub async fn run(
    config: KubeConfig,
    target: &Target,
    nodes: &Nodes,
    arguments: &[&str],
) -> Result<Vec<(String, Printed)>, FindError> {
    Ok(Agents::find(config, target, nodes).await?.run(arguments).await)
}

impl Agents {
    /// Finds the pods. It takes the right to list them.
    ///
    /// # Errors
    /// The API server cannot be reached, refuses, or has no such pods.
    pub async fn find(config: KubeConfig, target: &Target, nodes: &Nodes) -> Result<Self, FindError> {
        let client = ApiClient::new(config, None).await?;
        let pods = by_node(&pods_of_agents(&client, target).await?, nodes);
        Ok(Self { client, namespace: target.namespace.as_str().into(), timeout: target.timeout, pods })
    }

    /// Runs this program once with these arguments in each pod. By node. It takes the right to run programs in the pods.
    pub async fn run(self, arguments: &[&str]) -> Vec<(String, Printed)> {
        let Self { client, namespace, timeout, pods } = self;
        let words = std::iter::once(PROGRAM).chain(arguments.iter().copied());
        let command: Arc<[String]> = words.map(str::to_owned).collect();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut answers = BTreeMap::new();
        let mut asked = JoinSet::new();
        let mut nodes = BTreeMap::new();
        for (node, pod) in pods {
            let pod = match pod {
                Ok(pod) => pod,
                Err(error) => {
                    answers.insert(node, Err(error));
                    continue;
                }
            };
            let (client, namespace) = (client.clone(), Arc::clone(&namespace));
            let (command, turns) = (Arc::clone(&command), Arc::clone(&turns));
            let task = asked.spawn(async move {
                // It is never closed; without it the number is not bounded, which is no reason not to ask.
                let _turn = turns.acquire().await;
                let (namespace, pod) = (&*namespace, pod.as_str());
                let (container, most, limit) = (pods::CONTAINER, MOST, timeout);
                client.exec(&Exec { namespace, pod, container, command: &command, most, limit }).await
            });
            nodes.insert(task.id(), node);
        }
        let mut in_all = 0;
        while let Some(ended) = asked.join_next_with_id().await {
            let (id, printed) = match ended {
                Ok((id, printed)) => (id, printed.map_err(RemoteError::Exec)),
                Err(panic) => (panic.id(), Err(RemoteError::Panicked)),
            };
            in_all += printed.as_ref().map_or(0, Vec::len);
            let printed = if in_all > MOST_IN_ALL { Err(RemoteError::TooMuchInAll) } else { printed };
            answers.extend(nodes.remove(&id).map(|node| (node, printed)));
        }
        answers.into_iter().collect()
    }
}

/// The image of the agents' pods.
///
/// # Errors
/// No pod can be asked for, or none says it.
pub async fn image(config: KubeConfig, target: &Target) -> Result<String, FindError> {
    let client = ApiClient::new(config, None).await?;
    let listed = pods_of_agents(&client, target).await?;
    let image = listed.iter().find_map(Pod::image).map(str::to_owned);
    image.ok_or_else(|| FindError::NoImage { namespace: target.namespace.clone() })
}

/// At least one.
async fn pods_of_agents(client: &ApiClient, target: &Target) -> Result<Vec<Pod>, FindError> {
    let Target { namespace, selector, .. } = target;
    let path = |continued: &str| pods::path(namespace, selector, continued);
    let listed: Vec<Pod> = list(client, path).await.map_err(|source| FindError::List {
        namespace: namespace.clone(),
        server: client.server(),
        source,
    })?;
    if listed.is_empty() {
        return Err(FindError::NoPods { namespace: namespace.clone(), selector: selector.clone() });
    }
    Ok(listed)
}

/// The names of all nodes of the cluster. It takes the right to list them.
///
/// # Errors
/// The API server cannot be reached, or refuses.
pub async fn all_nodes(config: KubeConfig) -> Result<BTreeSet<String>, FindError> {
    let client = ApiClient::new(config, None).await?;
    let listed: Vec<Node> = list(&client, pods::path_of_nodes)
        .await
        .map_err(|source| FindError::Nodes { server: client.server(), source })?;
    Ok(listed.into_iter().map(|node| node.metadata.name).collect())
}

/// All parts of a list, whose path is made of the token of the part before.
async fn list<T: DeserializeOwned>(
    client: &ApiClient,
    path: impl Fn(&str) -> String,
) -> Result<Vec<T>, RequestError> {
    let mut items = Vec::new();
    let mut continued = String::new();
    for _ in 0..MOST_PARTS {
        let text = client.text(&path(&continued), SILENCE).await?;
        let part: Part<T> =
            serde_json::from_str(&text).map_err(|error| RequestError::Garbage(error.to_string()))?;
        items.extend(part.items.into_iter().flatten());
        continued = part.metadata.continued;
        if continued.is_empty() {
            return Ok(items);
        }
    }
    Err(RequestError::Garbage(format!("a list in more than {MOST_PARTS} parts")))
}

//! A client and a server in each pool, for a while: what connections get there.

mod objects;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{AT_ONCE, list};
use crate::api::exec::Exec;
use crate::api::{ApiClient, ConnectError, ExecError, KubeConfig, RequestError};
use crate::shown::{Shown, shown};

use objects::{CONTAINER, Pod, SERVICE_PORT, SERVICES, Service, pod_name};

/// The API server may send nothing for so long.
const SILENCE: Duration = Duration::from_secs(10);
/// Until all pods run: an image may have to be fetched.
const STARTS: Duration = Duration::from_secs(120);
/// Until the agents know what was made.
const KNOWN: Duration = Duration::from_secs(30);
const PERIOD: Duration = Duration::from_secs(1);
/// One pod dials two TCP targets ten times, for 4 s each at most, as many UDP targets for 2 s, and asks for a name.
const DIALS: Duration = Duration::from_secs(180);
const MOST: usize = 1 << 20;

/// One node of each pool, and what its pod runs.
#[derive(Clone, Debug)]
pub struct Live {
    /// Node by pool.
    pub pools: BTreeMap<String, String>,
    pub image: String,
}

/// By pool, what its client printed, or why it did not.
pub type Printed = Vec<(String, Result<Vec<u8>, String>)>;

/// What the clients got.
#[derive(Debug)]
pub struct Seen {
    /// Or why none dialled.
    pub printed: Result<Printed, LiveError>,
    /// What could not be removed, and why.
    pub left: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error("could not {doing} at {server}: it {source}")]
    Request { doing: String, server: String, source: RequestError },

    /// Nothing is made outside of it.
    #[error("{server} refused to make a Namespace: it {source}")]
    NoNamespace { server: String, source: RequestError },

    #[error("pod {pod} on node {} does not run: {}", Shown(node), Shown(why))]
    NotRunning { pod: String, node: String, why: String },

    #[error("it was stopped before all pools were tried")]
    Stopped,
}

/// Dials in each pool until what is seen is as wanted, or for 30 s; `is_as_wanted` judges what all clients printed.
/// What was made is removed in every case, also when `stopped` resolves first.
///
/// # Errors
/// The API server cannot be reached.
pub async fn dial(
    config: KubeConfig,
    live: &Live,
    stopped: impl Future<Output = ()>,
    is_as_wanted: impl Fn(&Printed) -> bool,
) -> Result<Seen, ConnectError> {
    let client = ApiClient::new(config, None).await?;
    let namespace = format!("edgeloop-check-{:08x}", RandomState::new().hash_one(std::process::id()) as u32);
    let stage = Stage { client, namespace, live };
    let printed = tokio::select! {
        printed = stage.dial(is_as_wanted) => printed,
        () = stopped => Err(LiveError::Stopped),
    };
    let left = match &printed {
        Err(LiveError::NoNamespace { .. }) => None,
        Ok(_) | Err(_) => stage.remove().await.err().map(|error| error.to_string()),
    };
    Ok(Seen { printed, left })
}

struct Stage<'l> {
    client: ApiClient,
    namespace: String,
    live: &'l Live,
}

impl Stage<'_> {
    async fn dial(&self, is_as_wanted: impl Fn(&Printed) -> bool) -> Result<Printed, LiveError> {
        self.make().await?;
        self.wait_for_pods().await?;
        let command = self.command().await?;
        let until = Instant::now() + KNOWN;
        loop {
            let pools = self.live.pools.keys().enumerate();
            let dialled = pools.map(async |(number, pool)| {
                let said = self.exec(number, &command).await;
                (pool.clone(), said.map_err(|error| shown(&error.to_string())))
            });
            let printed: Printed = stream::iter(dialled).buffered(AT_ONCE).collect().await;
            if is_as_wanted(&printed) || Instant::now() > until {
                return Ok(printed);
            }
            sleep(PERIOD).await;
        }
    }

    async fn make(&self) -> Result<(), LiveError> {
        let Self { namespace, live, .. } = self;
        let made = self
            .client
            .post(objects::NAMESPACES, objects::namespace(namespace).to_string().into_bytes(), SILENCE)
            .await;
        made.map_err(|source| {
            if source.is_refusal() {
                LiveError::NoNamespace { server: self.client.server(), source }
            } else {
                self.failed("make a Namespace", source)
            }
        })?;
        for (number, (pool, node)) in live.pools.iter().enumerate() {
            let pod = objects::pod(number, pool, node, &live.image);
            self.post(&objects::path(namespace, "/pods"), &pod).await?;
        }
        for name in SERVICES {
            self.post(&objects::path(namespace, "/services"), &objects::service(name)).await?;
        }
        Ok(())
    }

    async fn wait_for_pods(&self) -> Result<(), LiveError> {
        let until = Instant::now() + STARTS;
        loop {
            let path = objects::path(&self.namespace, "/pods");
            let pods: Vec<Pod> = list(&self.client, |_| path.clone())
                .await
                .map_err(|source| self.failed("list the pods of the check", source))?;
            let ended = pods.iter().find(|pod| pod.has_ended());
            let Some(waits) = ended.or_else(|| pods.iter().find(|pod| !pod.runs())) else { return Ok(()) };
            if ended.is_some() || Instant::now() > until {
                let numbered = (0..).zip(self.live.pools.values());
                let node = numbered.into_iter().find(|(number, _)| pod_name(*number) == waits.metadata.name);
                let node = node.map(|(_, node)| node.clone()).unwrap_or_default();
                let (pod, why) = (waits.metadata.name.clone(), waits.why_not().to_owned());
                return Err(LiveError::NotRunning { pod, node, why });
            }
            sleep(PERIOD).await;
        }
    }

    /// What each client runs.
    async fn command(&self) -> Result<Vec<String>, LiveError> {
        let mut words: Vec<String> = ["/lb-agent", "probe", "dial", "--"].map(str::to_owned).into();
        for name in SERVICES {
            let path = objects::path(&self.namespace, &format!("/services/{name}"));
            let text = self.client.text(&path, SILENCE).await;
            let read = text.and_then(|text| {
                serde_json::from_str::<Service>(&text)
                    .map_err(|error| RequestError::Garbage(error.to_string()))
            });
            let service = read.map_err(|source| self.failed(&format!("read Service {name}"), source))?;
            let ip = service.spec.cluster_ip;
            let place = if ip.contains(':') {
                format!("[{ip}]:{SERVICE_PORT}")
            } else {
                format!("{ip}:{SERVICE_PORT}")
            };
            words.extend(["tcp", "udp"].map(|protocol| format!("{protocol}/{place}")));
        }
        words.push(format!("dns/{}.{}", SERVICES[0], self.namespace));
        Ok(words)
    }

    async fn exec(&self, number: usize, command: &[String]) -> Result<Vec<u8>, ExecError> {
        let pod = pod_name(number);
        let (namespace, container, most, limit) = (self.namespace.as_str(), CONTAINER, MOST, DIALS);
        self.client.exec(&Exec { namespace, pod: &pod, container, command, most, limit }).await
    }

    async fn post(&self, path: &str, object: &Value) -> Result<(), LiveError> {
        let made = self.client.post(path, object.to_string().into_bytes(), SILENCE).await;
        made.map_err(|source| {
            self.failed(&format!("make a {}", object["kind"].as_str().unwrap_or_default()), source)
        })
    }

    /// The namespace, and all that is in it.
    async fn remove(&self) -> Result<(), LiveError> {
        let removed = self.client.delete(&objects::path(&self.namespace, ""), SILENCE).await;
        match removed {
            Err(source) if !source.is_not_found() => {
                Err(self.failed(&format!("remove namespace {}", self.namespace), source))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn failed(&self, doing: &str, source: RequestError) -> LiveError {
        LiveError::Request { doing: doing.to_owned(), server: self.client.server(), source }
    }
}

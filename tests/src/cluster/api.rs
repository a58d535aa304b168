//! Asking the API server, from inside of its network namespace.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http::{Method, Request};
use kube::Client;
use kube::config::{AuthInfo, Config};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::harness::netns::Netns;

use super::objects::{self, Patch};

/// Longer than anything takes that an idle API server is asked.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client with one user's rights. Its sockets belong to the control plane's network namespace.
#[derive(Clone)]
pub struct Api {
    client: Client,
    runtime: Arc<Runtime>,
}

/// What the API server says when it refuses.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path}: {code} {message}")]
pub struct Refused {
    pub code: u16,
    message: String,
    method: Method,
    path: String,
}

impl Api {
    /// `authority` is a certificate in DER.
    pub(super) fn new(netns: &Arc<Netns>, server: &str, authority: Vec<u8>, token: &str) -> Result<Self> {
        let runtime = runtime_in(netns)?;
        let mut config = Config::new(server.parse().context("not an address of a server")?);
        config.root_cert = Some(vec![authority]);
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        config.read_timeout = Some(PATIENCE);
        let client = {
            let _inside = runtime.enter();
            Client::try_from(config).context("could not make a client")?
        };
        Ok(Self { client, runtime: Arc::new(runtime) })
    }

    /// Asks for `path` and gives what is answered.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None, None)
    }

    /// The objects of a list, whose path is given.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        match self.get(path)?.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(other) => bail!("{path} is no list: {other}"),
        }
    }

    /// Creates an object, where its kind says.
    pub fn create(&self, object: &Value) -> Result<Value> {
        let path = objects::collection(object)?;
        self.send(Method::POST, &path, None, Some(object))
    }

    /// Creates it, or writes it over one that is there.
    pub fn apply(&self, object: &Value) -> Result<Value> {
        let path = format!("{}?fieldManager=edgeloop-tests&force=true", objects::path(object)?);
        self.send(Method::PATCH, &path, Some(Patch::Apply), Some(object))
    }

    pub fn patch(&self, path: &str, how: Patch, patch: &Value) -> Result<Value> {
        self.send(Method::PATCH, path, Some(how), Some(patch))
    }

    /// Changes parts of an object, or of its status where the path says so.
    pub fn merge(&self, path: &str, patch: &Value) -> Result<Value> {
        self.patch(path, Patch::Merge, patch)
    }

    pub fn delete(&self, path: &str) -> Result<Value> {
        self.send(Method::DELETE, path, None, None)
    }

    /// Deletes without a grace period, as a kubelet does when a pod's processes have ended.
    pub fn delete_now(&self, path: &str) -> Result<Value> {
        let now = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        self.send(Method::DELETE, path, None, Some(&now))
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Method::POST, path, None, Some(body))
    }

    fn send(&self, method: Method, path: &str, patch: Option<Patch>, body: Option<&Value>) -> Result<Value> {
        let request = request(method.clone(), path, patch, body)?;
        let client = self.client.clone();
        let answer = self.run(async move { client.request::<Value>(request).await })?;
        answer.map_err(|error| refused(error, method, path))
    }

    /// What is not JSON, such as `/readyz`.
    pub fn text(&self, path: &str) -> Result<String> {
        let request = request(Method::GET, path, None, None)?;
        let client = self.client.clone();
        let answer = self.run(async move { client.request_text(request).await })?;
        answer.map_err(|error| refused(error, Method::GET, path))
    }

    /// Runs a future in the control plane's network namespace.
    pub fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Result<T> {
        self.run_within(PATIENCE * 3, future)
    }

    /// The same for one that may take this long.
    pub fn run_within<T: Send + 'static>(
        &self,
        within: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        // On the runtime's threads: the calling one is in another namespace.
        self.runtime.spawn(async move {
            drop(sender.send(future.await));
        });
        receiver.recv_timeout(within).context("the API server was asked in vain")
    }

    /// For futures of [`run`](Self::run).
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}

/// A runtime all of whose threads are in this namespace. It holds the namespace while it lives.
pub(super) fn runtime_in(netns: &Arc<Netns>) -> Result<Runtime> {
    let inside = Arc::clone(netns);
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_start(move || {
            if let Err(error) = inside.enter() {
                // Nothing may be sent from where we are.
                eprintln!("{error:#}");
                std::process::abort();
            }
        })
        .build()
        .context("could not make a runtime")
}

/// Whether an API server refused with this code.
#[must_use]
pub fn is_refused(error: &anyhow::Error, code: u16) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == code)
}

/// Whether it is the way to the API server that failed.
pub(super) fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<kube::Error>().is_some_and(|error| {
            matches!(error, kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_))
        })
    })
}

pub(super) fn request(
    method: Method,
    path: &str,
    patch: Option<Patch>,
    body: Option<&Value>,
) -> Result<Request<Vec<u8>>> {
    let body = body.map(serde_json::to_vec).transpose().context("could not write JSON")?.unwrap_or_default();
    let kind = patch.map_or("application/json", Patch::content_type);
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    request.body(body).with_context(|| format!("not a path: {path}"))
}

fn refused(error: kube::Error, method: Method, path: &str) -> anyhow::Error {
    if let kube::Error::Api(status) = &error {
        let (code, message) = (status.code, status.message.clone());
        return anyhow!(Refused { code, message, method, path: path.to_owned() });
    }
    anyhow!(error).context(format!("{method} {path}"))
}

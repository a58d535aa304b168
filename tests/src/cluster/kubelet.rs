//! A stand-in for the kubelets: pods that are bound to simulated nodes become namespaces with servers.

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::harness::checkout;
use crate::harness::child::Child;
use crate::harness::node::Node;
use crate::harness::pod::Pod;

use super::objects::{self, Patch};
use super::runtime::{Pods as Contained, Runtime};
use super::{Api, Cluster, is_refused, is_unreachable};

/// How often it looks at the API server.
const PERIOD: Duration = Duration::from_millis(50);

/// The object of a pod that is to go stays for so long.
const GRACE: Duration = Duration::from_secs(1);
/// Its program serves for so long from its deletion on: where all endpoints of a Service are on their way out, clients get
/// these until the last node has heard, also on a busy machine.
const SERVES: Duration = Duration::from_secs(5);

const PODS: &str = "/api/v1/pods";

/// All nodes' kubelets. Their pods end when it is dropped.
pub struct Kubelet {
    pods: Pods,
    seen: History,
    contained: Arc<Mutex<Contained>>,
    /// Its end reaches the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// By the pod's name: the tests' names are unique beyond their namespaces.
type Pods = Arc<Mutex<BTreeMap<String, Running>>>;

/// The name of each pod that ever ran here, and of its node.
type History = Arc<Mutex<BTreeMap<String, String>>>;

struct Running {
    pod: Arc<Pod>,
    /// Its own program, where its container runs this project's.
    _program: Option<Child>,
    /// Since when it is to end.
    ending: Option<Instant>,
}

/// A pod that runs here, or did.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: String,
    pub node: String,
    /// It runs and is not to end.
    pub runs: bool,
}

/// What the stand-in knows of a node.
struct Ground {
    node: Node,
    /// The next pod's place in the node's network.
    next: u8,
    /// The third number of the node's pods' addresses, 10.244.N.0/24.
    net: u8,
}

impl Kubelet {
    /// Registers these nodes, with their labels, and runs the pods that are bound to them. A node's pods are
    /// at 10.244.N.1 and above, where N is the node's place in the list, from 1.
    pub fn start(cluster: &Cluster, nodes: &[(Node, Value)]) -> Result<Self> {
        Self::start_with(cluster, nodes, None)
    }

    /// The same, and pods of images that `runtime` has run in containers.
    pub fn start_with(cluster: &Cluster, nodes: &[(Node, Value)], runtime: Option<Runtime>) -> Result<Self> {
        let mut grounds = BTreeMap::new();
        for ((node, labels), net) in nodes.iter().zip(1..) {
            cluster.register(node.name(), labels)?;
            grounds.insert(node.name().to_owned(), Ground { node: node.clone(), next: 1, net });
        }
        let (end, ended) = mpsc::channel();
        let pods = Pods::default();
        let seen = History::default();
        let contained = Arc::new(Mutex::default());
        let work = Work {
            api: cluster.api().clone(),
            grounds,
            pods: Arc::clone(&pods),
            seen: Arc::clone(&seen),
            runtime,
            contained: Arc::clone(&contained),
            written: BTreeMap::new(),
        };
        // Programs that it starts end with this thread.
        let thread = Some(thread::spawn(move || work.run(&ended)));
        Ok(Self { pods, seen, contained, end: Some(end), thread })
    }

    /// A pod that runs here.
    pub fn pod(&self, name: &str) -> Result<Arc<Pod>> {
        let running = lock(&self.pods);
        running.get(name).map(|running| Arc::clone(&running.pod)).with_context(|| format!("no pod {name}"))
    }

    /// Runs a program in the pod of this name, in its container of this name, as `kubectl exec` does.
    pub fn exec(&self, pod: &str, container: &str, arguments: &[&str]) -> Result<Output> {
        lock(&self.contained).exec(pod, container, arguments)
    }

    /// Every pod that runs or ran here.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let (pods, seen) = (lock(&self.pods), lock(&self.seen));
        seen.iter()
            .map(|(name, node)| {
                let runs = pods.get(name).is_some_and(|running| running.ending.is_none());
                Seen { name: name.clone(), node: node.clone(), runs }
            })
            .collect()
    }

    /// The names of all pods that run here.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        lock(&self.pods).keys().cloned().collect()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the stand-in for the kubelets panicked");
        }
    }
}

struct Work {
    api: Api,
    grounds: BTreeMap<String, Ground>,
    pods: Pods,
    seen: History,
    runtime: Option<Runtime>,
    contained: Arc<Mutex<Contained>>,
    /// The status of each pod in containers that was written last, by uid.
    written: BTreeMap<String, Value>,
}

impl Work {
    fn run(mut self, ended: &Receiver<()>) {
        let mut last = String::new();
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(PERIOD) {
            // An API server that is away comes back; what is said once needs no saying twice.
            if let Err(error) = self.look()
                && !is_unreachable(&error)
            {
                let error = format!("{error:#}");
                if error != last {
                    eprintln!("kubelet: {error}");
                }
                last = error;
            }
        }
        lock(&self.pods).clear();
        lock(&self.contained).keep(&[]);
    }

    fn look(&mut self) -> Result<()> {
        let pods = self.api.list(PODS)?;
        let names: Vec<&str> = pods.iter().filter_map(|pod| objects::name(pod).ok()).collect();
        lock(&self.pods).retain(|name, running| {
            names.contains(&name.as_str())
                || running.ending.get_or_insert_with(Instant::now).elapsed() < SERVES
        });
        let uids: Vec<&str> = pods.iter().filter_map(|pod| objects::uid(pod).ok()).collect();
        lock(&self.contained).keep(&uids);
        self.written.retain(|uid, _| uids.contains(&uid.as_str()));
        for pod in &pods {
            let bound = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
            if !self.grounds.contains_key(bound) {
                continue;
            }
            if self.runtime.as_ref().is_some_and(|runtime| runtime.runs(pod)) {
                self.contain(pod)?;
                continue;
            }
            if pod.pointer("/metadata/deletionTimestamp").is_some() {
                self.end(pod)?;
            } else if pod.pointer("/status/phase").and_then(Value::as_str) == Some("Pending") {
                self.begin(pod, bound)?;
            }
        }
        Ok(())
    }

    /// Takes a pod in containers a step further, and says what has changed.
    fn contain(&mut self, pod: &Value) -> Result<()> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let uid = objects::uid(pod)?;
        let status = runtime.look(&mut lock(&self.contained), pod)?;
        let path = objects::path(&typed(pod)?)?;
        let gone = |error: &anyhow::Error| is_refused(error, 404) || is_refused(error, 409);
        if self.written.get(uid) != Some(&status) {
            match self.api.patch(&format!("{path}/status"), Patch::Strategic, &status) {
                Err(error) if !gone(&error) => return Err(error),
                Ok(_) | Err(_) => drop(self.written.insert(uid.to_owned(), status)),
            }
        }
        if pod.pointer("/metadata/deletionTimestamp").is_some() && lock(&self.contained).has_ended(uid) {
            match self.api.delete_now(&path) {
                Err(error) if !gone(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Runs it, if it does not yet, and says so.
    fn begin(&mut self, object: &Value, bound: &str) -> Result<()> {
        let name = objects::name(object)?;
        let known = lock(&self.pods).get(name).map(|running| Arc::clone(&running.pod));
        let pod = match known {
            Some(pod) => pod,
            None => {
                let (pod, program) = self.run_pod(object, name, bound)?;
                let pod = Arc::new(pod);
                lock(&self.seen).insert(name.to_owned(), bound.to_owned());
                let running = Running { pod: Arc::clone(&pod), _program: program, ending: None };
                lock(&self.pods).insert(name.to_owned(), running);
                pod
            }
        };
        let status = running(object, &pod.address().to_string());
        let path = format!("{}/status", objects::path(&typed(object)?)?);
        self.api.patch(&path, Patch::Strategic, &status).map(|_| ())
    }

    fn run_pod(&mut self, object: &Value, name: &str, bound: &str) -> Result<(Pod, Option<Child>)> {
        let ground = self.grounds.get_mut(bound).with_context(|| format!("no node {bound}"))?;
        let address = format!("10.244.{}.{}", ground.net, ground.next);
        ground.next = ground.next.checked_add(1).context("the node's network is full")?;
        let pod = ground.node.pod(name, &address)?;
        if let Some(arguments) = own_command(object) {
            let mut program = pod.command(checkout::program("lb-agent")?);
            let program = Child::spawn(name, program.args(arguments))?;
            return Ok((pod, Some(program)));
        }
        for port in ports(object) {
            pod.serve_name(port)?;
        }
        Ok((pod, None))
    }

    fn end(&self, object: &Value) -> Result<()> {
        let name = objects::name(object)?;
        if let Some(running) = lock(&self.pods).get_mut(name)
            && running.ending.get_or_insert_with(Instant::now).elapsed() < GRACE
        {
            return Ok(());
        }
        match self.api.delete_now(&objects::path(&typed(object)?)?) {
            Err(error) if !is_refused(&error, 404) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Objects in a list do not say what they are.
fn typed(object: &Value) -> Result<Value> {
    let metadata = object.get("metadata").ok_or_else(|| anyhow!("an object without metadata"))?;
    Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}))
}

fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// The arguments of this project's program, where that is what the pod's container runs.
fn own_command(object: &Value) -> Option<Vec<String>> {
    let command = containers(object).next()?.get("command")?.as_array()?;
    let mut words = command.iter().filter_map(|word| word.as_str().map(str::to_owned));
    (words.next()? == "/lb-agent").then(|| words.collect())
}

fn ports(object: &Value) -> Vec<u16> {
    let ports = containers(object).filter_map(|container| container.get("ports")?.as_array()).flatten();
    ports.filter_map(|port| u16::try_from(port.get("containerPort")?.as_u64()?).ok()).collect()
}

/// The status of a pod whose containers all run and are ready.
fn running(object: &Value, address: &str) -> Value {
    let conditions = ["Initialized", "PodScheduled", "ContainersReady", "Ready"]
        .map(|kind| json!({"type": kind, "status": "True"}));
    let containers: Vec<Value> = containers(object)
        .map(|container| {
            json!({
                "name": container.get("name"), "image": container.get("image"), "imageID": "",
                "ready": true, "started": true, "restartCount": 0,
                "state": {"running": {}},
            })
        })
        .collect();
    json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": "127.0.0.1",
        "conditions": conditions, "containerStatuses": containers,
    }})
}

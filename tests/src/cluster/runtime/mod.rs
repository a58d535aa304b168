//! Pods in a real container runtime, from what the API server holds: what a kubelet and containerd would do with them.

mod bundle;
mod container;
mod host;
mod image;
mod pod;
mod probe;
mod volumes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::harness::cgroup;
use crate::harness::node::Node;

use super::{Api, Cluster, objects};
use bundle::{Wanted, items};
use host::Host;
use image::Image;
use pod::ContainedPod;

/// Runs the pods whose images it has, on the hosts of the nodes that it was made for.
pub struct Runtime {
    api: Api,
    folder: PathBuf,
    hierarchy: PathBuf,
    /// What `runc` begins a bundle with.
    base: Value,
    /// Those that this process could pass on.
    capabilities: Vec<&'static str>,
    images: BTreeMap<String, Arc<Image>>,
    hosts: BTreeMap<String, Arc<Host>>,
}

/// By their uids.
#[derive(Default)]
pub(super) struct Pods(BTreeMap<String, ContainedPod>);

impl Runtime {
    /// # Errors
    /// There is no runc, or a node's host cannot be made.
    pub fn new(cluster: &Cluster, nodes: &[Node]) -> Result<Self> {
        let folder = cluster.folder().join("runtime");
        fs::create_dir(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let base = container::base(&folder)?;
        let hosts = nodes
            .iter()
            .map(|node| Ok((node.name().to_owned(), Arc::new(Host::new(cluster, node.clone())?))));
        Ok(Self {
            api: cluster.api().clone(),
            hierarchy: cgroup::root()?,
            base,
            capabilities: container::held()?,
            images: BTreeMap::new(),
            hosts: hosts.collect::<Result<_>>()?,
            folder,
        })
    }

    /// Pods may name this image from now on, as if it had been imported on every node.
    pub fn import(&mut self, name: &str, archive: &Path) -> Result<()> {
        let folder = self.folder.join(format!("image{}", self.images.len()));
        self.images.insert(name.to_owned(), Arc::new(Image::unpack(archive, &folder)?));
        Ok(())
    }

    /// Whether containers can be given this capability here: some sandboxes hold it back from root.
    #[must_use]
    pub fn may_give(&self, capability: &str) -> bool {
        self.capabilities.contains(&capability)
    }

    /// Where a path of a node's host lies on this machine.
    pub fn path_on(&self, node: &str, path: &str) -> Result<PathBuf> {
        let host = self.hosts.get(node).with_context(|| format!("no host {node}"))?;
        Ok(host.path(path))
    }

    pub(super) fn runs(&self, pod: &Value) -> bool {
        let images = pod.get("spec").into_iter().flat_map(|spec| items(spec, "containers"));
        images.into_iter().all(|container| {
            container.get("image").and_then(Value::as_str).is_some_and(|name| self.images.contains_key(name))
        })
    }

    /// Starts a pod that is not known yet, and takes it a step further. Gives its status.
    pub(super) fn look(&self, pods: &mut Pods, pod: &Value) -> Result<Value> {
        let uid = objects::uid(pod)?;
        if !pods.0.contains_key(uid) {
            let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
            let host = self.hosts.get(node).with_context(|| format!("no host {node}"))?;
            pods.0.insert(uid.to_owned(), ContainedPod::new(self, Arc::clone(host), pod)?);
        }
        let running = pods.0.get_mut(uid).context("it was put there")?;
        if pod.pointer("/metadata/deletionTimestamp").is_some() {
            running.end();
        }
        running.step(self)?;
        Ok(running.status())
    }

    fn image(&self, name: &str) -> Option<Arc<Image>> {
        self.images.get(name).cloned()
    }

    fn hierarchy(&self) -> &Path {
        &self.hierarchy
    }

    /// What runc knows of its containers.
    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Writes what runc starts a container from.
    fn bundle(&self, id: &str, wanted: &Wanted<'_>, confined: bool) -> Result<PathBuf> {
        let bundle = self.folder.join("bundles").join(id);
        wanted.image.copy_to(&bundle.join("root"))?;
        let mut config = wanted.configuration(&self.base)?;
        if confined {
            config = container::confined(&config)?;
        }
        fs::write(bundle.join("config.json"), format!("{config:#}")).context("could not write a bundle")?;
        Ok(bundle)
    }
}

impl Pods {
    /// Runs a program in the pod of this name, in its container of this name.
    pub(super) fn exec(&self, pod: &str, container: &str, arguments: &[&str]) -> Result<Output> {
        let found = self.0.values().find(|one| one.name() == pod);
        found.with_context(|| format!("no pod {pod} runs"))?.exec(container, arguments)
    }

    /// Ends all others.
    pub(super) fn keep(&mut self, uids: &[&str]) {
        self.0.retain(|uid, _| uids.contains(&uid.as_str()));
    }

    pub(super) fn has_ended(&self, uid: &str) -> bool {
        self.0.get(uid).is_none_or(ContainedPod::has_ended)
    }
}

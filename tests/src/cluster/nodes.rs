//! Nodes as a kubelet would register them, and the rights of the agents on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::harness::checkout;
use crate::harness::manifests::manifest;

use super::{Cluster, is_refused};

/// What an operator applies for the agents.
const RIGHTS: &str = "deploy/rbac.yaml";

/// Where Edgeloop's own objects are.
const NAMESPACE: &str = "kube-system";
const ACCOUNT: &str = "edgeloop-agent";

/// For what is on its way.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// Seconds that a token is good for: an hour, which is what a pod gets.
const LIFETIME: u32 = 3600;

impl Cluster {
    /// Creates a Node that is ready and takes pods.
    pub fn register(&self, name: &str, labels: &Value) -> Result<()> {
        let mut node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        }}});
        if let (Some(Value::Object(own)), Value::Object(labels)) =
            (node.pointer_mut("/metadata/labels"), labels.clone())
        {
            own.extend(labels);
        }
        // An admission webhook may not have heard of the node's pool yet.
        patiently(404, || self.api().create(&node))?;
        let room = json!({"cpu": "8", "memory": "16Gi", "pods": "110"});
        self.api().merge(
            &format!("/api/v1/nodes/{name}/status"),
            &json!({"status": {
                "capacity": room, "allocatable": room,
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            }}),
        )?;
        // Admission adds one that only the node life cycle takes away.
        self.api().merge(&format!("/api/v1/nodes/{name}"), &json!({"spec": {"taints": null}}))?;
        Ok(())
    }

    /// Applies every object of a file of the project, in its order.
    pub fn apply_file(&self, file: impl AsRef<Path>) -> Result<()> {
        let file = checkout::folder()?.join(file);
        let text = fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))?;
        self.apply_text(&text).with_context(|| format!("in {}", file.display()))
    }

    /// Applies all objects of a manifest.
    pub fn apply_text(&self, text: &str) -> Result<()> {
        for object in documents(text)? {
            self.api().apply(&object)?;
        }
        Ok(())
    }

    /// Applies objects in the notation of [`manifests`](crate::harness::manifests).
    pub fn apply_lines(&self, lines: &str) -> Result<()> {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.api().apply(&manifest(line)?).with_context(|| format!("in the line: {line}"))?;
        }
        Ok(())
    }

    /// A kubeconfig with the rights of an agent's ServiceAccount, which are those of `deploy/rbac.yaml` and
    /// no others.
    pub fn agent_kubeconfig(&self) -> Result<PathBuf> {
        self.apply_file(RIGHTS)?;
        self.account_kubeconfig(NAMESPACE, ACCOUNT)
    }

    /// A kubeconfig with a fresh token of this ServiceAccount.
    pub fn account_kubeconfig(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let token = self.account_token(namespace, account)?;
        self.write_kubeconfig(account, &token)
    }

    /// A fresh token of this ServiceAccount.
    pub fn account_token(&self, namespace: &str, account: &str) -> Result<String> {
        self.bound_token(namespace, account, None)
    }

    /// A fresh token of this ServiceAccount for this pod, as a kubelet asks for it.
    pub fn pod_token(&self, namespace: &str, account: &str, pod: &Value) -> Result<String> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"],
        });
        self.bound_token(namespace, account, Some(pod))
    }

    fn bound_token(&self, namespace: &str, account: &str, pod: Option<Value>) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let ask = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": LIFETIME, "boundObjectRef": pod},
        });
        let answer = patiently(404, || self.api().post(&path, &ask))?;
        let token = answer.pointer("/status/token").and_then(Value::as_str);
        Ok(token.context("an API server that gives no token")?.to_owned())
    }
}

/// Every document of a YAML file.
pub(super) fn documents(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("not YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Again for some seconds while the API server refuses with this code: what it misses is on its way.
pub fn patiently<T>(code: u16, mut act: impl FnMut() -> Result<T>) -> Result<T> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match act() {
            Err(error) if is_refused(&error, code) && Instant::now() < give_up => thread::sleep(PAUSE),
            done => return done,
        }
    }
}

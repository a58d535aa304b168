//! The Helm chart: what it renders, what it refuses, and the pages that are written from it.

mod alerts;
mod documents;
mod node;
mod notes;
mod refused;
mod rendered;
mod schemas;
mod security;
mod written;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::checkout;
use edgeloop_tests::cluster::tool;
use serde_json::Value;

/// The oldest that is supported, one from between, and the newest.
pub(crate) const VERSIONS: [&str; 3] = ["1.18.0", "1.24.0", "1.36.0"];

pub(crate) fn folder() -> Result<PathBuf> {
    Ok(checkout::folder()?.join("charts/edgeloop"))
}

/// Helm without anything that its user has set or kept.
pub(crate) fn helm(verb: &[&str]) -> Result<Command> {
    let mut helm = Command::new(tool("helm")?);
    let nowhere = std::env::temp_dir().join("edgeloop-no-helm");
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(name, &nowhere);
    }
    helm.env_remove("KUBECONFIG").args(verb);
    Ok(helm)
}

/// The release `edgeloop` in `kube-system`.
pub(crate) fn template(version: &str, flags: &[&str]) -> Result<Output> {
    let mut helm = helm(&["template", "edgeloop"])?;
    helm.arg(folder()?).args(["--namespace", "kube-system", "--kube-version", version]).args(flags);
    helm.output().context("could not start helm")
}

pub(crate) fn rendered_text(version: &str, flags: &[&str]) -> Result<String> {
    let output = template(version, flags)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{version} {flags:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The objects, hooks and tests among them.
pub(crate) fn rendered(version: &str, flags: &[&str]) -> Result<Vec<Value>> {
    let text = rendered_text(version, flags)?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).context("not YAML")?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

pub(crate) fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let mut objects = objects.iter();
    let found = objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.with_context(|| format!("there is no {kind} {name}"))
}

/// The agents' pods, as the DaemonSet has them.
pub(crate) fn agent_pod(version: &str, flags: &[&str]) -> Result<Value> {
    let objects = rendered(version, flags)?;
    let daemon_set = objects.iter().find(|object| object["kind"] == "DaemonSet");
    Ok(daemon_set.context("there is no DaemonSet")?["spec"]["template"].clone())
}

/// Values to try: nothing, and each file in `ci`. `old` leaves those out that need a newer Kubernetes.
pub(crate) fn value_sets(version: &str) -> Result<Vec<(String, Vec<String>)>> {
    let mut sets = vec![("the defaults".to_owned(), Vec::new())];
    for file in fs::read_dir(folder()?.join("ci")).context("could not read the folder ci")? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "flow-schema-values.yaml" && version == "1.18.0" {
            continue;
        }
        sets.push((name, vec!["--values".to_owned(), path.display().to_string()]));
    }
    sets.sort();
    Ok(sets)
}

/// Of a pod, the first containers first.
pub(crate) fn containers(pod: &Value) -> Vec<Value> {
    let of = |field: &str| pod[field].as_array().cloned().unwrap_or_default();
    [of("initContainers"), of("containers")].concat()
}

/// Every pod that some objects make, with their kind.
pub(crate) fn pods(objects: &[Value]) -> Vec<(String, Value)> {
    let pods = objects.iter().filter_map(|object| {
        let kind = object["kind"].as_str()?;
        let spec = if kind == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
        spec.is_object().then(|| (kind.to_owned(), spec.clone()))
    });
    pods.collect()
}

pub(crate) fn words(list: &Value) -> Vec<&str> {
    list.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

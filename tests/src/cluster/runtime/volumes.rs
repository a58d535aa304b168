//! A pod's volumes as folders of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cluster::Api;

use super::bundle::items;
use super::host::Host;

/// Makes all volumes of a pod, below `folder` where they are not the host's.
pub(super) fn make(api: &Api, host: &Host, pod: &Value, folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let spec = pod.get("spec").context("a pod without a spec")?;
    let mut volumes = BTreeMap::new();
    for volume in items(spec, "volumes") {
        let name = volume.get("name").and_then(Value::as_str).context("a volume without a name")?;
        let own = folder.join(name);
        let at = if let Some(of_host) = volume.get("hostPath") {
            host_path(host, of_host)?
        } else if volume.get("emptyDir").is_some() {
            made(own)?
        } else if let Some(projected) = volume.get("projected") {
            let at = made(own)?;
            for source in items(projected, "sources") {
                project(api, pod, source, &at)?;
            }
            at
        } else {
            bail!("a volume that this stand-in does not know: {volume}");
        };
        volumes.insert(name.to_owned(), at);
    }
    Ok(volumes)
}

fn host_path(host: &Host, volume: &Value) -> Result<PathBuf> {
    let path = volume.get("path").and_then(Value::as_str).context("a path of the host")?;
    let at = host.path(path);
    match volume.get("type").and_then(Value::as_str).unwrap_or_default() {
        "DirectoryOrCreate" => made(at),
        "Directory" if !at.is_dir() => bail!("the host has no folder {path}"),
        "" | "Directory" => Ok(at),
        other => bail!("a kind of path that this stand-in does not know: {other}"),
    }
}

fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    Ok(folder)
}

/// One source of a projected volume.
fn project(api: &Api, pod: &Value, source: &Value, at: &Path) -> Result<()> {
    let namespace = text(pod, "/metadata/namespace")?;
    if let Some(token) = source.get("serviceAccountToken") {
        let path = format!(
            "/api/v1/namespaces/{namespace}/serviceaccounts/{}/token",
            text(pod, "/spec/serviceAccountName")?
        );
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "name": text(pod, "/metadata/name")?, "uid": text(pod, "/metadata/uid")?});
        let ask = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": token.get("expirationSeconds"), "boundObjectRef": pod},
        });
        let answer = api.post(&path, &ask)?;
        return write(at, text(token, "/path")?, text(&answer, "/status/token")?);
    }
    if let Some(map) = source.get("configMap") {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{}", text(map, "/name")?);
        let data = api.get(&path)?;
        for item in items(map, "items") {
            let key = text(item, "/key")?;
            write(at, text(item, "/path")?, text(&data["data"], &format!("/{key}"))?)?;
        }
        return Ok(());
    }
    if let Some(fields) = source.get("downwardAPI") {
        for item in items(fields, "items") {
            let field = text(item, "/fieldRef/fieldPath")?;
            write(at, text(item, "/path")?, text(pod, &format!("/{}", field.replace('.', "/")))?)?;
        }
        return Ok(());
    }
    bail!("a source of a volume that this stand-in does not know: {source}")
}

fn text<'v>(of: &'v Value, at: &str) -> Result<&'v str> {
    of.pointer(at).and_then(Value::as_str).with_context(|| format!("no text at {at}"))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    fs::write(folder.join(name), text).with_context(|| format!("could not write {name}"))
}

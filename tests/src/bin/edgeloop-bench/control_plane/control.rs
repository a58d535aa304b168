//! The control: a bare watch of EndpointSlices, which notes when each event's bytes arrive.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::cluster::{Api, Cluster, Inside};
use http::Request;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;

use super::gate::Gate;
use super::population::change_in_json;
use super::times::Times;

const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
/// What kube-proxy and the agent ask for, too.
const SELECTOR: &str =
    "labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2Fservice-proxy-name";
const PATIENCE: Duration = Duration::from_secs(20);
/// No address is longer, quotes and all.
const ADDRESS: usize = 18;

/// Watches until it is dropped, by a gate of its own, as what it is compared with does.
pub(crate) struct Control {
    _inside: Inside,
    _api: Api,
    _gate: Gate,
}

impl Control {
    /// Watches once this returns.
    pub(crate) fn start(cluster: &Cluster, times: Times) -> Result<Self> {
        let gate = Gate::new(cluster)?;
        let api = cluster.api_by(gate.port())?;
        let list = api.get(&format!("{SLICES}?limit=1"))?;
        let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let version = version.context("a list without a version")?;
        let path = format!("{SLICES}?watch=1&resourceVersion={version}&{SELECTOR}");
        let request = Request::get(path).body(Body::empty()).context("not a path")?;
        let (client, inside) = (api.client(), cluster.inside()?);
        let answer = inside.run(PATIENCE, async move { client.send(request).await })??;
        ensure!(answer.status().is_success(), "the API server refuses a watch: {}", answer.status());
        inside.spawn(read(answer.into_body(), times));
        Ok(Self { _inside: inside, _api: api, _gate: gate })
    }
}

async fn read(mut body: Body, times: Times) {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let at = Instant::now();
        let Ok(bytes) = frame.into_data() else { continue };
        text.extend_from_slice(&bytes);
        let starts = text.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(start, _)| start);
        for change in starts.filter_map(|start| change_in_json(&text[start..])) {
            times.mark(change, at);
        }
        // An address may be cut in two.
        text.drain(..text.len().saturating_sub(ADDRESS));
    }
}

//! The control: a bare watch of EndpointSlices, which notes when each event's bytes arrive.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::cluster::{Api, Cluster, Inside};
use http::Request;
use http_body_util::BodyExt as _;
use kube::Client;
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
/// One that is ended so often has no room to go on.
const WATCHES: u32 = 100;
const VERSION: &[u8] = b"\"resourceVersion\":\"";

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
        let version = version.context("a list without a version")?.to_owned();
        let (client, inside) = (api.client(), cluster.inside()?);
        let asked = client.clone();
        let (body, version) = inside.run(PATIENCE, async move {
            let body = watch(&asked, &version).await?;
            anyhow::Ok((body, version))
        })??;
        inside.spawn(follow(client, body, version, times));
        Ok(Self { _inside: inside, _api: api, _gate: gate })
    }
}

async fn watch(client: &Client, version: &str) -> Result<Body> {
    let path = format!("{SLICES}?watch=1&resourceVersion={version}&{SELECTOR}");
    let request = Request::get(path).body(Body::empty()).context("not a path")?;
    let answer = client.send(request).await?;
    ensure!(answer.status().is_success(), "the API server refuses a watch: {}", answer.status());
    Ok(answer.into_body())
}

/// An API server ends the watch of a client that does not keep up, as on a busy machine: it goes on where that
/// one ended, as every client does.
async fn follow(client: Client, mut body: Body, mut version: String, times: Times) {
    for _ in 0..WATCHES {
        let mut seen = Seen::default();
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(bytes) = frame.into_data() {
                seen.read(&bytes, |change| times.mark(change, Instant::now()));
            }
        }
        version = seen.version.unwrap_or(version);
        eprintln!("the API server ended the bare watch; it goes on after version {version}");
        match watch(&client, &version).await {
            Ok(next) => body = next,
            Err(error) => {
                eprintln!("could not watch again from version {version}: {error:#}");
                return;
            }
        }
    }
}

/// What one watch has sent.
#[derive(Debug, Default)]
struct Seen {
    /// Of the last event that came whole.
    version: Option<String>,
    /// An event that has not come whole.
    coming: Vec<u8>,
}

impl Seen {
    /// Gives each change whose address has come; some of them again, where an address was cut in two.
    fn read(&mut self, bytes: &[u8], change: impl Fn(u32)) {
        let new = self.coming.len().saturating_sub(ADDRESS);
        self.coming.extend_from_slice(bytes);
        let text = &self.coming[new..];
        let quotes = text.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(start, _)| start);
        quotes.filter_map(|start| change_in_json(&text[start..])).for_each(change);
        while let Some(end) = self.coming.iter().position(|byte| *byte == b'\n') {
            self.version = version(&self.coming[..end]).or(self.version.take());
            self.coming.drain(..=end);
        }
    }
}

fn version(event: &[u8]) -> Option<String> {
    let start = event.windows(VERSION.len()).position(|bytes| bytes == VERSION)? + VERSION.len();
    let digits = event[start..].iter().copied().take_while(u8::is_ascii_digit);
    Some(digits.map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_watch_goes_on_after_the_last_event_that_came_whole() {
        let event = |version: u32, address: &str| {
            format!(
                "{{\"type\":\"MODIFIED\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{version}\"}},\
                 \"endpoints\":[{{\"addresses\":[\"{address}\"]}}]}}}}\n"
            )
        };
        let text = event(98, "11.0.0.7") + &event(99, "11.0.1.0") + &event(100, "12.0.0.9");
        for cut in [1, 5, 18, 50] {
            let (mut seen, found) = (Seen::default(), RefCell::new(Vec::new()));
            let whole = text.len() - 2;
            for part in text.as_bytes()[..whole].chunks(cut) {
                seen.read(part, |change| found.borrow_mut().push(change));
            }
            let mut found = found.into_inner();
            found.dedup();
            assert_eq!((found, seen.version.as_deref()), (vec![7, 256], Some("99")), "{cut}");
        }
    }
}

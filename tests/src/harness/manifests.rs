//! Short lines into ordinary Kubernetes manifests.
//!
//! ```text
//! node NAME [pool=POOL]
//! service NAME ADDRESS:PORT[/udp][,ADDRESS:PORT[/udp]…] [created=YEAR] [local] [sticky=SECONDS] [topology=KEYS]
//! slice NAME of SERVICE PORT[/udp] [ENDPOINT…]
//! ```
//!
//! KEYS goes to the end of the line. An ENDPOINT is `ADDRESS[..LAST][@NODE][!|~]`: LAST stands for all
//! addresses up to that last byte, `!` for not ready, `~` for serving and terminating. Ports of a Service
//! are named `p` and their number, or not at all when there is one; a slice has the one port PORT, for all
//! of its Service's ports.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// One object a line into one file. Empty lines, and those that begin with `#`, are nothing.
pub fn manifests(lines: &str) -> Result<String> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let documents = lines.map(|line| manifest(line).map(|object| object.to_string()));
    Ok(documents.collect::<Result<Vec<_>>>()?.join("\n---\n"))
}

/// One line into one object.
pub fn manifest(line: &str) -> Result<Value> {
    let (kind, rest) = line.split_once(' ').with_context(|| format!("not a kind and a name: {line}"))?;
    match kind {
        "node" => Ok(node(rest)),
        "service" => service(rest),
        "slice" => slice(rest),
        _ => bail!("not a node, service or slice: {line}"),
    }
    .with_context(|| format!("in the line: {line}"))
}

fn node(rest: &str) -> Value {
    let (name, pool) = rest.split_once(" pool=").unwrap_or((rest, ""));
    let labels = if pool.is_empty() { json!({}) } else { json!({"apps.openyurt.io/nodepool": pool}) };
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

fn service(rest: &str) -> Result<Value> {
    let (rest, topology) =
        rest.split_once(" topology=").map_or((rest, None), |(rest, keys)| (rest, Some(keys)));
    let mut words = rest.split_whitespace();
    let name = words.next().context("no name")?;
    let addresses: Vec<(&str, u16, &str)> =
        words.next().context("no address")?.split(',').map(address_and_port).collect::<Result<_>>()?;
    let mut metadata = json!({"namespace": "default", "name": name, "annotations": {}});
    if let Some(keys) = topology {
        metadata["annotations"]["openyurt.io/topologyKeys"] = keys.into();
    }
    let mut spec = json!({"clusterIP": addresses[0].0, "ports": ports(&addresses)});
    for word in words {
        match word.split_once('=') {
            Some(("created", year)) => {
                metadata["creationTimestamp"] = format!("{year}-01-01T00:00:00Z").into();
            }
            Some(("sticky", seconds)) => {
                let seconds: u32 = seconds.parse().context("not a number of seconds")?;
                spec["sessionAffinity"] = "ClientIP".into();
                spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": seconds}});
            }
            None if word == "local" => spec["internalTrafficPolicy"] = "Local".into(),
            _ => bail!("not understood: {word}"),
        }
    }
    Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}))
}

fn ports(addresses: &[(&str, u16, &str)]) -> Vec<Value> {
    let named = addresses.len() > 1;
    let name = |port: u16| if named { format!("p{port}") } else { String::new() };
    let port = |(_, port, protocol): &(&str, u16, &str)| json!({"name": name(*port), "port": port, "protocol": protocol});
    addresses.iter().map(port).collect()
}

/// `PORT` or `PORT/udp`.
fn port_and_protocol(text: &str) -> Result<(u16, &'static str)> {
    let (port, protocol) = match text.strip_suffix("/udp") {
        Some(port) => (port, "UDP"),
        None => (text, "TCP"),
    };
    Ok((port.parse().context("not a port")?, protocol))
}

fn slice(rest: &str) -> Result<Value> {
    let mut words = rest.split_whitespace();
    let name = words.next().context("no name")?;
    ensure!(words.next() == Some("of"), "a slice is of a Service");
    let service = words.next().context("no Service")?;
    let port = words.next().context("no port")?;
    let (port_name, port) = port.split_once('=').unwrap_or(("", port));
    let (port, protocol) = port_and_protocol(port)?;
    // Of no endpoint IPv4: a slice of IPv6 has at least one.
    let family = if words.clone().any(|word| word.contains(':')) { "IPv6" } else { "IPv4" };
    let endpoints: Vec<Value> = words.map(endpoints).collect::<Result<Vec<_>>>()?.concat();
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
        "metadata": {
            "namespace": "default", "name": name,
            "labels": {"kubernetes.io/service-name": service},
        },
        "ports": [{"name": port_name, "port": port, "protocol": protocol}],
        "endpoints": endpoints,
    }))
}

fn endpoints(word: &str) -> Result<Vec<Value>> {
    let (word, ready, draining) = match word.strip_suffix('!') {
        Some(word) => (word, false, false),
        None => word.strip_suffix('~').map_or((word, true, false), |word| (word, false, true)),
    };
    let (addresses, node) =
        word.split_once('@').map_or((word, Value::Null), |(addresses, node)| (addresses, node.into()));
    let conditions = json!({"ready": ready, "serving": ready || draining, "terminating": draining});
    let endpoint =
        |address| json!({"addresses": [address], "nodeName": node.clone(), "conditions": conditions.clone()});
    Ok(range(addresses)?.into_iter().map(endpoint).collect())
}

/// `10.0.0.1..3` is three addresses.
pub fn range(addresses: &str) -> Result<Vec<String>> {
    let Some((first, last)) = addresses.split_once("..") else { return Ok(vec![addresses.to_owned()]) };
    let (network, first) = first.rsplit_once('.').context("not an address")?;
    let (first, last): (u8, u8) = (first.parse().context("not a byte")?, last.parse().context("not a byte")?);
    Ok((first..=last).map(|byte| format!("{network}.{byte}")).collect())
}

fn address_and_port(text: &str) -> Result<(&str, u16, &'static str)> {
    let (address, port) = text.rsplit_once(':').context("not ADDRESS:PORT")?;
    let (port, protocol) = port_and_protocol(port)?;
    Ok((address.trim_matches(['[', ']']), port, protocol))
}

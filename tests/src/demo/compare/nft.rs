//! What kube-proxy's rules send where.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::sides::Decisions;

/// Reads the output of `nft -j list table ip kube-proxy`.
pub(super) fn decisions(json: &str) -> Result<Decisions> {
    let table: Value = serde_json::from_str(json).context("nft says what is no JSON")?;
    let things = table.get("nftables").and_then(Value::as_array).context("nft lists nothing")?;
    let mut chains: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for rule in things.iter().filter_map(|thing| thing.get("rule")) {
        let chain = rule.get("chain").and_then(Value::as_str).unwrap_or_default();
        collect(rule.get("expr").unwrap_or(&Value::Null), chains.entry(chain).or_default());
    }
    let mut decisions = Decisions::new();
    for map in things.iter().filter_map(|thing| thing.get("map")) {
        let name = map.get("name").and_then(Value::as_str);
        for (address, target) in
            map.get("elem").and_then(Value::as_array).into_iter().flatten().filter_map(element)
        {
            match name {
                Some("service-ips") => {
                    decisions.insert(address, chains.get(target).cloned().unwrap_or_default());
                }
                Some("no-endpoint-services") => {
                    decisions.insert(address, BTreeSet::new());
                }
                Some(_) | None => {}
            }
        }
    }
    Ok(decisions)
}

/// The address and port of a Service, and the chain that it leads to. An element may carry a comment.
fn element(element: &Value) -> Option<(String, &str)> {
    let at = element.pointer("/0/concat").or_else(|| element.pointer("/0/elem/val/concat"))?;
    let [address, _protocol, port] = at.as_array()?.as_slice() else { return None };
    let target = element.pointer("/1/goto/target")?.as_str()?;
    Some((endpoint(address, port)?, target))
}

/// Where a rule's statements send packets: to one endpoint, or to one of a map's.
fn collect(statements: &Value, found: &mut BTreeSet<String>) {
    for dnat in statements.as_array().into_iter().flatten().filter_map(|statement| statement.get("dnat")) {
        if let (Some(address), Some(port)) = (dnat.get("addr"), dnat.get("port")) {
            found.extend(endpoint(address, port));
        }
        let map = dnat.pointer("/addr/map/data/set").and_then(Value::as_array);
        for [address, port] in map
            .into_iter()
            .flatten()
            .filter_map(|element| element.pointer("/1/concat").and_then(Value::as_array)?.first_chunk::<2>())
        {
            found.extend(endpoint(address, port));
        }
    }
}

fn endpoint(address: &Value, port: &Value) -> Option<String> {
    Some(format!("{}:{}", address.as_str()?, port.as_u64()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_say_where_an_address_leads() {
        let goto = |target: &str| json!({"goto": {"target": target}});
        let rules = json!({"nftables": [
            {"metainfo": {"version": "1"}},
            {"chain": {"name": "service-EF-default/a/tcp/"}},
            {"rule": {"chain": "service-EF-default/a/tcp/", "expr": [
                {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}},
                {"dnat": {"family": "ip", "addr": {"map": {
                    "key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}},
                    "data": {"set": [
                        [0, {"concat": ["10.244.1.1", 80]}], [1, {"concat": ["10.244.2.1", 80]}],
                    ]},
                }}}},
            ]}},
            {"rule": {"chain": "service-GH-default/b/tcp/", "expr": [
                {"dnat": {"family": "ip", "addr": "10.244.3.1", "port": 80}},
            ]}},
            {"map": {"name": "service-ips", "elem": [
                [{"concat": ["10.96.0.1", "tcp", 80]}, goto("service-EF-default/a/tcp/")],
                [{"concat": ["10.96.0.3", "tcp", 80]}, goto("service-GH-default/b/tcp/")],
            ]}},
            {"map": {"name": "no-endpoint-services", "elem": [
                [
                    {"elem": {"val": {"concat": ["10.96.0.2", "tcp", 80]}, "comment": "default/c"}},
                    goto("reject-chain"),
                ],
            ]}},
            {"map": {"name": "service-nodeports"}},
        ]});
        let expected = [
            ("10.96.0.1:80", BTreeSet::from(["10.244.1.1:80".to_owned(), "10.244.2.1:80".to_owned()])),
            ("10.96.0.2:80", BTreeSet::new()),
            ("10.96.0.3:80", BTreeSet::from(["10.244.3.1:80".to_owned()])),
        ];
        let expected: Decisions = expected.into_iter().map(|(at, to)| (at.to_owned(), to)).collect();
        assert_eq!(decisions(&rules.to_string()).unwrap(), expected);
    }
}

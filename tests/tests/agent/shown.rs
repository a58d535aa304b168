//! What others write reaches people as one line of bounded length, whichever way it goes.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, Folder, lb_agent_says, program, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::doors::{agent, get};

/// Lines, commands to a terminal, and marks that turn text around.
const ODD: &str = "od\n2026-01-01T00:00:00Z FORGED\r\u{1b}[31m\u{9b}1m\u{7}\u{7f}\u{202e}\u{200b}\u{2028}d";
/// Of it, no more than this is shown.
const MOST: usize = 256;

#[test]
#[ignore = "needs root"]
fn nothing_that_is_planted_forges_a_line_steers_a_terminal_or_is_a_book() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.folder.remove("nodes.yaml").unwrap();
    plant(&pair, ODD);
    plant(&pair, &"x".repeat(100_000));
    plant(&pair, &format!("{ODD}{}", "x".repeat(100_000)));
    let (agent, doors) = agent(&pair);
    agent.wait_until("all is seen", |view| view.diagnostics.len() > 20).unwrap();

    let own = ["--socket", &node.file("agent.sock").display().to_string()].map(str::to_owned);
    let mut shown = vec![
        ("metrics", get(doors, "/metrics").1),
        ("readiness", get(doors, "/readyz").1),
        ("what the agent says", serde_json::to_string(&agent.view().unwrap()).unwrap()),
    ];
    for output in ["table", "json"] {
        let flags = [&own[0], &own[1], "-o", output];
        let said = lb_agent_says(node, "status", &flags).unwrap();
        assert!(said.status.success());
        shown.push(("status", String::from_utf8(said.stdout).unwrap()));
        shown.push(("stderr of status", String::from_utf8(said.stderr).unwrap()));
        for of in [&["--node", "n1"][..], &["--node", "n2"], &["--all-nodes"]] {
            let mut plan = node.command(program().unwrap());
            plan.args(["plan", "-o", output, "--manifests"]).arg(pair.folder.path()).args(of);
            let said = plan.output().unwrap();
            shown.push(("plan", String::from_utf8(said.stdout).unwrap()));
            shown.push(("stderr of plan", String::from_utf8(said.stderr).unwrap()));
        }
    }
    agent.end_by(Signal::SIGTERM).unwrap();
    let other = pair.site.node("od").unwrap();
    let near = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "od\n\u{1b}"}});
    Folder::of(&other).unwrap().put_text("near.json", &near.to_string()).unwrap();
    let nameless = Agent::spawn(&other, &[]).unwrap();
    wait_for("it is said", || Ok(nameless.log().contains("near=\"od\\\\n\\\\u{1b}\""))).unwrap();
    shown.push(("log of a node that is not known", nameless.log()));
    shown.push(("log", fs::read_to_string(node.file("agent.log")).unwrap()));

    for (what, text) in shown {
        check(what, &text);
        if let Ok(value) = serde_json::from_str(&text) {
            check_texts(what, &value);
        }
    }
}

/// Wherever an object or a file can hold a text.
fn plant(pair: &Pair, odd: &str) {
    let number = odd.len() % 200;
    let put = |name: &str, value: &Value| {
        pair.folder.put_text(&format!("{number}-{name}.json"), &value.to_string()).unwrap();
    };
    let objects: Vec<Value> = [services(odd, number), slices(odd), others(odd)].concat();
    for (index, object) in objects.iter().enumerate() {
        put(&index.to_string(), object);
    }
    let pool = json!({"apps.openyurt.io/nodepool": odd});
    let own = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": pool}});
    pair.folder.put_text("nodes.json", &own.to_string()).unwrap();
    pair.folder.put_text(&format!("{number}.yaml"), &format!("a: b: {odd}: [{odd}")).unwrap();
    let file: String = odd.chars().filter(|one| *one != '/').take(100).collect();
    let file = |before: &str| pair.folder.path().join(format!("{before}{file}.yaml"));
    fs::write(file(""), "kind: [").unwrap();
    fs::write(file("z"), objects[0].to_string()).unwrap();
}

fn services(odd: &str, number: usize) -> Vec<Value> {
    let service = |name: &str, topology: &str, address: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": format!("{odd}{name}"), "namespace": odd,
                "annotations": {"openyurt.io/topologyKeys": topology},
            },
            "spec": {"clusterIP": address, "ports": [{"name": odd, "port": 80}]},
        })
    };
    let pool = "openyurt.io/nodepool";
    let mut protocol = service("-protocol", pool, &format!("10.98.2.{number}"));
    protocol["spec"]["ports"][0]["protocol"] = odd.into();
    let mut proxy = service("-proxy", pool, &format!("10.98.3.{number}"));
    proxy["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": odd});
    vec![
        service("", &format!("{odd},{odd}"), &format!("10.98.0.{number}")),
        service("-pool", pool, &format!("10.98.1.{number}")),
        service("-conflict", pool, "10.96.0.11"),
        service("-address", pool, odd),
        protocol,
        proxy,
    ]
}

fn slices(odd: &str) -> Vec<Value> {
    let slice = |name: &str, service: &str, address_type: &str| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": address_type,
            "metadata": {
                "name": format!("{odd}{name}"), "namespace": odd,
                "labels": {"kubernetes.io/service-name": service},
            },
            "ports": [{"name": odd, "port": 80}],
            "endpoints": [
                {"addresses": ["10.9.9.9"], "nodeName": odd, "conditions": {"ready": true}},
                {"addresses": [odd], "nodeName": odd},
                {
                    "addresses": ["10.9.9.8"], "nodeName": "n1", "zone": odd,
                    "hints": {"forZones": [{"name": odd}]},
                },
            ],
        })
    };
    let pool = format!("{odd}-pool");
    vec![
        slice("-1", odd, "IPv4"),
        slice("-2", &pool, "IPv4"),
        slice("-3", odd, odd),
        slice("-4", &format!("{odd}-none"), "IPv4"),
    ]
}

fn others(odd: &str) -> Vec<Value> {
    let labels = json!({
        "apps.openyurt.io/nodepool": odd, "topology.kubernetes.io/zone": odd, odd: 7,
    });
    vec![
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": odd, "labels": labels}}),
        json!({"apiVersion": odd, "kind": odd, "metadata": {"name": odd}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": odd}, "spec": {"ports": odd}}),
        json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": odd}, odd, {odd: odd}]}),
        json!(odd),
    ]
}

fn check(what: &str, text: &str) {
    for line in text.lines() {
        let odd = line.chars().find(|one| one.is_control() || "\u{202e}\u{200b}\u{2028}".contains(*one));
        assert_eq!(odd, None, "{what}: {line:?}");
        let from = line.find(&"x".repeat(MOST + 1));
        assert_eq!(from, None, "{what} has {} bytes: {}", line.len(), &line[..line.len().min(600)]);
        assert!(!line.starts_with("2026-01-01T00:00:00Z FORGED"), "{what}: {line}");
    }
}

/// What a program sees that reads the JSON.
fn check_texts(what: &str, value: &Value) {
    match value {
        Value::String(text) => check(what, &text.replace('\n', "\u{7}")),
        Value::Array(values) => values.iter().for_each(|value| check_texts(what, value)),
        Value::Object(fields) => fields.values().for_each(|value| check_texts(what, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

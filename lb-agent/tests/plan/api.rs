//! The command against an API server, and for all nodes at once.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use crate::folder::{Folder, plan, tutorial};

#[test]
fn an_api_server_gives_the_same_plan_as_the_manifests_of_its_objects() {
    let server = serve_tutorial();
    let folder = tutorial();
    for flags in
        [["--node", "kind-worker", "-o", "json"], ["--all-nodes", "--output", "json", "--pool-label="]]
    {
        let of_files = plan(&[&folder], &flags, &[]);
        let flags: Vec<&str> = flags.into_iter().chain(["--api-server", &server]).collect();
        let of_api = plan(&[], &flags, &[]);
        assert_eq!(of_api.stderr, "");
        assert_eq!(without_notes(of_api.json()), without_notes(of_files.json()));
        assert_eq!(of_api.code, Some(0));
    }
}

#[test]
fn a_proxy_of_the_environment_is_for_other_programs() {
    let server = serve_tutorial();
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    let folder = Folder::new(&[("kubeconfig", &text.to_string())]);
    let file = folder.path().join("kubeconfig").display().to_string();
    let flags = ["--node", "kind-worker", "--kubeconfig", &file];
    for name in ["https_proxy", "HTTPS_PROXY"] {
        let answer = plan(&[], &flags, &[(name, "http://127.0.0.1:1")]);
        assert_eq!((answer.stderr.as_str(), answer.code), ("", Some(0)), "{name}");
    }
}

#[test]
fn all_nodes_are_an_array_of_what_each_would_say_alone() {
    let folder = tutorial();
    let all = plan(&[&folder], &["--all-nodes", "-o", "json"], &[("EDGELOOP_NODE", "kind-worker")]).json();
    let all = all.as_array().unwrap();
    assert!(all.len() > 3);
    for of_node in all {
        let node = of_node["node"].as_str().unwrap();
        assert_eq!(*of_node, plan(&[&folder], &["--node", node, "-o", "json"], &[]).json(), "{node}");
    }
    let tables = plan(&[&folder], &["--all-nodes"], &[]).stdout;
    assert_eq!(tables.lines().filter(|line| line.starts_with("node ")).count(), all.len());
}

#[test]
fn two_sources_are_one_too_many() {
    let answer = Folder::new(&[]).plan(&["--node", "n1", "--api-server", "http://127.0.0.1:1"]);
    assert_eq!(answer.code, Some(1));
    let says = "error: --manifests and --api-server name different sources: give one of them\n";
    assert_eq!(answer.stderr, says);
}

#[test]
fn without_any_source_the_command_says_how_to_name_one() {
    let answer = plan(&[], &["--node", "n1"], &[("HOME", "/nonexistent")]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("name one with --kubeconfig"), "{}", answer.stderr);
}

#[test]
fn a_node_that_the_api_server_does_not_have_is_not_planned_for() {
    let server = serve_tutorial();
    let answer = plan(&[], &["--node", "kind-worker3", "--api-server", &server], &[]);
    assert_eq!(answer.code, Some(1));
    let says = "error: node \"kind-worker3\" is not known: did you mean kind-worker, kind-worker2?\n";
    assert_eq!(answer.stderr, says);
}

/// Files have other things to say: which of their objects are not read.
fn without_notes(mut plan: Value) -> Value {
    let plans = plan.as_array_mut().map_or_else(Vec::new, |plans| plans.iter_mut().collect());
    for plan in plans {
        plan["ignored"] = Value::Null;
    }
    if plan.is_object() {
        plan["ignored"] = Value::Null;
    }
    plan
}

/// Lists what the tutorial defines. It ends with the test's process.
fn serve_tutorial() -> String {
    let lists = ["Service", "EndpointSlice", "Node"].map(|kind| (kind, list(kind)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &lists);
        }
    });
    address
}

fn answer(mut stream: TcpStream, lists: &[(&str, String)]) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let asked = head.lines().next().unwrap();
        let is_asked = |kind: &str| asked.contains(&format!("/{}s?", kind.to_lowercase()));
        let (_, body) = lists.iter().find(|(kind, _)| is_asked(kind)).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
    }
}

fn list(kind: &str) -> String {
    let mut items: Vec<Value> = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(tutorial()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|suffix| suffix == "yaml")) {
        let text = std::fs::read_to_string(file).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        items.extend(documents.into_iter().filter(|document| document["kind"] == kind));
    }
    let version = if kind == "EndpointSlice" { "discovery.k8s.io/v1" } else { "v1" };
    let kind = format!("{kind}List");
    json!({"kind": kind, "apiVersion": version, "metadata": {"resourceVersion": "7"}, "items": items})
        .to_string()
}

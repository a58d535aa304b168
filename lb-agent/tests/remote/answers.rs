//! What is printed, and the exit code.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::{Prints, Server, serve};

struct Answer {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

/// Runs the program, called `name`, with its API server.
fn program(name: &str, server: &Server, arguments: &[&str]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("lb-agent");
    std::os::unix::fs::symlink(program, &file).unwrap();
    let mut command = Command::new(&file);
    command.args(arguments).args(["--api-server", &server.address]).env_clear();
    let output = command.output().unwrap();
    Answer {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

fn status(version: &str, layout: u32) -> Prints {
    Ok(json!({
        "kernel": {"layout": layout, "services": [{}, {}]},
        "agent": {"version": version, "node": "x", "pool": "east", "mode": "beside", "ready": true,
            "state": {"origin": "live", "ageSeconds": 0, "savedAt": null},
            "diagnostics": [{"severity": "warning", "about": "Service a/b", "reason": "conflict", "message": "m"}]},
        "notCovered": [],
    })
    .to_string())
}

fn loops(pool: &str, backend: &str, connections: u64, refused: u64) -> Prints {
    let cells = json!([{"clientPool": pool, "backendPool": backend, "within": "own-pool", "connections": connections}]);
    Ok(json!({
        "node": "x", "pool": pool, "state": null, "cells": cells, "refused": refused, "outside": 0,
        "services": [{"namespace": "default", "service": "web", "portName": "", "protocol": "TCP", "family": 4,
            "cells": cells, "refused": refused}],
        "notCovered": [],
    })
    .to_string())
}

fn failed(code: u8, says: &str) -> Prints {
    Err((code, says.to_owned()))
}

#[test]
fn a_status_is_a_line_a_node_and_those_that_differ_are_marked() {
    let server = serve(vec![
        ("n1", status("0.1.0", 9)),
        ("n2", status("0.1.0", 9)),
        ("n3", status("0.0.9", 9)),
        ("n4", failed(1, "error: nothing of Edgeloop is \u{1b}[31mpinned\n")),
    ]);
    let answer = program("lb-agent", &server, &["status", "--all-nodes"]);
    let expected = "\
NODE POOL VERSION LAYOUT MODE READY STATE SERVICES ERRORS, WARNINGS DIFFERS
n1 east 0.1.0 9 beside yes live 2 0, 1 -
n2 east 0.1.0 9 beside yes live 2 0, 1 -
n3 east 0.0.9 9 beside yes live 2 0, 1 DIFFERS

node n3 differs:
version: 0.0.9, most have 0.1.0

No answer:
n4: nothing of Edgeloop is \\u{1b}[31mpinned
";
    assert_eq!(squeezed(&answer.stdout), expected, "{}", answer.stderr);
    assert_eq!((answer.stderr.as_str(), answer.code), ("1 of 4 nodes gave no answer\n", Some(3)));

    let answer = program("lb-agent", &server, &["status", "--on", "n1", "--on", "n3", "-o", "json"]);
    let json: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(answer.code, Some(0));
    let differs = |version: &str| json!([format!("version: {version}, and there is no majority")]);
    for (at, node, version) in [(0, "n1", "0.1.0"), (1, "n3", "0.0.9")] {
        let of = &json["nodes"][at];
        assert_eq!((&of["node"], &of["error"]), (&json!(node), &Value::Null));
        assert_eq!((&of["differs"], &of["answer"]["agent"]["version"]), (&differs(version), &json!(version)));
    }
}

#[test]
fn loops_of_several_nodes_are_one_and_what_left_its_pool_stays_seen() {
    let server = serve(vec![
        ("n1", loops("east", "east", 5, 0)),
        ("n2", loops("east", "east", 7, 1)),
        ("n3", loops("west", "west", 2, 2)),
    ]);
    // As kubectl calls it, all nodes are asked.
    let answer = program("kubectl-edgeloop", &server, &["loop"]);
    let expected = "\
3 of 3 nodes

CLIENT POOL east west refused
east 12 . 1
west . 2 2

The loop is closed: of 14 connections whose topology keeps them to the pool or the node, none left it.
3 were refused: `lb-agent explain SERVICE` says why.

SERVICE PROTOCOL east west refused
default/web TCP 12 2 3
";
    assert_eq!(squeezed(&answer.stdout), expected, "{}", answer.stderr);
    assert_eq!((answer.stderr.as_str(), answer.code), ("", Some(0)));

    let open = serve(vec![
        ("n1", loops("east", "east", 5, 0)),
        ("n2", loops("east", "west", 7, 0)),
        ("n3", failed(1, "")),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loop.html");
    let answer = program("lb-agent", &open, &["loop", "--all-nodes", "--html", &file.display().to_string()]);
    assert_eq!((answer.stderr.as_str(), answer.code), ("1 of 3 nodes gave no answer\n", Some(3)));
    let page = std::fs::read_to_string(file).unwrap();
    assert!(
        page.contains("The loop is open:</strong> 7 of 12 connections") && page.contains("2 of 3 nodes"),
        "{page}"
    );
    let json: Value =
        serde_json::from_str(&program("lb-agent", &open, &["loop", "--all-nodes", "-o", "json"]).stdout)
            .unwrap();
    assert_eq!((&json["outside"], &json["nodes"][2]["error"]), (&json!(7), &json!("it exited with 1")));
    assert_eq!(json["nodes"][1]["answer"]["cells"][0]["connections"], 7);
}

#[test]
fn one_node_prints_what_it_prints_there_and_arguments_arrive_as_they_are() {
    let server = serve(vec![("n1", Ok("Service a/b\u{1b}\n  used\n".to_owned()))]);
    let answer = program("lb-agent", &server, &["explain", "a/b:http", "--on", "n1"]);
    assert_eq!(answer.stdout, "Service a/b\\u{1b}\n  used\n");
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "container=agent&stdout=true&stderr=true&command=%2Flb-agent&command=explain&command=-o&command=table&command=--&command=a%2Fb%3Ahttp"
        ]
    );
    let answer = program("lb-agent", &server, &["explain", "a/b", "--on", "n7"]);
    let says = "error: node n7 gave no answer: the agents have no pod there\n";
    assert_eq!((answer.stderr.as_str(), answer.code), (says, Some(1)));
    let answer = program("lb-agent", &server, &["sockets", "--all-nodes"]);
    assert_eq!(answer.stdout, "node n1:\nService a/b\\u{1b}\n  used\n\n");
}

#[test]
fn where_no_node_answers_it_is_an_error() {
    let server = serve(vec![("n1", failed(1, "error: no Service a/b"))]);
    let answer = program("lb-agent", &server, &["explain", "a/b", "--all-nodes"]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stdout.ends_with("\nNo answer:\n  n1: no Service a/b\n"), "{}", answer.stdout);
    assert_eq!(answer.stderr, "error: no node gave an answer: the reason of each is printed above\n");
    let server = serve(Vec::new());
    let answer = program("kubectl-edgeloop", &server, &["status"]);
    assert!(answer.stderr.contains("no pod in namespace kube-system has the labels"), "{}", answer.stderr);
}

/// A table with one blank between its columns.
fn squeezed(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n");
    lines.collect()
}

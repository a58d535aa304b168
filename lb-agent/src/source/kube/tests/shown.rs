//! What an API server, or what stands before it, writes: on one line of bounded length wherever people look.

use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use super::client::{Client, of};
use super::secrets::status;
use crate::api::testing::server::{Reply, Server};
use crate::model::{ApiReport, Kind};
use crate::telemetry::subscriber;
use crate::telemetry::tests::Kept;

/// Lines and commands to a terminal.
const ODD: &str = "od\n2026-01-01T00:00:00Z FORGED\r\u{1b}[31m\u{9b}1m\u{7f}\u{202e}d";

#[tokio::test]
async fn whatever_a_server_says_is_one_line_and_no_book() {
    let long = format!("{ODD}{}", "x".repeat(100_000));
    let short = &long[..1000];
    let failure = json!({"kind": "Status", "code": 403, "message": short, "reason": short}).to_string();
    let object = json!({"kind": "Service", "apiVersion": "v1", "metadata": {
        "name": long, "namespace": long, "resourceVersion": "2",
    }, "spec": {"clusterIP": long, "ports": [{"port": 80, "protocol": long}]}});
    let mut shown = Vec::new();
    for (shows, head, body) in [
        ("a refusal", "403 Forbidden", failure),
        ("a page", "502 Bad Gateway", format!("<html>{long}</html>")),
        ("no JSON", "200 OK", long.clone()),
        ("a list of another kind", "200 OK", json!({"kind": long, "apiVersion": long}).to_string()),
        ("an event of no type", "200 OK", event(&long, &json!({}))),
        ("an error", "200 OK", event("ERROR", &json!({"kind": "Status", "code": 500, "message": long}))),
        ("an object", "200 OK", event("ADDED", &object) + &event(ODD, &json!({}))),
    ] {
        let seen = follow(head, &body).await;
        check(shows, &seen);
        shown.extend(seen.contains("FORGED").then_some(shows));
    }
    assert!(shown.contains(&"a refusal"), "it is quoted: {shown:?}");
}

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

/// What people see once a server has given this reply to whatever was asked, and was tried again.
async fn follow(head: &str, body: &str) -> String {
    let log = Kept::default();
    let writer = log.clone();
    let everything = subscriber(EnvFilter::new("trace"), move || writer.clone(), false);
    let _guard = tracing::subscriber::set_default(everything);
    let server = Server::start().await;
    for _ in 0..4 {
        let head = format!("HTTP/1.1 {head}\r\n");
        server.reply(Kind::Service, Reply::Whole(head, body.as_bytes().to_vec()));
    }
    let mut client = Client::new(&server).await;
    let failed =
        |report: &ApiReport| of(report, Kind::Service).is_some_and(|kind| kind.last_failure.is_some());
    client.until(failed).await;
    format!("{}\n{}", log.text(), status(&client.report))
}

fn check(shows: &str, text: &str) {
    for line in text.lines() {
        assert!(!line.starts_with("2026-01-01T00"), "{shows}: {line}");
        let odd = line.chars().find(|one| one.is_control() || *one == '\u{202e}');
        assert_eq!(odd, None, "{shows}: {line:?}");
        assert!(!line.contains(&"x".repeat(257)), "{shows} has a line of {} bytes", line.len());
    }
}

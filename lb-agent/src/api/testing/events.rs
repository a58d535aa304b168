//! The Events of the small API server: each name can be made once.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::server::Reply;

#[derive(Default)]
pub(super) struct Events {
    names: BTreeSet<String>,
    pub(super) refusals: VecDeque<(u16, String)>,
    pub(super) asked: Vec<(u16, Value)>,
}

/// The JSON behind this head.
pub(super) async fn body(stream: &mut BufReader<TcpStream>, head: &str) -> Value {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

pub(super) async fn make(stream: &mut BufReader<TcpStream>, head: &str, events: &Mutex<Events>) -> Reply {
    let event = body(stream, head).await;
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    let name = event["metadata"]["name"].as_str().unwrap().to_owned();

    let mut events = events.lock().unwrap();
    let (code, message) = match events.refusals.pop_front() {
        Some(refusal) => refusal,
        None if events.names.insert(name) => (201, String::new()),
        None => (409, "already exists".to_owned()),
    };
    events.asked.push((code, event));
    let status = json!({"kind": "Status", "code": code, "message": message}).to_string();
    Reply::Whole(format!("HTTP/1.1 {code} X\r\n"), status.into_bytes())
}

//! A small API server: it lists the agents' pods, and for an exec it says what a test lined up.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::json;

/// What the program prints on a node; `Err` is its exit code and its standard error.
pub(crate) type Prints = Result<String, (u8, String)>;

pub(crate) struct Server {
    pub(crate) address: String,
    /// The queries of the execs.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

/// It ends with the test's process.
pub(crate) fn serve(nodes: Vec<(&'static str, Prints)>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let (nodes, log) = (Arc::new(nodes.into_iter().collect::<BTreeMap<_, _>>()), Arc::clone(&asked));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (nodes, log) = (Arc::clone(&nodes), Arc::clone(&log));
            thread::spawn(move || answer(stream.unwrap(), &nodes, &log));
        }
    });
    Server { address, asked }
}

fn answer(mut stream: TcpStream, nodes: &BTreeMap<&str, Prints>, log: &Mutex<Vec<String>>) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    while let Some(head) = head(&mut stream) {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        if let Some((pod, query)) = path.split_once("/exec?") {
            log.lock().unwrap().push(query.to_owned());
            let node = pod.rsplit_once("/agent-").unwrap().1;
            run(&mut stream, &head, &nodes[node]);
            return;
        }
        let pods = nodes.keys().map(|node| {
            json!({
                "metadata": {"name": format!("agent-{node}")}, "spec": {"nodeName": node},
                "status": {"containerStatuses": [{"name": "agent", "state": {"running": {}}}]},
            })
        });
        let body = json!({"kind": "PodList", "items": pods.collect::<Vec<_>>()}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
    }
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return None;
        }
        head.extend(byte);
    }
    String::from_utf8(head).ok()
}

/// The protocol v4.channel.k8s.io, as a kubelet speaks it.
fn run(stream: &mut TcpStream, head: &str, prints: &Prints) {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
    let proof = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let proof = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes()));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\
         Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    match prints {
        Ok(text) => {
            for part in text.as_bytes().chunks(1000) {
                message(stream, 1, part);
            }
            message(stream, 3, json!({"status": "Success"}).to_string().as_bytes());
        }
        Err((code, text)) => {
            message(stream, 2, text.as_bytes());
            let status = json!({"status": "Failure", "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}});
            message(stream, 3, status.to_string().as_bytes());
        }
    }
    // A closing frame; then what the other end still says.
    stream.write_all(&[0x88, 0]).unwrap();
    drop(stream.read_to_end(&mut Vec::new()));
}

/// A binary frame of a server, which is not masked.
fn message(stream: &mut TcpStream, channel: u8, data: &[u8]) {
    let length = u16::try_from(data.len() + 1).unwrap().to_be_bytes();
    stream.write_all(&[&[0x82, 126][..], &length, &[channel], data].concat()).unwrap();
}

//! An API server that lists what it has, and whose watches bring nothing.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use edgeloop_tests::manifests::manifest;
use serde_json::{Value, json};

/// What the agent follows: the last part of the path, what a list of it is called, and its version.
const KINDS: [(&str, &str, &str); 5] = [
    ("services", "Service", "v1"),
    ("endpointslices", "EndpointSlice", "discovery.k8s.io/v1"),
    ("nodes", "Node", "v1"),
    ("pods", "Pod", "v1"),
    ("namespaces", "Namespace", "v1"),
];
/// Of all that it has.
const VERSION: &str = "7";

/// Serves in this process until that ends.
///
/// `lines` are in the notation of [`manifest`].
///
/// # Errors
/// When it cannot listen at `address`, or a line is no object.
pub(crate) fn serve(address: &str, lines: impl Iterator<Item = String>) -> Result<()> {
    let mut objects = Vec::new();
    for line in lines {
        let mut object = manifest(&line)?;
        object["metadata"]["resourceVersion"] = VERSION.into();
        objects.push(object);
    }
    let lists: Arc<Vec<String>> = Arc::new(KINDS.iter().map(|kind| list(*kind, &objects)).collect());
    let listener = TcpListener::bind(address).with_context(|| format!("could not listen at {address}"))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lists = Arc::clone(&lists);
            // A client that leaves is no fault.
            thread::spawn(move || drop(answer(stream, &lists)));
        }
    });
    Ok(())
}

fn list((_, kind, version): (&str, &str, &str), objects: &[Value]) -> String {
    let items: Vec<&Value> = objects.iter().filter(|object| object["kind"] == kind).collect();
    let metadata = json!({"resourceVersion": VERSION});
    json!({"kind": format!("{kind}List"), "apiVersion": version, "metadata": metadata, "items": items})
        .to_string()
}

fn answer(stream: TcpStream, lists: &[String]) -> Result<()> {
    let mut requests = BufReader::new(stream.try_clone()?);
    loop {
        let Some(path) = path(&mut requests)? else { return Ok(()) };
        let resource = path.split('?').next().and_then(|path| path.rsplit('/').next());
        let place = KINDS.iter().position(|(name, ..)| Some(*name) == resource);
        let list = place.and_then(|place| lists.get(place));
        match list {
            Some(_) if path.contains("sendInitialEvents") => {
                whole(&stream, "422 Unprocessable Entity", &status(422))?
            }
            Some(_) if path.contains("watch=true") => return watch(stream),
            Some(list) => whole(&stream, "200 OK", list)?,
            None => whole(&stream, "404 Not Found", &status(404))?,
        }
    }
}

/// Reads the head of a request; nothing when the client has left.
fn path(requests: &mut impl std::io::BufRead) -> Result<Option<String>> {
    let mut path = None;
    for line in requests.lines() {
        let line = line?;
        if line.is_empty() {
            return Ok(path);
        }
        path = path.or_else(|| line.split(' ').nth(1).map(str::to_owned));
    }
    Ok(None)
}

/// Stays open until the client leaves.
fn watch(mut stream: TcpStream) -> Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok(())
}

fn whole(mut stream: &TcpStream, status: &str, body: &str) -> Result<()> {
    let mut head = String::new();
    write!(
        head,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(head.as_bytes())?;
    Ok(stream.write_all(body.as_bytes())?)
}

fn status(code: u16) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no"})
        .to_string()
}

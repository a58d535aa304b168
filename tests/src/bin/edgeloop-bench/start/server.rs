//! A small API server: it lists Services, slices and Nodes as a watch does that begins with all objects, and then says nothing until the watch's time is over.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Of every backend.
pub(crate) const PORT: u16 = 9376;
pub(crate) const ENDPOINTS: u32 = 5;
/// The number of the Service that a client dials.
pub(crate) const DIALLED: u32 = 0;

/// What the Service of this number is dialled at.
pub(crate) fn frontend(number: u32) -> String {
    format!("{}:80", cluster_ip(number))
}

fn cluster_ip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 100, 0, 1)) + number)
}

/// On a port of its own at loopback. Dropped, it is gone: connections break, and new ones are refused.
pub(crate) struct Server {
    address: SocketAddr,
    is_gone: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(services: u32) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("could not listen")?;
        let address = listener.local_addr().context("a listener without an address")?;
        let is_gone = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&is_gone);
        let task = thread::spawn(move || accept(&listener, services, &gone));
        Ok(Self { address, is_gone, task: Some(task) })
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The Services and slices that a server with so many Services lists, as objects in a file.
pub(crate) fn objects(services: Range<u32>) -> impl Iterator<Item = Value> {
    services.flat_map(|number| [Kind::Service.object(number), Kind::Slice.object(number)])
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_gone.store(true, Ordering::Relaxed);
        // Ends the wait for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(task) = self.task.take() {
            drop(task.join());
        }
    }
}

fn accept(listener: &TcpListener, services: u32, is_gone: &AtomicBool) {
    let mut open = Vec::new();
    for stream in listener.incoming() {
        if is_gone.load(Ordering::Relaxed) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let Ok(other) = stream.try_clone() else { continue };
        open.push(other);
        // A client that leaves is no fault. The thread ends with the connection.
        thread::spawn(move || drop(serve(&stream, services)));
    }
    for stream in open {
        drop(stream.shutdown(std::net::Shutdown::Both));
    }
}

fn serve(stream: &TcpStream, services: u32) -> Result<()> {
    let mut input = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if input.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while input.read_line(&mut line)? > 2 {
            line.clear();
        }
        let path = request.split(' ').nth(1).context("no path")?;
        respond(stream, path, services)?;
    }
}

fn respond(mut stream: &TcpStream, path: &str, services: u32) -> Result<()> {
    let kind = match path.split('?').next().unwrap_or_default() {
        "/api/v1/services" => Kind::Service,
        "/apis/discovery.k8s.io/v1/endpointslices" => Kind::Slice,
        "/api/v1/nodes" => Kind::Node,
        _ => {
            let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
            let (length, body) = (body.to_string().len(), body);
            let head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json";
            return Ok(write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}")?);
        }
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json";
    let count = if kind == Kind::Node { 1 } else { services };
    let objects = (0..count).map(|number| kind.object(number));
    if !path.contains("watch=true") {
        let items: Vec<Value> = objects.collect();
        let list = json!({"kind": kind.list(), "apiVersion": kind.version(), "metadata": {"resourceVersion": "7"}, "items": items});
        let text = list.to_string();
        return Ok(write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len())?);
    }
    write!(stream, "{head}\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    if path.contains("sendInitialEvents=true") {
        for object in objects {
            chunk(stream, "ADDED", &object)?;
        }
        let end = json!({"kind": kind.name(), "apiVersion": kind.version(), "metadata": {"resourceVersion": "7",
            "annotations": {"k8s.io/initial-events-end": "true"}}});
        chunk(stream, "BOOKMARK", &end)?;
    }
    // After that nothing happens until its time is over, as with a real one.
    if let Some(time) = time_of(path) {
        thread::sleep(time);
        stream.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

/// How long a watch is to go on.
fn time_of(path: &str) -> Option<Duration> {
    let seconds = path.split(['?', '&']).find_map(|part| part.strip_prefix("timeoutSeconds="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

fn chunk(mut stream: &TcpStream, kind: &str, object: &Value) -> Result<()> {
    let event = format!("{}\n", json!({"type": kind, "object": object}));
    Ok(write!(stream, "{:x}\r\n{event}\r\n", event.len())?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Service,
    Slice,
    Node,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Slice => "EndpointSlice",
            Self::Node => "PartialObjectMetadata",
        }
    }

    const fn list(self) -> &'static str {
        match self {
            Self::Service => "ServiceList",
            Self::Slice => "EndpointSliceList",
            Self::Node => "PartialObjectMetadataList",
        }
    }

    const fn version(self) -> &'static str {
        match self {
            Self::Service => "v1",
            Self::Slice => "discovery.k8s.io/v1",
            Self::Node => "meta.k8s.io/v1",
        }
    }

    fn object(self, number: u32) -> Value {
        let (name, address) = (format!("service-{number}"), cluster_ip(number).to_string());
        let metadata = |name: String| {
            json!({"name": name, "namespace": "default", "uid": format!("00000000-0000-4000-8000-{number:012}"),
                "resourceVersion": "7", "creationTimestamp": "2026-01-02T03:04:05Z"})
        };
        match self {
            Self::Service => json!({"kind": "Service", "apiVersion": "v1", "metadata": metadata(name),
                "spec": {"clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"], "type": "ClusterIP",
                    "ports": [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]}}),
            Self::Slice => {
                let mut metadata = metadata(format!("{name}-1"));
                metadata["labels"] = json!({"kubernetes.io/service-name": name});
                // Of the Service that is dialled, those that do not listen are not ready.
                let endpoint = |at: u32| {
                    let ready = at == 0 || number != DIALLED;
                    json!({"addresses": [if at == 0 { "10.244.1.3".to_owned() } else { format!("10.244.2.{at}") }],
                        "conditions": {"ready": ready, "serving": ready, "terminating": false}, "nodeName": format!("n{at}")})
                };
                let endpoints: Vec<Value> = (0..ENDPOINTS).map(endpoint).collect();
                json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": metadata, "addressType": "IPv4",
                    "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}], "endpoints": endpoints})
            }
            Self::Node => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"name": "n1", "resourceVersion": "7", "labels": {"kubernetes.io/hostname": "n1"}}}),
        }
    }
}

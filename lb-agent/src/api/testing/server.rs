//! A small API server for tests: it responds with what a test lined up, in order, and has nothing else.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::events::{self, Events};
use super::exec::{self, Program};
use crate::api::query::Resource;
use crate::api::{Credentials, KubeConfig};
use crate::model::Kind;

/// No wait in these tests is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    address: String,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<Vec<(Kind, VecDeque<Reply>)>>,
    /// What responds when nothing is lined up.
    otherwise: Mutex<Option<Responder>>,
    asked: Mutex<Vec<String>>,
    heads: Mutex<Vec<String>>,
    events: Mutex<Events>,
    /// Paths and bodies.
    patches: Mutex<Vec<(String, Value)>>,
    /// Takes connections and requests, and responds to none.
    dead: Mutex<bool>,
}

/// From the path of a request to the response, if there is one of its own.
type Responder = Box<dyn FnMut(&str) -> Option<Reply> + Send>;

pub(crate) enum Reply {
    /// A head without `Content-Length`, and a body.
    Whole(String, Vec<u8>),
    /// A body that ends before it should.
    Half(Vec<u8>),
    /// Events as they are sent, until the sender is dropped.
    Watch(UnboundedReceiver<Vec<u8>>),
    /// A WebSocket on which this program is run.
    Exec(Program),
}

impl Reply {
    pub(crate) fn refusal(code: u16, headers: &str) -> Self {
        let body = json!({"kind": "Status", "code": code, "message": "no"}).to_string();
        Self::Whole(format!("HTTP/1.1 {code} X\r\n{headers}"), body.into_bytes())
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::Whole("HTTP/1.1 200 OK\r\n".to_owned(), body.to_string().into_bytes())
    }

    /// A watch of `kind`, and the server's end of it.
    pub(crate) fn watch(kind: Kind) -> (Self, WatchEnd) {
        let (sender, receiver) = unbounded_channel();
        (Self::Watch(receiver), WatchEnd { sender, kind })
    }
}

/// The server's end of a watch.
pub(crate) struct WatchEnd {
    sender: UnboundedSender<Vec<u8>>,
    kind: Kind,
}

impl WatchEnd {
    pub(crate) fn send(&self, kind: &str, object: &Value) {
        self.raw(&format!("{}\n", json!({"type": kind, "object": object})));
    }

    pub(crate) fn bookmark(&self, version: &str) {
        self.send("BOOKMARK", &bookmark(self.kind, version));
    }

    pub(crate) fn list_end(&self, version: &str) {
        self.send("BOOKMARK", &list_end(self.kind, version));
    }

    /// The client has left.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(crate) fn raw(&self, text: &str) {
        // The client may have left.
        drop(self.sender.send(text.as_bytes().to_vec()));
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(crate) async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::<Shared>::default();
        let mut tasks = JoinSet::new();
        let of_all = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&of_all)));
            }
        });
        Self { address, shared, _connections: tasks }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn config(&self) -> KubeConfig {
        config(&self.address)
    }

    /// Lines up the response to the next request for `kind`.
    pub(crate) fn reply(&self, kind: Kind, reply: Reply) {
        let mut replies = self.shared.replies.lock().unwrap();
        match replies.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, waiting)) => waiting.push_back(reply),
            None => replies.push((kind, VecDeque::from([reply]))),
        }
    }

    /// Responds so to every request that nothing is lined up for.
    pub(crate) fn otherwise(&self, respond: impl FnMut(&str) -> Option<Reply> + Send + 'static) {
        *self.shared.otherwise.lock().unwrap() = Some(Box::new(respond));
    }

    pub(crate) fn refuse(&self, kind: Kind, code: u16, headers: &str) {
        self.reply(kind, Reply::refusal(code, headers));
    }

    pub(crate) fn body(&self, kind: Kind, body: &str) {
        self.reply(kind, Reply::Whole("HTTP/1.1 200 OK\r\n".to_owned(), body.as_bytes().to_vec()));
    }

    pub(crate) fn list(&self, kind: Kind, version: &str, items: &[Value]) {
        self.body(kind, &list(kind, version, items).to_string());
    }

    pub(crate) fn watch(&self, kind: Kind) -> WatchEnd {
        let (reply, end) = Reply::watch(kind);
        self.reply(kind, reply);
        end
    }

    /// A watch that sends this list first, as API servers do that can, and goes on from there.
    pub(crate) fn stream(&self, kind: Kind, version: &str, items: &[Value]) -> WatchEnd {
        let watch = self.watch(kind);
        for item in items {
            watch.send("ADDED", item);
        }
        watch.list_end(version);
        watch
    }

    /// Responds that it has not come to this version.
    pub(crate) fn refuse_as_too_large(&self, kind: Kind) {
        let body = too_large().to_string();
        self.reply(kind, Reply::Whole("HTTP/1.1 504 X\r\n".to_owned(), body.into_bytes()));
    }

    /// Refuses the next attempts to make an Event.
    pub(crate) fn refuse_events(&self, refusals: &[(u16, &str)]) {
        let refusals = refusals.iter().map(|(code, message)| (*code, (*message).to_owned()));
        self.shared.events.lock().unwrap().refusals.extend(refusals);
    }

    /// Every attempt so far: the code of the response, and the Event.
    pub(crate) fn events(&self) -> Vec<(u16, Value)> {
        self.shared.events.lock().unwrap().asked.clone()
    }

    /// Every patch so far: the path, and what was sent.
    pub(crate) fn patches(&self) -> Vec<(String, Value)> {
        self.shared.patches.lock().unwrap().clone()
    }

    pub(crate) fn die(&self, dead: bool) {
        *self.shared.dead.lock().unwrap() = dead;
    }

    /// The paths that were asked for, of one kind.
    pub(crate) fn asked(&self, kind: Kind) -> Vec<String> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|path| kind_of(path) == kind).cloned().collect()
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }
}

pub(crate) fn config(address: &str) -> KubeConfig {
    KubeConfig { credentials: Credentials::Ambient, server: Some(address.to_owned()) }
}

/// A kubeconfig whose only context is `edge`, with the token in a file of its own.
pub(crate) fn kubeconfig(server: &Server, token: &Path) -> NamedTempFile {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "other",
        "clusters": [{"name": "c", "cluster": {"server": server.address()}}],
        "users": [{"name": "u", "user": {"tokenFile": token}}],
        "contexts": [{"name": "edge", "context": {"cluster": "c", "user": "u"}}],
    });
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text.to_string()).unwrap();
    file
}

pub(crate) fn config_of(kubeconfig: &Path) -> KubeConfig {
    let (file, context) = (Some(kubeconfig.to_owned()), Some("edge".to_owned()));
    KubeConfig { credentials: Credentials::Kubeconfig { file, context }, server: None }
}

pub(crate) fn list(kind: Kind, version: &str, items: &[Value]) -> Value {
    let resource = Resource::of(kind);
    json!({"kind": resource.list_kind(), "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": version}, "items": items})
}

pub(crate) fn too_large() -> Value {
    json!({"kind": "Status", "code": 504, "reason": "Timeout", "message": "Too large resource version: 9, current: 7",
        "details": {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}})
}

fn bookmark(kind: Kind, version: &str) -> Value {
    let resource = Resource::of(kind);
    json!({"kind": kind.label(), "apiVersion": resource.api_version(), "metadata": {"resourceVersion": version}})
}

fn list_end(kind: Kind, version: &str) -> Value {
    let mut end = bookmark(kind, version);
    end["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    end
}

pub(crate) fn service(name: &str, version: &str) -> Value {
    json!({"kind": "Service", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}})
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Some(head) = request(&mut stream).await {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if *shared.dead.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        shared.asked.lock().unwrap().push(path.clone());
        shared.heads.lock().unwrap().push(head.clone());
        let kind = kind_of(&path);
        if path.ends_with("/events") {
            let made = events::make(&mut stream, &head, &shared.events).await;
            if respond(&mut stream, made).await.is_none() {
                return;
            }
            continue;
        }
        if head.starts_with("PATCH ") {
            let patch = events::body(&mut stream, &head).await;
            let kind = if patch.is_array() { "json-patch" } else { "strategic-merge-patch" };
            assert!(head.contains(&format!("content-type: application/{kind}+json\r\n")), "{head}");
            shared.patches.lock().unwrap().push((path.clone(), patch));
        }
        let reply = {
            let mut replies = shared.replies.lock().unwrap();
            replies.iter_mut().find(|(known, _)| *known == kind).and_then(|(_, waiting)| waiting.pop_front())
        };
        let reply = reply.or_else(|| shared.otherwise.lock().unwrap().as_mut()?(&path));
        let reply = reply.unwrap_or_else(|| nothing(&path));
        let done = match reply {
            Reply::Exec(program) => exec::serve(&mut stream, &head, &program).await,
            reply @ (Reply::Whole(..) | Reply::Half(_) | Reply::Watch(_)) => {
                respond(&mut stream, reply).await
            }
        };
        if done.is_none() {
            return;
        }
    }
}

async fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

pub(crate) fn kind_of(path: &str) -> Kind {
    if path.contains("/services") {
        Kind::Service
    } else if path.contains("/endpointslices") {
        Kind::EndpointSlice
    } else if path.contains("/pods") {
        Kind::Pod
    } else if path.contains("/namespaces?") {
        Kind::Namespace
    } else {
        Kind::Node
    }
}

fn nothing(path: &str) -> Reply {
    if !path.contains("watch=true") {
        let head = "HTTP/1.1 200 OK\r\n".to_owned();
        return Reply::Whole(head, list(kind_of(path), "1", &[]).to_string().into_bytes());
    }
    let (reply, end) = Reply::watch(kind_of(path));
    if path.contains("sendInitialEvents") {
        end.list_end("1");
    }
    // It stays open for as long as it is read.
    std::mem::forget(end);
    reply
}

async fn respond(stream: &mut BufReader<TcpStream>, reply: Reply) -> Option<()> {
    match reply {
        Reply::Whole(head, body) => {
            let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body).await.ok()
        }
        Reply::Exec(_) => None,
        Reply::Half(body) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * body.len());
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body).await.ok()?;
            None
        }
        Reply::Watch(mut receiver) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.ok()?;
            while let Some(bytes) = receiver.recv().await {
                let size = format!("{:x}\r\n", bytes.len());
                stream.write_all(size.as_bytes()).await.ok()?;
                stream.write_all(&bytes).await.ok()?;
                stream.write_all(b"\r\n").await.ok()?;
            }
            stream.write_all(b"0\r\n\r\n").await.ok()
        }
    }
}

//! A small API server: it answers with what it was told, in order, and otherwise has nothing.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::events::{self, Events};
use crate::announce::{EventQueue, RateLimit, publish};
use crate::api::{ApiClient, Credentials, KubeConfig};
use crate::model::{ApiReport, KindState, SourceReport, SourceState};
use crate::model::{Change, Kind, Object};
use crate::source::Batch;
use crate::source::kube::{Follower, Timing, follow};

/// No wait in these tests is longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Server {
    address: String,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<Vec<(Kind, VecDeque<Reply>)>>,
    asked: Mutex<Vec<String>>,
    heads: Mutex<Vec<String>>,
    events: Mutex<Events>,
    /// Takes connections and requests, and answers none.
    dead: Mutex<bool>,
}

pub(super) enum Reply {
    /// A head without `Content-Length`, and a body.
    Whole(String, Vec<u8>),
    /// A body that ends before it should.
    Half(Vec<u8>),
    /// Events as they are sent, until the sender is dropped.
    Watch(UnboundedReceiver<Vec<u8>>),
}

/// The server's end of a watch.
pub(super) struct Teller(UnboundedSender<Vec<u8>>);

impl Teller {
    pub(super) fn tell(&self, kind: &str, object: &Value) {
        self.raw(&format!("{}\n", json!({"type": kind, "object": object})));
    }

    pub(super) fn bookmark(&self, version: &str) {
        self.tell("BOOKMARK", &json!({"kind": "x", "metadata": {"resourceVersion": version}}));
    }

    pub(super) fn raw(&self, text: &str) {
        // The client may have left.
        drop(self.0.send(text.as_bytes().to_vec()));
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(super) async fn at(address: &str) -> Self {
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

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn config(&self) -> KubeConfig {
        config(&self.address)
    }

    /// What the next request for `kind` is answered with, after those that were said before.
    pub(super) fn reply(&self, kind: Kind, reply: Reply) {
        let mut replies = self.shared.replies.lock().unwrap();
        match replies.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, waiting)) => waiting.push_back(reply),
            None => replies.push((kind, VecDeque::from([reply]))),
        }
    }

    pub(super) fn refuse(&self, kind: Kind, code: u16, headers: &str) {
        let body = json!({"kind": "Status", "code": code, "message": "no"}).to_string();
        self.reply(kind, Reply::Whole(format!("HTTP/1.1 {code} X\r\n{headers}"), body.into_bytes()));
    }

    pub(super) fn body(&self, kind: Kind, body: &str) {
        self.reply(kind, Reply::Whole("HTTP/1.1 200 OK\r\n".to_owned(), body.as_bytes().to_vec()));
    }

    pub(super) fn list(&self, kind: Kind, version: &str, items: &[Value]) {
        self.body(kind, &list(version, items).to_string());
    }

    pub(super) fn watch(&self, kind: Kind) -> Teller {
        let (tell, told) = unbounded_channel();
        self.reply(kind, Reply::Watch(told));
        Teller(tell)
    }

    /// A watch that tells this list first, as API servers do that can; then the watch that goes
    /// on from there.
    pub(super) fn stream(&self, kind: Kind, version: &str, items: &[Value]) -> Teller {
        let list = self.watch(kind);
        for item in items {
            list.tell("ADDED", item);
        }
        list.tell("BOOKMARK", &list_end(version));
        // It goes on, and nobody looks.
        std::mem::forget(list);
        self.watch(kind)
    }

    /// What is to become of the next attempts to make an Event, before any can be made.
    pub(super) fn refuse_events(&self, answers: &[(u16, &str)]) {
        let answers = answers.iter().map(|(code, message)| (*code, (*message).to_owned()));
        self.shared.events.lock().unwrap().refusals.extend(answers);
    }

    /// Every attempt so far: what it was answered with, and the Event.
    pub(super) fn events(&self) -> Vec<(u16, Value)> {
        self.shared.events.lock().unwrap().asked.clone()
    }

    pub(super) fn die(&self, dead: bool) {
        *self.shared.dead.lock().unwrap() = dead;
    }

    /// The paths that were asked for, of one kind.
    pub(super) fn asked(&self, kind: Kind) -> Vec<String> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|path| kind_of(path) == kind).cloned().collect()
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }
}

fn config(address: &str) -> KubeConfig {
    KubeConfig { credentials: Credentials::Ambient, server: Some(address.to_owned()) }
}

/// A kubeconfig whose only context is `edge`, with the token in a file of its own.
pub(super) fn kubeconfig(server: &Server, token: &Path) -> NamedTempFile {
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

pub(super) fn config_of(kubeconfig: &Path) -> KubeConfig {
    let (file, context) = (Some(kubeconfig.to_owned()), Some("edge".to_owned()));
    KubeConfig { credentials: Credentials::Kubeconfig { file, context }, server: None }
}

pub(super) fn list(version: &str, items: &[Value]) -> Value {
    json!({"kind": "XList", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
}

fn list_end(version: &str) -> Value {
    json!({"kind": "x", "metadata": {
        "resourceVersion": version, "annotations": {"k8s.io/initial-events-end": "true"},
    }})
}

pub(super) fn service(name: &str, version: &str) -> Value {
    json!({"kind": "Service", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}})
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
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
            if answer(&mut stream, made).await.is_none() {
                return;
            }
            continue;
        }
        let reply = {
            let mut replies = shared.replies.lock().unwrap();
            replies.iter_mut().find(|(known, _)| *known == kind).and_then(|(_, waiting)| waiting.pop_front())
        };
        let reply = reply.unwrap_or_else(|| nothing(&path));
        if answer(&mut stream, reply).await.is_none() {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn kind_of(path: &str) -> Kind {
    if path.contains("/services") {
        Kind::Service
    } else if path.contains("/endpointslices") {
        Kind::EndpointSlice
    } else {
        Kind::Node
    }
}

fn nothing(path: &str) -> Reply {
    if !path.contains("watch=true") {
        let head = "HTTP/1.1 200 OK\r\n".to_owned();
        return Reply::Whole(head, list("1", &[]).to_string().into_bytes());
    }
    let (tell, told) = unbounded_channel();
    if path.contains("sendInitialEvents") {
        Teller(tell.clone()).tell("BOOKMARK", &list_end("1"));
    }
    // It stays open for as long as anyone looks.
    std::mem::forget(tell);
    Reply::Watch(told)
}

async fn answer(stream: &mut TcpStream, reply: Reply) -> Option<()> {
    match reply {
        Reply::Whole(head, body) => {
            let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body).await.ok()
        }
        Reply::Half(body) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * body.len());
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body).await.ok()?;
            None
        }
        Reply::Watch(mut told) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.ok()?;
            while let Some(bytes) = told.recv().await {
                let size = format!("{:x}\r\n", bytes.len());
                stream.write_all(size.as_bytes()).await.ok()?;
                stream.write_all(&bytes).await.ok()?;
                stream.write_all(b"\r\n").await.ok()?;
            }
            stream.write_all(b"0\r\n\r\n").await.ok()
        }
    }
}

/// Whoever follows the server.
pub(super) struct Client {
    batches: UnboundedReceiver<Batch>,
    _follower: Follower,
    _events: Option<JoinSet<()>>,
    pub(super) report: ApiReport,
    /// Told and not yet asked for.
    waiting: VecDeque<String>,
}

impl Client {
    pub(super) async fn new(server: &Server) -> Self {
        Self::at(server.address()).await
    }

    pub(super) async fn at(address: &str) -> Self {
        Self::of(config(address)).await
    }

    pub(super) async fn with(address: &str, timing: Timing) -> Self {
        Self::start(config(address), timing).await
    }

    pub(super) async fn of(config: KubeConfig) -> Self {
        // Longer than any test waits, so that nothing ends by itself.
        Self::start(config, Timing { watch: 2 * PATIENCE, silence: 2 * PATIENCE }).await
    }

    /// It has something to say as well.
    pub(super) async fn telling(server: &Server, outbox: EventQueue, node: &str, pace: RateLimit) -> Self {
        let client = Self::new(server).await;
        let link = ApiClient::new(server.config(), None).await.unwrap();
        Self { _events: Some(publish(&link, outbox, node, pace)), ..client }
    }

    async fn start(config: KubeConfig, timing: Timing) -> Self {
        let (send, batches) = unbounded_channel();
        let link = ApiClient::new(config, None).await.unwrap();
        let follower = follow(&link, timing, move |batch| send.send(batch).is_ok());
        Self {
            batches,
            _follower: follower,
            _events: None,
            report: ApiReport::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Waits for the next change of `kind`: `+name`, `-name`, or `synced`.
    pub(super) async fn next(&mut self, kind: Kind) -> String {
        loop {
            if let Some(told) = self.waiting.pop_front() {
                return told;
            }
            let batch = self.batch().await;
            let of_kind = batch.changes.iter().filter_map(|change| words(change, kind));
            self.waiting.extend(of_kind);
        }
    }

    /// The next `count` changes of `kind`, as one text.
    pub(super) async fn told(&mut self, kind: Kind, count: usize) -> String {
        let mut told = Vec::new();
        for _ in 0..count {
            told.push(self.next(kind).await);
        }
        told.join(" ")
    }

    /// Waits until the report says so.
    pub(super) async fn until(&mut self, mut holds: impl FnMut(&ApiReport) -> bool) {
        while !holds(&self.report) {
            let batch = self.batch().await;
            self.waiting.extend(batch.changes.iter().filter_map(|change| words(change, Kind::Service)));
        }
    }

    /// How many changes wait to be taken.
    pub(super) fn backlog(&self) -> usize {
        self.batches.len()
    }

    async fn batch(&mut self) -> Batch {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv()).await.unwrap().unwrap();
        match &batch.report {
            SourceReport::Api(report) => self.report = report.clone(),
            SourceReport::Files(_) => panic!("not of a folder"),
        }
        batch
    }
}

pub(super) fn of(report: &ApiReport, kind: Kind) -> Option<&KindState> {
    report.kinds.iter().find(|known| known.kind == kind)
}

pub(super) fn state(report: &ApiReport, kind: Kind) -> Option<SourceState> {
    of(report, kind).map(|known| known.state)
}

fn words(change: &Change, wanted: Kind) -> Option<String> {
    let (kind, text) = match change {
        Change::Apply(object) => (object.key().kind, format!("+{}", name(object))),
        Change::Delete(key) => (key.kind, format!("-{}", key.name.name)),
        Change::Unread(unread) => (unread.key().kind, format!("?{}", unread.key().name.name)),
        Change::Incomplete | Change::Complete => return None,
        Change::Synced(kind) => (*kind, "synced".to_owned()),
    };
    (kind == wanted).then_some(text)
}

fn name(object: &Object) -> String {
    object.key().name.name.to_string()
}

//! Probes of a container, asked as a kubelet asks: from the host's network.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::Inside;

/// What the probes of a container say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Starting,
    NotReady,
    Ready,
    /// It is to be ended, and started again.
    Failed,
}

/// The probes of one run of a container.
pub(super) struct Probes {
    startup: Option<Probe>,
    liveness: Option<Probe>,
    readiness: Option<Probe>,
}

struct Probe {
    host: String,
    port: u16,
    path: String,
    period: Duration,
    patience: Duration,
    failures_that_count: u32,
    successes_that_count: u32,
    next: Instant,
    asked: Option<Receiver<bool>>,
    failures: u32,
    successes: u32,
    /// What it was until enough answers in a row differed.
    is_good: bool,
}

impl Probes {
    pub(super) fn of(container: &Value) -> Result<Self> {
        let probe = |name: &str| container.get(name).map(Probe::new).transpose();
        Ok(Self {
            startup: probe("startupProbe")?,
            liveness: probe("livenessProbe")?,
            readiness: probe("readinessProbe")?,
        })
    }

    /// Asks what is due, and says how things stand.
    pub(super) fn look(&mut self, host: &Inside) -> Health {
        if let Some(probe) = &mut self.startup {
            probe.look(host);
            if probe.has_failed() {
                return Health::Failed;
            }
            if !probe.is_good {
                return Health::Starting;
            }
            self.startup = None;
        }
        if let Some(probe) = &mut self.liveness {
            probe.look(host);
            if probe.has_failed() {
                return Health::Failed;
            }
        }
        let Some(probe) = &mut self.readiness else { return Health::Ready };
        probe.look(host);
        if probe.is_good { Health::Ready } else { Health::NotReady }
    }
}

impl Probe {
    fn new(of: &Value) -> Result<Self> {
        let get = of.get("httpGet").context("a probe that this stand-in does not know")?;
        let number = |field: &str| of.get(field).and_then(Value::as_u64);
        let seconds = |field: &str, default| Duration::from_secs(number(field).unwrap_or(default));
        let count = |field: &str, default| {
            number(field).and_then(|count| u32::try_from(count).ok()).unwrap_or(default)
        };
        let text = |field: &str| get.get(field).and_then(Value::as_str);
        let port = get.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        Ok(Self {
            host: text("host").unwrap_or("127.0.0.1").to_owned(),
            port: port.context("a probe without a port by number")?,
            path: text("path").unwrap_or("/").to_owned(),
            period: seconds("periodSeconds", 10),
            patience: seconds("timeoutSeconds", 1),
            failures_that_count: count("failureThreshold", 3),
            successes_that_count: count("successThreshold", 1),
            next: Instant::now() + seconds("initialDelaySeconds", 0),
            asked: None,
            failures: 0,
            successes: 0,
            is_good: false,
        })
    }

    fn look(&mut self, host: &Inside) {
        match self.asked.as_ref().map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => return,
            Some(Ok(true)) => (self.failures, self.successes) = (0, self.successes + 1),
            Some(Ok(false) | Err(TryRecvError::Disconnected)) => {
                (self.failures, self.successes) = (self.failures + 1, 0);
            }
            None => {}
        }
        self.asked = None;
        self.is_good = match self.is_good {
            true => self.failures < self.failures_that_count,
            false => self.successes >= self.successes_that_count,
        };
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + self.period;
        let (sender, receiver) = mpsc::channel();
        let (patience, asks) = (self.patience, ask(self.host.clone(), self.port, self.path.clone()));
        host.spawn(async move {
            let is_good = matches!(timeout(patience, asks).await, Ok(Ok(true)));
            // The container may have ended meanwhile.
            sender.send(is_good).ok();
        });
        self.asked = Some(receiver);
    }

    fn has_failed(&self) -> bool {
        self.failures >= self.failures_that_count
    }
}

/// Whether the answer's status is one of success.
async fn ask(host: String, port: u16, path: String) -> Result<bool> {
    let mut stream = TcpStream::connect((host.as_str(), port)).await.context("could not connect")?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: kube-probe/1.36\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.context("could not ask")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.context("no answer")?;
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
    Ok(status.is_some_and(|code| (200..400).contains(&code)))
}

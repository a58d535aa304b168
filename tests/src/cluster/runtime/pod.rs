//! The life of a pod: volumes, init containers one by one, containers with their probes, the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Runtime;
use super::bundle::{Wanted, is_confined, items};
use super::container::Container;
use super::host::Host;
use super::probe::{Health, Probes};
use super::volumes;

/// Between two starts of a container; a kubelet waits for ten seconds and more.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct ContainedPod {
    object: Value,
    volumes: BTreeMap<String, PathBuf>,
    fields: BTreeMap<&'static str, String>,
    /// Init containers first.
    parts: Vec<Part>,
    /// How many of them are init containers.
    init: usize,
    restarts: Restarts,
    ending: Option<Instant>,
    host: Arc<Host>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Restarts {
    Always,
    OnFailure,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Init,
    Main,
}

struct Part {
    role: Role,
    spec: Value,
    name: String,
    state: State,
    restarts: u32,
}

enum State {
    Waiting { until: Instant },
    Running { container: Container, probes: Box<Probes>, health: Health, is_asked: bool },
    Ended { code: i32 },
}

impl ContainedPod {
    pub(super) fn new(runtime: &Runtime, host: Arc<Host>, object: &Value) -> Result<Self> {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let fields = BTreeMap::from([
            ("metadata.name", text("/metadata/name")),
            ("metadata.namespace", text("/metadata/namespace")),
            ("spec.nodeName", text("/spec/nodeName")),
            ("spec.serviceAccountName", text("/spec/serviceAccountName")),
            ("status.hostIP", "127.0.0.1".to_owned()),
            ("status.podIP", "127.0.0.1".to_owned()),
        ]);
        let spec = object.get("spec").context("a pod without a spec")?;
        let restarts = match spec.get("restartPolicy").and_then(Value::as_str) {
            Some("Never") => Restarts::Never,
            Some("OnFailure") => Restarts::OnFailure,
            Some(_) | None => Restarts::Always,
        };
        let init = items(spec, "initContainers").count();
        let parts = [("initContainers", Role::Init), ("containers", Role::Main)];
        let parts = parts.iter().flat_map(|(field, role)| items(spec, field).map(|of| Part::new(of, *role)));
        let parts = parts.collect::<Result<_>>()?;
        let folder = runtime.folder.join(text("/metadata/uid"));
        let volumes = volumes::make(&runtime.api, &host, object, &folder)?;
        Ok(Self { object: object.clone(), volumes, fields, parts, init, restarts, ending: None, host })
    }

    /// Does what is due.
    pub(super) fn step(&mut self, runtime: &Runtime) -> Result<()> {
        let now = Instant::now();
        for part in &mut self.parts {
            part.look(&self.host, self.restarts)?;
        }
        if self.ending.is_some() {
            return Ok(());
        }
        let first =
            self.parts[..self.init].iter().position(|part| !matches!(part.state, State::Ended { code: 0 }));
        let due = match first {
            Some(at) => at..at + 1,
            None => self.init..self.parts.len(),
        };
        for at in due {
            if matches!(self.parts[at].state, State::Waiting { until } if until <= now) {
                let (container, probes) = self.start(runtime, at)?;
                self.parts[at].state = State::Running {
                    container,
                    probes: Box::new(probes),
                    health: Health::Starting,
                    is_asked: false,
                };
            }
        }
        Ok(())
    }

    fn start(&self, runtime: &Runtime, at: usize) -> Result<(Container, Probes)> {
        let Part { spec, name, restarts, .. } = &self.parts[at];
        let pod = self.name();
        let id = format!("{}-{pod}-{name}-{restarts}", self.host.node.name());
        let image = spec.get("image").and_then(Value::as_str).unwrap_or_default();
        let image = runtime.image(image).with_context(|| format!("no image {image}"))?;
        let cgroup = self.host.node.cgroup();
        let cgroup = cgroup.strip_prefix(runtime.hierarchy()).context("a cgroup elsewhere")?;
        let wanted = Wanted {
            container: spec,
            image: &image,
            volumes: &self.volumes,
            fields: &self.fields,
            netns: self.host.netns.path(),
            all: &runtime.capabilities,
            cgroup: format!("/{}/{id}", cgroup.display()),
        };
        let confined = is_confined(&self.object, spec);
        let bundle = runtime.bundle(&id, &wanted, confined)?;
        let log = self.host.node.file(&format!("{pod}-{name}.log"));
        let container = Container::start(&self.host.node, &bundle, &runtime.state(), &id, &log)?;
        Ok((container, Probes::of(spec)?))
    }

    /// From now on it ends: politely, and after its grace period not.
    pub(super) fn end(&mut self) {
        let seconds = self.object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
        let grace = Duration::from_secs(seconds.unwrap_or(30));
        let since = *self.ending.get_or_insert_with(Instant::now);
        for part in &mut self.parts {
            if let State::Running { container, is_asked, .. } = &mut part.state {
                if !std::mem::replace(is_asked, true) {
                    container.ask_to_end();
                } else if since.elapsed() > grace {
                    container.kill();
                }
            }
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part.state, State::Running { .. }))
    }

    /// Runs a program in its container of this name.
    pub(super) fn exec(&self, container: &str, arguments: &[&str]) -> Result<Output> {
        let part = self.parts.iter().find(|part| part.name == container);
        match part.map(|part| &part.state) {
            Some(State::Running { container, .. }) => container.exec(arguments),
            Some(_) | None => anyhow::bail!("no container {container} runs"),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.fields["metadata.name"]
    }

    /// As a kubelet would write it.
    pub(super) fn status(&self) -> Value {
        let (init, main) = self.parts.split_at(self.init);
        let is_initialized = init.iter().all(|part| matches!(part.state, State::Ended { code: 0 }));
        let is_ready = is_initialized && main.iter().all(Part::is_ready) && self.ending.is_none();
        let codes: Option<Vec<i32>> = main.iter().map(Part::code).collect();
        let phase = match (&codes, is_initialized) {
            (Some(codes), true) if codes.iter().all(|code| *code == 0) => "Succeeded",
            (Some(_), true) => "Failed",
            (_, false) => "Pending",
            (None, true) => "Running",
        };
        let condition =
            |kind: &str, is: bool| json!({"type": kind, "status": if is { "True" } else { "False" }});
        let statuses = |parts: &[Part]| parts.iter().map(Part::status).collect::<Vec<_>>();
        json!({"status": {
            "phase": phase, "hostIP": "127.0.0.1", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
            "conditions": [
                condition("PodScheduled", true), condition("Initialized", is_initialized),
                condition("ContainersReady", is_ready), condition("Ready", is_ready),
            ],
            "initContainerStatuses": statuses(init),
            "containerStatuses": statuses(main),
        }})
    }
}

impl Part {
    fn new(spec: &Value, role: Role) -> Result<Self> {
        let name = spec.get("name").and_then(Value::as_str).context("a container without a name")?;
        let state = State::Waiting { until: Instant::now() };
        Ok(Self { role, spec: spec.clone(), name: name.to_owned(), state, restarts: 0 })
    }

    /// Asks how it is.
    fn look(&mut self, host: &Host, restarts: Restarts) -> Result<()> {
        let State::Running { container, probes, health, .. } = &mut self.state else { return Ok(()) };
        let Some(status) = container.ended()? else {
            *health = probes.look(&host.inside);
            if *health == Health::Failed {
                eprintln!("kubelet: the container {} is not well, and is killed", self.name);
                container.kill();
            }
            return Ok(());
        };
        let code = status.code().unwrap_or(137);
        let again = match (restarts, self.role) {
            (Restarts::Never, _) => false,
            (Restarts::Always, Role::Main) => true,
            (Restarts::OnFailure, _) | (Restarts::Always, Role::Init) => code != 0,
        };
        self.state = if again {
            self.restarts += 1;
            State::Waiting { until: Instant::now() + PAUSE }
        } else {
            State::Ended { code }
        };
        Ok(())
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Running { health: Health::Ready, .. })
    }

    fn code(&self) -> Option<i32> {
        if let State::Ended { code } = self.state { Some(code) } else { None }
    }

    fn status(&self) -> Value {
        let state = match &self.state {
            State::Waiting { .. } => json!({"waiting": {"reason": "PodInitializing"}}),
            State::Running { .. } => json!({"running": {}}),
            State::Ended { code } => json!({"terminated": {"exitCode": code}}),
        };
        let has_started =
            matches!(self.state, State::Running { health: Health::Ready | Health::NotReady, .. });
        json!({
            "name": self.name, "image": self.spec.get("image"), "imageID": "",
            "ready": self.is_ready() || self.code() == Some(0), "started": has_started,
            "restartCount": self.restarts, "state": state,
        })
    }
}

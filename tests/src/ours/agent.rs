//! The real agent on a simulated node, and its folder of manifests.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lb_agent::datapath::cgroup;
use lb_agent::serve::observe::observe;
use lb_agent::serve::socket::ask;
use lb_agent::view::kernel::{KernelView, ServiceView};
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;

use crate::cluster::{Cluster, Uplink};
use crate::harness::checkout;
use crate::harness::child::Child;
use crate::harness::manifests::manifests;
use crate::harness::node::Node;

/// How long anything that is waited for may take, also where every instruction is emulated.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `lb-agent run`. It is asked to leave when dropped.
pub struct Agent {
    child: Child,
    paths: Paths,
}

struct Paths {
    socket: PathBuf,
    log: PathBuf,
}

impl Agent {
    /// Starts one for `node`, over its manifests, and waits until it is ready.
    pub fn start(node: &Node, flags: &[&str]) -> Result<Self> {
        let agent = Self::spawn(node, flags)?;
        agent.wait_until("the agent is ready", |view| view.ready)?;
        Ok(agent)
    }

    /// The same without waiting.
    pub fn spawn(node: &Node, flags: &[&str]) -> Result<Self> {
        Self::spawn_as(node, &mut node.command(program()?), flags)
    }

    /// The same with any program that becomes an agent, to which the agent's arguments are given.
    pub fn spawn_as(node: &Node, command: &mut Command, flags: &[&str]) -> Result<Self> {
        run(command, node, flags);
        if !flags.contains(&"--source") {
            command.arg("--source").arg(format!("file:{}", Folder::of(node)?.0.display()));
        }
        Self::from_command(node, command)
    }

    /// Starts one for `node` in the network of a control plane, and does not wait. `flags` say how it is to
    /// reach the API server.
    pub fn follow(cluster: &Cluster, node: &Node, flags: &[&str]) -> Result<Self> {
        Self::from_program(node, &mut cluster.command_on(node, program()?), flags)
    }

    /// The same with any program that becomes the agent, to which the agent's arguments are given.
    pub fn from_program(node: &Node, command: &mut Command, flags: &[&str]) -> Result<Self> {
        run(command, node, flags);
        save(command, node, flags);
        Self::from_command(node, command)
    }

    /// The same at the far end of an uplink.
    pub fn follow_over(uplink: &Uplink, node: &Node, flags: &[&str]) -> Result<Self> {
        let mut command = uplink.command_on(node, program()?);
        run(&mut command, node, flags);
        save(&mut command, node, flags);
        Self::from_command(node, &mut command)
    }

    fn from_command(node: &Node, command: &mut Command) -> Result<Self> {
        let log = node.file("agent.log");
        let into = File::options().create(true).append(true).open(&log).context("could not make a log")?;
        let child = Child::spawn("lb-agent", command.stderr(into))?;
        Ok(Self { child, paths: Paths { socket: node.file("agent.sock"), log } })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// What it says of itself.
    pub fn view(&self) -> Result<AgentView> {
        ask(&self.paths.socket).ok_or_else(|| anyhow!("the agent does not answer:\n{}", self.log()))
    }

    pub fn wait_until(&self, what: &str, wanted: impl Fn(&AgentView) -> bool) -> Result<AgentView> {
        let mut last = None;
        let found = wait_for(what, || {
            last = ask(&self.paths.socket);
            Ok(last.as_ref().is_some_and(&wanted))
        });
        found.with_context(|| format!("{last:#?}\n{}", self.log()))?;
        last.context("it answered")
    }

    /// Waits until it is ready or has ended; gives how it ended.
    pub fn ready_or_ended(&mut self) -> Result<Option<ExitStatus>> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.wait(Duration::ZERO)? {
                return Ok(Some(status));
            }
            let view = ask(&self.paths.socket);
            if view.as_ref().is_some_and(|view| view.ready) {
                return Ok(None);
            }
            ensure!(
                Instant::now() < give_up,
                "it is neither ready nor has it ended: {view:#?}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has ended by itself; gives how.
    pub fn ended(&mut self, within: Duration) -> Result<Option<ExitStatus>> {
        self.child.wait(within)
    }

    /// Everything that agents of this node logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.paths.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.child.signal(signal)
    }

    /// Sends a signal and waits for the end; gives the exit code.
    pub fn end_by(mut self, signal: Signal) -> Result<Option<i32>> {
        self.child.signal(signal)?;
        let status = self.child.wait(PATIENCE)?.with_context(|| format!("it goes on:\n{}", self.log()))?;
        Ok(status.code())
    }
}

/// The manifests of a node.
pub struct Folder(PathBuf);

impl Folder {
    pub fn of(node: &Node) -> Result<Self> {
        let folder = node.file("manifests");
        fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        Ok(Self(folder))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts a file there at once; `lines` is in the notation of [`manifests`].
    pub fn put(&self, name: &str, lines: &str) -> Result<()> {
        self.put_text(name, &manifests(lines)?)
    }

    /// The same with a text as it is.
    pub fn put_text(&self, name: &str, text: &str) -> Result<()> {
        let draft = self.0.join(format!(".{name}.draft"));
        fs::write(&draft, text).with_context(|| format!("could not write {}", draft.display()))?;
        fs::rename(&draft, self.0.join(name)).with_context(|| format!("could not place {name}"))
    }

    pub fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.0.join(name)).with_context(|| format!("could not remove {name}"))
    }
}

/// What every agent of the harness is started with.
fn run(command: &mut Command, node: &Node, flags: &[&str]) {
    command.args(["run", "--pin-root"]).arg(node.pin_root());
    if !flags.contains(&"--cgroup") {
        command.arg("--cgroup").arg(node.cgroup());
    }
    command.args(["--node", node.name(), "--socket"]).arg(node.file("agent.sock")).args(flags);
    if !flags.contains(&"--self-test") {
        // What the agent dials itself is counted, too. A variable, for earlier versions do not know the flag.
        command.env("EDGELOOP_SELF_TEST", "off");
    }
}

/// Where an agent that follows an API server saves its state.
#[must_use]
pub fn saved_state(node: &Node) -> PathBuf {
    node.file("saved/state.gz")
}

fn save(command: &mut Command, node: &Node, flags: &[&str]) {
    if !flags.contains(&"--saved-state") {
        command.arg("--saved-state").arg(saved_state(node));
    }
}

/// The agent's program with a verb and the node's pin root.
pub fn lb_agent(node: &Node, verb: &str) -> Result<Command> {
    let mut command = node.command(program()?);
    command.arg(verb).arg("--pin-root").arg(node.pin_root());
    Ok(command)
}

/// Runs a verb of the agent's program that ends by itself.
pub fn lb_agent_says(node: &Node, verb: &str, flags: &[&str]) -> Result<Output> {
    lb_agent(node, verb)?.args(flags).output().context("could not run lb-agent")
}

/// What is pinned for the node and attached to its cgroup.
pub fn in_kernel(node: &Node) -> Result<KernelView> {
    let cgroup = cgroup::find(Some(node.cgroup()))?;
    Ok(observe(&node.pin_root(), Some(&cgroup))?)
}

/// The element of one address, if there is one.
pub fn element(node: &Node, address: &str) -> Result<Option<ServiceView>> {
    Ok(in_kernel(node)?.services.into_iter().find(|service| service.address == address))
}

/// Polls until it is so.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < give_up, "it was not to be within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The agent's program, beside those of the harness. A verb of `cargo xtask` has built them all at once; for
/// a test program it is built first, once, since cargo builds it for the agent's own tests alone.
pub fn program() -> Result<PathBuf> {
    static FOUND: LazyLock<Result<PathBuf, String>> =
        LazyLock::new(|| find().map_err(|error| format!("{error:#}")));
    FOUND.clone().map_err(|error| anyhow!(error))
}

fn find() -> Result<PathBuf> {
    let program = crate::harness::helper::find()?.with_file_name("lb-agent");
    let own = env::current_exe().context("could not find where this program lies")?;
    if own.parent().is_some_and(|folder| folder.ends_with("deps")) && !checkout::is_built() {
        build()?;
    }
    ensure!(program.is_file(), "there is no {}: run the verb of `cargo xtask` again", program.display());
    Ok(program)
}

/// Alone, it may differ from what is built together: other features of what both depend on.
fn build() -> Result<()> {
    let status = checkout::cargo()
        .args(["build", "--quiet", "--package", "lb-agent", "--bin", "lb-agent"])
        .status()
        .context("could not run cargo")?;
    ensure!(status.success(), "could not build lb-agent");
    Ok(())
}

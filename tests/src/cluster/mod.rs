//! A real control plane in a network namespace of its own, with nothing but `lo`.
//!
//! Pod addresses, cluster IPs and node addresses are invented: from in there, no packet to them
//! can leave the machine. Every program of it is in a cgroup of its site, and goes with the site.

mod api;
mod authority;
mod etcd;
mod exec;
mod forward;
mod helm;
mod hub;
mod inside;
mod kube_proxy;
mod kubelet;
mod many;
mod nodes;
mod objects;
mod parts;
mod playground;
mod proxy;
mod runtime;
mod tools;
mod uplink;
mod users;
mod yurt;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::harness::answer::Answer;
use crate::harness::child::Child;
use crate::harness::helper::Helper;
use crate::harness::netns::Netns;
use crate::harness::node::Node;
use crate::harness::site::{Site, World};
use crate::harness::{cgroup, helper, pod};
use authority::Authority;
use users::User;

use api::is_unreachable;
pub use api::{Api, Refused, is_refused};
pub use exec::{Called, ExecDoor};
pub use forward::Forward;
pub use helm::{Helm, NAMESPACE, RELEASE, image};
pub use hub::Hub;
pub use inside::Inside;
pub use kube_proxy::{KubeProxy, ProxyMode};
pub use kubelet::{Kubelet, Seen};
pub use nodes::patiently;
pub use objects::Patch;
pub use parts::{API_SERVER_PORT, Part, Release};
pub use playground::{Playground, Whereabouts};
pub use proxy::{Fault, Front, Proxy, Report, Upstream};
pub use runtime::Runtime;
pub use tools::{TOOLS, tool};
pub use uplink::Uplink;
pub use yurt::Yurt;

/// For a program to become ready, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);

/// etcd and an API server, and controllers once asked for. Ends with its last handle's drop.
pub struct Cluster {
    parts: BTreeMap<Part, Child>,
    /// Of the API server, from its next start on.
    release: Release,
    admin: Api,
    authority: Authority,
    users: Vec<User>,
    folder: PathBuf,
    cgroup: PathBuf,
    netns: Arc<Netns>,
    world: Arc<World>,
}

impl Cluster {
    /// Starts etcd and an API server, and waits until it is ready: about three seconds.
    ///
    /// # Errors
    /// The programs are not there, or one of them does not start; the error has its last words.
    pub fn up(site: &Site) -> Result<Self> {
        Self::up_as(site, Release::Current)
    }

    /// The same with an API server of another release.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub fn up_as(site: &Site, release: Release) -> Result<Self> {
        let world = site.world();
        let number = world.next_number();
        let folder = world.folder().join(format!("cluster{number}"));
        fs::create_dir(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let cgroup = world.cgroup.join(format!("cluster{number}"));
        cgroup::create(&cgroup)?;
        let netns = Arc::new(Netns::new()?);
        netns.ip("link set lo up\n")?;

        let authority = Authority::new(&folder, "edgeloop-tests")?;
        authority.certify_server("api")?;
        authority.make_pair("sa")?;
        let users = users::make(&folder)?;
        let admin = Api::new(&netns, &server(), authority.der(), users::token_of(&users, users::ADMIN)?)?;
        let parts = BTreeMap::new();
        let mut cluster = Self { parts, release, admin, authority, users, folder, cgroup, netns, world };
        cluster.write_kubeconfigs()?;
        cluster.start(Part::Etcd)?;
        cluster.start(Part::ApiServer)?;
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    /// With the controller manager and the scheduler: pods are made and bound, slices follow them.
    pub fn with_controllers(site: &Site) -> Result<Self> {
        let mut cluster = Self::up(site)?;
        cluster.start(Part::ControllerManager)?;
        cluster.start(Part::Scheduler)?;
        Ok(cluster)
    }

    /// Asks as an administrator.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.admin
    }

    /// Asks as an administrator on threads and connections of its own, and by way of this port on 127.0.0.1.
    pub fn api_by(&self, port: u16) -> Result<Api> {
        let token = users::token_of(&self.users, users::ADMIN)?;
        Api::new(&self.netns, &format!("https://127.0.0.1:{port}"), self.authority.der(), token)
    }

    /// Asks with this token.
    pub fn api_with(&self, token: &str) -> Result<Api> {
        Api::new(&self.netns, &server(), self.authority.der(), token)
    }

    /// Threads in the control plane's network namespace.
    pub fn inside(&self) -> Result<Inside> {
        Inside::new(&self.netns)
    }

    /// Starts a part that is not running.
    pub fn start(&mut self, part: Part) -> Result<()> {
        let mut command = if part == Part::ApiServer {
            let mut command = self.command(tool(self.release.program())?);
            command.args(self.release.arguments());
            command
        } else {
            self.command(tool(part.program())?)
        };
        command.args(part.arguments(&self.folder));
        let child = self.spawn(part.program(), &mut command)?;
        self.parts.insert(part, child);
        Ok(())
    }

    /// Kills a part, as a machine does that loses its power.
    pub fn kill(&mut self, part: Part) -> Result<()> {
        self.signal(part, Signal::SIGKILL)?;
        let mut child = self.parts.remove(&part).context("it was running")?;
        child.wait(Duration::from_secs(5))?.with_context(|| format!("{} does not end", part.program()))?;
        Ok(())
    }

    pub fn signal(&mut self, part: Part, signal: Signal) -> Result<()> {
        let child = self.parts.get_mut(&part);
        child.with_context(|| format!("{} is not running", part.program()))?.signal(signal)
    }

    /// Kills the API server and starts one of another release over the same etcd.
    pub fn upgrade(&mut self, release: Release) -> Result<()> {
        self.kill(Part::ApiServer)?;
        self.release = release;
        self.start(Part::ApiServer)?;
        self.wait_until_ready()
    }

    /// Until the API server says that it is.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        self.wait_for(Part::ApiServer.program(), |cluster| Ok(cluster.admin.text("/readyz")? == "ok"))
    }

    /// From its next start on, the API server shows a certificate of a new authority, which only those trust
    /// who read `ca.crt` in the cluster's folder from now on.
    pub fn rotate_authority(&mut self) -> Result<()> {
        self.authority = Authority::new(&self.folder, "edgeloop-tests-next")?;
        self.authority.certify_server("api")?;
        let token = users::token_of(&self.users, users::ADMIN)?;
        self.admin = Api::new(&self.netns, &server(), self.authority.der(), token)?;
        self.write_kubeconfigs()
    }

    /// A program that will run in the control plane's network, as if on the same host.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        helper::program(&self.world.helper, &self.cgroup, Some(&self.netns), program.as_ref())
    }

    /// The same on a node: in its cgroup.
    #[must_use]
    pub fn command_on(&self, node: &Node, program: impl AsRef<OsStr>) -> Command {
        helper::program(&self.world.helper, node.cgroup(), Some(&self.netns), program.as_ref())
    }

    /// Dials once from a process of its own, in the control plane's network and the node's cgroup.
    pub fn dial(&self, node: &Node, target: &str) -> Result<Answer> {
        let name = format!("a client of {target}");
        let arguments = ["dial".to_owned(), format!("--to={target}"), "--count=1".to_owned()];
        let mut client = Helper::start(&self.world.helper, node.cgroup(), &self.netns, name, &arguments)?;
        client.expect(pod::PATIENCE)
    }

    /// The control plane's network has all addresses of this network, though no interface has one of them.
    pub fn answer_for(&self, network: &str) -> Result<()> {
        self.netns.ip(&format!("route add local {network} dev lo\n"))
    }

    /// Starts it; what it says goes to `NAME.log` in the cluster's folder.
    pub fn spawn(&self, name: &str, command: &mut Command) -> Result<Child> {
        let log = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&log).context("could not make a log")?;
        let also = log.try_clone().context("could not share a log")?;
        Child::spawn(name, command.stdin(std::process::Stdio::null()).stdout(log).stderr(also))
    }

    /// For kubeconfigs, logs and whatever else belongs to it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A kubeconfig with an administrator's rights, for programs in the control plane's network.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.conf")
    }

    /// Writes `NAME.conf` in the cluster's folder, with this token.
    pub fn write_kubeconfig(&self, name: &str, token: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("{name}.conf"));
        users::write_kubeconfig(&file, &server(), &self.authority.pem(), token)?;
        Ok(file)
    }

    /// The same with paths of files to read authority and token from.
    pub fn write_kubeconfig_of_files(&self, name: &str, authority: &Path, token: &Path) -> Result<PathBuf> {
        let file = self.folder.join(format!("{name}.conf"));
        users::write_kubeconfig_of_files(&file, &server(), authority, token)?;
        Ok(file)
    }

    fn write_kubeconfigs(&self) -> Result<()> {
        for (name, user) in [
            ("admin", users::ADMIN),
            ("controller-manager", users::CONTROLLER_MANAGER),
            ("scheduler", users::SCHEDULER),
        ] {
            self.write_kubeconfig(name, users::token_of(&self.users, user)?)?;
        }
        Ok(())
    }

    /// Opens to the control plane's network namespace, while this process lives.
    #[must_use]
    pub fn netns(&self) -> PathBuf {
        self.netns.path()
    }

    /// Polls until it is so; errors that pass do not count. The error has the last words of `program`.
    pub fn wait_for(&mut self, program: &str, is_so: impl Fn(&mut Self) -> Result<bool>) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let error = match is_so(self) {
                Ok(true) => return Ok(()),
                Ok(false) => None,
                Err(error) => Some(error),
            };
            if Instant::now() > give_up || self.has_ended(program)? {
                let words = self.last_words(program);
                let error = error.map(|error| format!("{error:#}\n")).unwrap_or_default();
                bail!("{program} does not become what was waited for: {error}{words}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn has_ended(&mut self, program: &str) -> Result<bool> {
        let part = self.parts.iter_mut().find(|(part, _)| part.program() == program);
        part.map_or(Ok(false), |(_, child)| Ok(child.wait(Duration::ZERO)?.is_some()))
    }

    fn last_words(&self, program: &str) -> String {
        let log = fs::read_to_string(self.folder.join(format!("{program}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Cluster {
    /// Asked politely, an API server waits for its watchers first.
    fn drop(&mut self) {
        for child in self.parts.values_mut() {
            // One that has ended already is what is wanted.
            child.signal(Signal::SIGKILL).ok();
        }
    }
}

fn server() -> String {
    format!("https://127.0.0.1:{API_SERVER_PORT}")
}

//! The whole machine as one node: an agent with nothing but its defaults, and pods that are served.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edgeloop_tests::agent::{program, wait_for};
use edgeloop_tests::{Alone, Answer, Child, Pod, Site, Watch, alone, now};
use lb_agent::config::{PIN_ROOT, SavedState, socket};
use lb_agent::datapath::cgroup;
use lb_agent::serve::observe::observe;
use lb_agent::serve::socket::ask;
use lb_agent::view::kernel::KernelView;
use lb_agent::view::status::AgentView;

pub(crate) const API_SERVER: &str = "127.0.0.1:6443";
pub(crate) const WEB: &str = "10.96.0.11:80";
/// `default/kubernetes`.
pub(crate) const KUBERNETES: &str = "10.96.0.1:443";
/// Outlives a reboot.
pub(crate) const DISK: &str = "/var/lib";

/// Every instruction is emulated.
const PATIENCE: Duration = Duration::from_secs(600);
const CGROUP: &str = "/sys/fs/cgroup";
const BPF: &str = "/sys/fs/bpf";

/// A client, and the pod `a` that it is to reach. Nothing else uses the machine.
pub(crate) struct Host {
    client: Pod,
    _server: Pod,
    _site: Site,
    _alone: Alone,
}

impl Host {
    /// Nothing of BPF is on the machine.
    pub(crate) fn new() -> Self {
        assert!(
            Path::new("/run-tests-1").is_file(),
            "this takes a whole machine: `cargo xtask vm` makes one"
        );
        let alone = alone();
        wait_for("no program and no map is loaded", || {
            let programs = aya::programs::loaded_programs().count();
            Ok(programs == 0 && aya::maps::loaded_maps().count() == 0)
        })
        .unwrap();
        assert_eq!(fs::read_dir(BPF).unwrap().count(), 0, "pins");
        let site = Site::new().unwrap();
        let node = site.node("n1").unwrap();
        let server = node.pod("a", "10.244.1.1").unwrap();
        server.serve_name(9376).unwrap();
        let client = node.pod("client", "10.244.1.9").unwrap();
        let host = Self { client, _server: server, _site: site, _alone: alone };
        assert!(!host.is_served());
        host
    }

    /// Whether `web` is answered. Behind the programs, nothing is at its address.
    pub(crate) fn is_served(&self) -> bool {
        let answer = self.client.dial(WEB, 1).unwrap().remove(0);
        assert!(answer.is_from("a") || answer.failed_with("ENETUNREACH"), "{answer:?}");
        answer.is_from("a")
    }

    /// Starts an agent, and gives how long it takes from there until `web` is answered.
    pub(crate) fn serve(&self) -> (Agent, Duration) {
        let mut watch: Watch = self.client.watch(WEB).unwrap();
        let begun = now();
        let agent = Agent::start(&[]);
        let is_served = |answer: &Answer| answer.is_from("a");
        let answer = watch.first_since(begun, is_served, PATIENCE);
        let answer = answer.with_context(|| agent.log()).unwrap();
        (agent, answer.ended() - begun)
    }
}

/// How many Services there are to be: the machine was started with that.
pub(crate) fn services() -> usize {
    std::env::var("SERVICES").unwrap().parse().unwrap()
}

/// What this machine measured, for people: the harness of tests keeps what `println!` writes to itself.
pub(crate) fn say(text: &str) {
    // A reader that went away does not end the tests.
    writeln!(std::io::stdout(), "{text}").ok();
}

/// The agent of the machine. When it is dropped, it and all that it made are gone.
pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let log = PathBuf::from("/tmp/agent.log");
        let mut command = Command::new(program().unwrap());
        command.args(["run", "--node", "n1", "--api-server", &format!("http://{API_SERVER}")]).args(flags);
        command.stderr(File::create(&log).unwrap());
        Self { child: Child::spawn("lb-agent", &mut command).unwrap(), log }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&AgentView) -> bool) -> AgentView {
        let socket = socket(None, Path::new(PIN_ROOT));
        self.wait_for(what, || ask(&socket).filter(&wanted))
    }

    /// Until the agent has brought this about.
    pub(crate) fn wait_for<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let give_up = now() + PATIENCE;
        loop {
            match found() {
                Some(found) => return found,
                None => assert!(now() < give_up, "it was not to be: {what}: {}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let ended = self.child.end().and_then(|_| {
            let said = says(&["cleanup"])?;
            ensure!(!Path::new(PIN_ROOT).exists(), "cleanup left pins: {said}");
            Ok(())
        });
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// What a verb of the agent's program writes.
pub(crate) fn says(arguments: &[&str]) -> Result<String> {
    let output = Command::new(program()?).args(arguments).output().context("could not run lb-agent")?;
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{said}{wrong}");
    Ok(said.into_owned())
}

/// What the agent has in the kernel, all of it attached at the root of all cgroups.
pub(crate) fn in_kernel() -> KernelView {
    let view = observe(Path::new(PIN_ROOT), Some(&cgroup::find(None).unwrap())).unwrap();
    let root = fs::metadata(CGROUP).unwrap().ino();
    assert!(
        !view.hooks.is_empty() && view.hooks.iter().all(|hook| hook.cgroup_id == root),
        "{:?}",
        view.hooks
    );
    view
}

/// Whether the programs know this address.
pub(crate) fn knows(view: &KernelView, address: &str) -> bool {
    view.services.iter().any(|service| service.address == address)
}

/// Where the agent saves its state.
pub(crate) fn saved_state() -> PathBuf {
    SavedState::file(None, Path::new(PIN_ROOT)).unwrap()
}

/// What the kernel calls this boot.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap()
}

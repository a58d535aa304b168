//! `docs/tour.md`: each step is made here, in its order, and prints what the page shows.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use edgeloop_tests::agent::{program, wait_for};
use edgeloop_tests::checkout;
use edgeloop_tests::cluster::{ExecDoor, Part};
use edgeloop_tests::processes_of;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::install::{Stage, assert_answered_by};

const PAGE: &str = "docs/tour.md";
/// Writes the page's blocks.
const RECORD: &str = "EDGELOOP_RECORD_PAGES";
const WEB: &str = "10.96.0.11:80";
const BOTH: &str = "service web 10.96.0.11:80 topology=openyurt.io/nodepool
                    slice web-1 of web 9376 10.244.1.200@n1 10.244.2.200@n2";
const SECOND_ALONE: &str = "service web 10.96.0.11:80 topology=openyurt.io/nodepool
                            slice web-1 of web 9376 10.244.2.200@n2";

/// A page with blocks of text that begin with a command, `$ …`. They are gone through in their order.
struct Page {
    path: PathBuf,
    text: String,
    next: usize,
    writes: bool,
}

impl Page {
    fn read() -> Self {
        let path = checkout::folder().unwrap().join(PAGE);
        let text = fs::read_to_string(&path).unwrap();
        Self { path, text, next: 0, writes: env::var_os(RECORD).is_some() }
    }

    /// Where the rest of the next block is, which begins so.
    fn block(&self, begins: &str) -> Range<usize> {
        let at = self.text[self.next..].find("```").map_or(self.text.len(), |at| self.next + at);
        assert!(self.text[at..].starts_with(begins), "the next block of {PAGE} does not begin so: {begins}");
        let from = at + begins.len();
        from..from + self.text[from..].find("```").unwrap()
    }

    /// The command line of the next block.
    fn runs(&mut self) -> String {
        let block = self.block("```sh\n");
        self.next = block.end + 3;
        self.text[block].trim().to_owned()
    }

    /// The next block is of this command, which printed this.
    fn shows(&mut self, command: &str, printed: &str) {
        let block = self.block(&format!("```text\n$ {command}\n"));
        let printed = steady(printed);
        self.next = block.start + printed.len() + 3;
        if self.writes {
            self.text.replace_range(block, &printed);
        } else {
            assert_eq!(self.text[block], printed, "{PAGE} shows something else for: {command}");
        }
    }

    fn end(self) {
        assert_eq!(self.text[self.next..].find("```"), None, "all blocks of {PAGE} were made");
        if self.writes {
            fs::write(self.path, self.text).unwrap();
        }
    }
}

/// Without what differs from run to run: how many seconds ago something was, how many connections a load made, and which
/// service id a Service got (the agent's self-test takes some, before it or after it).
fn steady(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        let is_number = words[at - 1].bytes().all(|digit| digit.is_ascii_digit());
        let is_seconds = words[at].trim_end_matches(|last: char| !last.is_alphabetic()) == "s";
        if is_number && is_seconds {
            words[at - 1] = "5".to_owned();
        }
        if is_number && words[at] == "connections" && words[at - 1].len() > 3 {
            words[at - 1] = "7500".to_owned();
        }
        let id = words[at].trim_end_matches(',').to_owned();
        if words[at - 1] == "id" && !id.is_empty() && id.bytes().all(|digit| digit.is_ascii_digit()) {
            words[at] = words[at].replacen(&id, "1", 1);
        }
    }
    words.join(" ")
}

struct Tour {
    page: Page,
    stage: Stage,
    plugin: PathBuf,
    _door: ExecDoor,
}

impl Tour {
    fn new() -> Self {
        let stage = Stage::new();
        let kubelet = Arc::clone(&stage.kubelet);
        let door = ExecDoor::open(&stage.cluster, &["n1", "n2"], move |called| {
            let words: Vec<&str> = called.command.iter().map(String::as_str).collect();
            kubelet.exec(&called.pod, &called.container, &words)
        })
        .unwrap();
        let plugin = stage.site.folder().join("kubectl-edgeloop");
        symlink(program().unwrap(), &plugin).unwrap();
        Self { page: Page::read(), stage, plugin, _door: door }
    }

    /// The page's next command of helm, with the values that this site needs.
    fn runs_helm(&mut self) {
        let line = self.page.runs();
        let values = if line.contains(" uninstall ") { Vec::new() } else { self.stage.values().to_vec() };
        self.stage.helm().run(&line, &values).unwrap();
    }

    /// `kubectl edgeloop` with these arguments prints what the page shows next.
    fn asks(&mut self, arguments: &str) {
        let printed = self.asked(arguments);
        self.page.shows(&format!("kubectl edgeloop {arguments}"), &printed);
    }

    fn asked(&self, arguments: &str) -> String {
        let mut command: Command = self.stage.cluster.command(&self.plugin);
        command.args(arguments.split(' ')).arg("--kubeconfig").arg(self.stage.cluster.kubeconfig());
        let output = command.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        printed
    }

    /// The agent on the node itself, without an API server.
    fn asks_on_n1(&mut self, arguments: &str, pod: &str) {
        let words: Vec<&str> = ["/lb-agent"].into_iter().chain(arguments.split(' ')).collect();
        let output = self.stage.kubelet.exec(pod, "agent", &words).unwrap();
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        self.page.shows(&format!("crictl exec \"$AGENT\" /lb-agent {arguments}"), &printed);
    }

    /// Twenty connections of a client on each node, which all come to these.
    fn dial(&self, names: [&str; 2]) {
        assert!(self.stage.are_answered_by(names), "{names:?}");
    }

    /// The agents' pods by node.
    fn agents(&self) -> [Value; 2] {
        ["n1", "n2"].map(|node| self.stage.agent_on(node).unwrap()["metadata"].clone())
    }
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn each_step_of_the_tour_prints_what_the_page_shows() {
    let mut tour = Tour::new();
    tour.dial(["kube-proxy", "kube-proxy"]);
    tour.runs_helm();
    tour.dial(["a", "b"]);
    tour.asks("check");
    tour.asks("explain default/web --on n1");
    tour.asks("loop");

    tour.stage.cluster.apply_lines(SECOND_ALONE).unwrap();
    wait_for("n1 refuses", || {
        let explained = tour.asked("explain default/web --on n1");
        Ok(explained.contains(":80: refuse\n") && explained.contains("kernel   the same"))
    })
    .unwrap();
    let answers = tour.stage.clients[0].dial(WEB, 20).unwrap();
    assert!(answers.iter().all(|answer| answer.failed_with("ECONNREFUSED")), "{answers:?}");
    tour.asks("explain default/web --on n1");
    tour.asks("loop");
    tour.stage.cluster.apply_lines(BOTH).unwrap();
    wait_for("both are served", || Ok(tour.stage.are_answered_by(["a", "b"]))).unwrap();

    let [agent, _] = tour.agents();
    let agent = agent["name"].as_str().unwrap().to_owned();
    tour.stage.cluster.kill(Part::ApiServer).unwrap();
    wait_for("the agent notices", || {
        let status = tour.stage.kubelet.exec(&agent, "agent", &["/lb-agent", "status", "-o", "json"])?;
        Ok(serde_json::from_slice::<Value>(&status.stdout)?["agent"]["state"]["origin"] == "behind")
    })
    .unwrap();
    tour.dial(["a", "b"]);
    tour.asks_on_n1("services", &agent);
    tour.stage.cluster.start(Part::ApiServer).unwrap();
    tour.stage.cluster.wait_until_ready().unwrap();

    forget_everything(&tour);
    tour.dial(["a", "b"]);
    tour.asks("loop");

    let loads = tour.stage.loads();
    tour.runs_helm();
    thread::sleep(Duration::from_secs(1));
    assert_answered_by(loads, [&["a"], &["b"]]);
    tour.asks("check --fail-on missing");

    let loads = tour.stage.loads();
    thread::sleep(Duration::from_secs(1));
    tour.runs_helm();
    thread::sleep(Duration::from_secs(1));
    assert_answered_by(loads, [&["a", "kube-proxy"], &["b", "kube-proxy"]]);
    tour.dial(["kube-proxy", "kube-proxy"]);
    tour.page.end();
}

/// As after a reboot: no process is left, nothing is pinned or attached, and other pods begin anew.
fn forget_everything(tour: &Tour) {
    let before = tour.agents();
    for (node, pins) in tour.stage.nodes.iter().zip(&tour.stage.paths) {
        for agent in processes_of(node.cgroup(), "lb-agent") {
            kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
        }
        fs::remove_dir_all(pins).unwrap();
    }
    for agent in &before {
        let name = agent["name"].as_str().unwrap();
        tour.stage.cluster.api().delete(&format!("/api/v1/namespaces/kube-system/pods/{name}")).unwrap();
    }
    wait_for("other agents are ready", || {
        Ok(["n1", "n2"].iter().zip(&before).all(|(node, before)| {
            let other = tour.stage.agent_on(node).filter(|pod| pod["metadata"]["uid"] != before["uid"]);
            other.is_some_and(|pod| is_ready(&pod))
        }))
    })
    .unwrap();
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|of| of["type"] == "Ready" && of["status"] == "True"))
}

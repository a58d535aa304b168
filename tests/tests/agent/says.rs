//! What an operator reads: status, and one sentence for each thing that is not as it must be.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::process::Output;

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, lb_agent, lb_agent_says, program, wait_for};
use edgeloop_tests::pins::generation;
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
#[ignore = "needs root"]
fn status_shows_kernel_and_agent() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    assert!(pair.is_served().unwrap());

    let status = status(&pair, &["-o", "json"]);

    let service = &status["kernel"]["services"][0];
    assert_eq!((&service["namespace"], &service["service"]), (&"default".into(), &"web".into()));
    assert_eq!((&service["address"], &service["protocol"]), (&"10.96.0.11:80".into(), &"TCP".into()));
    assert_eq!((&service["outcome"], &service["topology"]), (&"forward".into(), &false.into()));
    assert_eq!(service["backends"], serde_json::json!(["10.244.1.3:9376"]));
    let hooks: Vec<&str> =
        list(&status["kernel"]["hooks"]).map(|hook| hook["hook"].as_str().unwrap()).collect();
    let in_order = [
        "recvmsg6",
        "recvmsg4",
        "getpeername6",
        "getpeername4",
        "sendmsg6",
        "sendmsg4",
        "connect6",
        "connect4",
    ];
    assert_eq!(hooks, in_order);
    assert!(list(&status["kernel"]["hooks"]).all(|hook| hook["before"] == serde_json::json!([])));
    let forwarded = list(&status["kernel"]["outcomes"]).find(|way| way["outcome"] == "forwarded").unwrap();
    assert_eq!(forwarded["times"], 1);
    let fill = list(&status["kernel"]["maps"]).find(|map| map["map"] == "services4").unwrap();
    assert_eq!(fill["used"], 1);
    let held = status["kernel"]["heldBy"].as_str().unwrap();
    assert!(held.starts_with(&format!("process {}", agent.pid())), "{held}");
    assert_eq!(status["agent"]["pid"], agent.pid());
    assert_eq!((&status["agent"]["node"], &status["agent"]["pool"]), (&"n1".into(), &"p1".into()));
    assert_eq!(
        (&status["agent"]["ready"], &status["agent"]["nodeLabels"]),
        (&true.into(), &"current".into())
    );
    assert!(list(&status["notCovered"]).count() > 0);
}

#[test]
#[ignore = "needs root"]
fn status_without_an_agent_shows_what_the_kernel_goes_on_with() {
    let pair = Pair::new().unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGKILL).unwrap();

    let shown = status(&pair, &["-o", "json"]);
    assert_eq!((&shown["agent"], &shown["kernel"]["heldBy"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["kernel"]["services"][0]["service"], "web");

    let text = says(&pair, "status", &[]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(text.contains("none replies") && text.contains("default/web"), "{text}");
    assert!(text.contains("10.96.0.11:80") && text.contains("10.244.1.3:9376"), "{text}");
}

#[test]
#[ignore = "needs root"]
fn status_where_nothing_is_pinned_says_so_and_fails() {
    let pair = Pair::new().unwrap();

    let output = says(&pair, "status", &[]);
    let json = says(&pair, "status", &["-o", "json"]);

    assert_eq!((output.status.code(), json.status.code()), (Some(1), Some(1)));
    assert_says(&output, "nothing of Edgeloop is pinned at");
    assert_says(&output, "--pin-root");
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["kernel"], &json["agent"]), (&Value::Null, &Value::Null));
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_started_says_why_and_what_to_do() {
    let pair = Pair::new().unwrap();
    let cgroup = pair.client.node().cgroup().display().to_string();
    let folder = format!("file:{}", pair.folder.path().display());
    let run = ["--node", "n1", "--socket", "/run/edgeloop-none.sock"];
    for (flags, sentence) in [
        (["--source", &folder, "--cgroup", "/tmp"], "/tmp is not a folder of a cgroup2 file system"),
        (["--source", &folder, "--cgroup", "/no/such"], "could not open the cgroup /no/such"),
        (["--source", "nowhere", "--cgroup", &cgroup], "file:FOLDER"),
        (["--source", &folder, "--cgroup", "/no/such"], "name another with --cgroup"),
        (["--source", &folder, "--max-services", "0"], "--max-services"),
        (["--source", &folder, "--audit-interval", "0"], "--audit-interval"),
    ] {
        let output = says(&pair, "run", &[&flags[..], &run].concat());
        assert!(!output.status.success(), "{flags:?}");
        assert_says(&output, sentence);
    }
    let nameless = ["--source", &folder, "--cgroup", &cgroup, "--node", ""];
    assert_says(&says(&pair, "run", &nameless), "--node <NAME>");
    assert!(!pair.client.node().pin_root().join(generation()).exists(), "nothing was made");
}

/// As `lb-agent status | head -1` does it.
#[test]
#[ignore = "needs root"]
fn a_reader_that_goes_away_is_no_error_and_nothing_stays_undone() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.agent(&[]).unwrap().end_by(Signal::SIGKILL).unwrap();
    let socket = node.file("agent.sock");
    assert!(socket.exists(), "a killed agent leaves it");

    for verb in ["status", "cleanup"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = node.command(program().unwrap());
        command.arg(verb).arg("--pin-root").arg(node.pin_root()).arg("--socket").arg(&socket);
        let output = command.stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &[][..]), "{verb}");
    }

    assert!(!socket.exists() && !node.pin_root().join(generation()).exists());
}

#[test]
#[ignore = "needs root"]
fn a_pin_root_that_is_not_on_a_bpffs_is_refused() {
    let pair = Pair::new().unwrap();
    let folder = format!("file:{}", pair.folder.path().display());
    let cgroup = pair.client.node().cgroup().display().to_string();
    let here = pair.folder.path().join("pins").display().to_string();
    let mut agent = pair.client.node().command(program().unwrap());
    agent.args(["run", "--node", "n1", "--source", &folder, "--cgroup", &cgroup, "--pin-root", &here]);

    let output = agent.output().unwrap();

    assert!(!output.status.success());
    assert_says(&output, "does not lie on a bpf file system");
    assert_says(&output, "mount -t bpf");
    assert!(!pair.folder.path().join("pins").exists());
}

/// A socket that a killed agent left is replaced; a file of another kind is not.
#[test]
#[ignore = "needs root"]
fn a_socket_path_that_is_somebody_elses_is_refused() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    let file = pair.folder.path().join("notes.txt");
    std::fs::write(&file, "mine").unwrap();
    let other = pair.site.node("n2").unwrap();
    for path in [&file, &pair.client.node().file("agent.sock")] {
        let mut second = lb_agent(&other, "run").unwrap();
        second.args(["--node", "n2", "--source", "file:/tmp", "--cgroup"]).arg(other.cgroup());

        let output = second.arg("--socket").arg(path).output().unwrap();

        assert_eq!(output.status.code(), Some(1), "{}", path.display());
        assert_says(&output, "is in use");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert!(agent.view().unwrap().ready, "the first agent answers as before");
}

/// A misspelt name passes for a node in no pool.
#[test]
#[ignore = "needs root"]
fn an_unknown_node_is_named_once_with_the_names_near_it() {
    let pair = Pair::new().unwrap();
    let other = pair.site.node("n11").unwrap();
    let folder = format!("file:{}", pair.folder.path().display());

    let agent = Agent::start(&other, &["--source", &folder]).unwrap();

    pair.folder.put("more.yaml", "node n4").unwrap();
    agent.wait_until("another pass", |view| view.passes > 1).unwrap();
    let log = agent.log();
    assert_eq!(log.matches("there is no Node of this name").count(), 1, "{log}");
    assert!(log.contains("node=n11 nodes=2 near=\"n1, n3\""), "{log}");
}

/// A volume that is not mounted looks like a folder without manifests.
#[test]
#[ignore = "needs root"]
fn a_folder_without_manifests_takes_nothing_back() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    for file in ["web.yaml", "nodes.yaml"] {
        pair.folder.remove(file).unwrap();
    }
    let says = |view: &AgentView| {
        view.with(Reason::Unusable).any(|folder| folder.message.contains("holds no manifest"))
    };
    agent.wait_until("it is said", says).unwrap();
    assert!(pair.is_served().unwrap());
    agent.end_by(Signal::SIGTERM).unwrap();

    let agent = pair.agent(&[]).unwrap();

    assert!(pair.is_served().unwrap(), "nor when an agent is started over it");
    let view = agent.view().unwrap();
    assert!(says(&view) && view.with(Reason::Unknown).count() == 1, "{view:?}");
    pair.folder.put_text("none.yaml", "# nothing\n").unwrap();
    wait_for("it is taken back", || Ok(pair.holds(Pair::SERVICE)? == "untouched")).unwrap();
    let lines = "service web 10.96.0.11:80\nslice web-1 of web 9376 10.244.1.3";
    pair.folder.put("web.yaml", lines).unwrap();
    wait_for("it is served", || pair.is_served()).unwrap();
    assert!(agent.view().unwrap().ready);
}

#[test]
#[ignore = "needs root"]
fn a_folder_that_is_not_there_is_no_empty_one() {
    let pair = Pair::new().unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let cgroup = pair.client.node().cgroup().display().to_string();

    let output = says(&pair, "run", &["--source", "file:/no/such", "--node", "n1", "--cgroup", &cgroup]);

    assert!(!output.status.success());
    assert_says(&output, "the folder /no/such does not exist: create it, or name another");
    assert!(pair.is_served().unwrap());
}

/// In a pod's specification a variable is often there without a value.
#[test]
#[ignore = "needs root"]
fn empty_variables_are_none_and_one_that_is_not_read_is_named_once() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let mut command = node.command(program().unwrap());
    let flags = "SOURCE KUBECONFIG CONTEXT API_SERVER NODE CGROUP PIN_ROOT SOCKET MAX_SERVICES MAX_BACKENDS \
                 AUDIT_INTERVAL HTTP EXCLUDE_SERVICE TOPOLOGY_LABEL POOL_LABEL ON_INVALID_TOPOLOGY EXTERNAL_IPS \
                 NODEPORT_ADDRESSES NODEPORT_LOCALHOST NODE_ADDRESS LOG";
    command.envs(flags.split_whitespace().map(|flag| (format!("EDGELOOP_{flag}"), "")));
    command.envs([("EDGELOOP_HTPP", "127.0.0.1:1"), ("EDGELOOP_AGENT_SERVICE_HOST", "10.96.0.99")]);

    let agent = Agent::spawn_as(node, &mut command, &[]).unwrap();

    agent.wait_until("it is ready", |view| view.ready).unwrap();
    let log = agent.log();
    assert_eq!(log.matches("EDGELOOP_HTPP (did you mean EDGELOOP_HTTP?)").count(), 1, "{log}");
    assert!(!log.contains("SERVICE_HOST") && !log.contains("127.0.0.1:1"), "{log}");
}

fn says(pair: &Pair, verb: &str, flags: &[&str]) -> Output {
    lb_agent_says(pair.client.node(), verb, flags).unwrap()
}

fn status(pair: &Pair, flags: &[&str]) -> Value {
    let node = pair.client.node();
    let (socket, cgroup) = (node.file("agent.sock"), node.cgroup().display().to_string());
    let own = ["--socket", &socket.display().to_string(), "--cgroup", &cgroup].map(str::to_owned);
    let flags: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    let output = says(pair, "status", &flags);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn assert_says(output: &Output, sentence: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(sentence), "not `{sentence}`: {said}");
}

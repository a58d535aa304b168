//! What the agents of other nodes say, by way of a real API server: `--on`, `--all-nodes`, and the plugin of the real kubectl.

mod check;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use edgeloop_tests::agent::{Agent, program, wait_for};
use edgeloop_tests::cluster::{Called, Cluster, ExecDoor};
use edgeloop_tests::{Node, Pod, Site};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

/// Two nodes of one pool, one of another.
const NODES: [(&str, &str); 3] = [("n1", "p1"), ("n2", "p1"), ("n3", "p2")];

const OBJECTS: &str = "
    service web 10.96.0.11:80 topology=openyurt.io/nodepool
    slice web-1 of web 9376 10.244.1.1@n1 10.244.2.1@n2 10.244.3.1@n3
";

struct Stage {
    cluster: Cluster,
    agents: Vec<Agent>,
    clients: Vec<Pod>,
    door: ExecDoor,
    _site: Site,
}

/// Agents on all nodes, which the API server has pods of; n4 has a pod whose agent does not run.
fn stage() -> Result<Stage> {
    let site = Site::new()?;
    let cluster = Cluster::up(&site)?;
    let mut nodes = Vec::new();
    let mut clients = Vec::new();
    for (net, (name, pool)) in (1..).zip(NODES) {
        cluster.register(name, &json!({"apps.openyurt.io/nodepool": pool}))?;
        let node = site.node(name)?;
        let pod = node.pod(name, &format!("10.244.{net}.1"))?;
        pod.serve_name(9376)?;
        clients.push(pod);
        nodes.push(node);
    }
    cluster.register("n4", &json!({}))?;
    cluster.apply_lines(OBJECTS)?;
    let kubeconfig = cluster.agent_kubeconfig()?;
    let flags = ["--kubeconfig", kubeconfig.to_str().context("a path")?];
    let agents =
        nodes.iter().map(|node| Agent::follow(&cluster, node, &flags)).collect::<Result<Vec<Agent>>>()?;
    for agent in &agents {
        agent.wait_until("it is ready", |view| view.ready && view.is_up_to_date())?;
    }
    for (name, state) in [
        ("n1", json!({"running": {}})),
        ("n2", json!({"running": {}})),
        ("n3", json!({"running": {}})),
        ("n4", json!({"waiting": {"reason": "CrashLoopBackOff"}})),
    ] {
        pod(&cluster, name, &state)?;
    }
    let door = ExecDoor::open(&cluster, &["n1", "n2", "n3", "n4"], move |called| run(&nodes, called))?;
    Ok(Stage { cluster, agents, clients, door, _site: site })
}

/// The pod of an agent, as the chart labels it.
fn pod(cluster: &Cluster, node: &str, state: &Value) -> Result<()> {
    let name = format!("edgeloop-agent-{node}");
    cluster.api().create(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {
            "app.kubernetes.io/name": "edgeloop", "app.kubernetes.io/component": "agent"}},
        "spec": {"nodeName": node, "serviceAccountName": "edgeloop-agent", "automountServiceAccountToken": false,
            "containers": [{"name": "agent", "image": "edgeloop/lb-agent"}]},
    }))?;
    let statuses = json!([{"name": "agent", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
    cluster.api().merge(
        &format!("/api/v1/namespaces/kube-system/pods/{name}/status"),
        &json!({"status": {"phase": "Running", "containerStatuses": statuses}}),
    )?;
    Ok(())
}

/// As the container's runtime does it: the program of the image, with the variables of the container.
fn run(nodes: &[Node], called: &Called) -> Result<Output> {
    let node = nodes.iter().find(|node| called.pod == format!("edgeloop-agent-{}", node.name()));
    let node = node.with_context(|| format!("no pod {}", called.pod))?;
    let Some(("/lb-agent", arguments)) =
        called.command.split_first().map(|(first, rest)| (first.as_str(), rest))
    else {
        bail!("no such file: {:?}", called.command)
    };
    let mut command = node.command(program()?);
    command.args(arguments).env("EDGELOOP_PIN_ROOT", node.pin_root());
    command.env("EDGELOOP_SOCKET", node.file("agent.sock"));
    command.output().context("could not run the agent's program")
}

/// A user who has the rights of docs/operations.md, and no others.
fn reader(cluster: &Cluster) -> Result<PathBuf> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "asks"}});
    let group = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "asks"}, "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    ]});
    let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "asks"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "asks"},
        "subjects": [{"kind": "ServiceAccount", "name": "asks", "namespace": "default"}]});
    for object in [account, role, binding] {
        cluster.api().create(&object)?;
    }
    cluster.account_kubeconfig("default", "asks")
}

fn ask(stage: &Stage, kubeconfig: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = stage.cluster.command(program()?);
    command.args(arguments).arg("--kubeconfig").arg(kubeconfig);
    command.output().context("could not run lb-agent")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn agents_of_other_nodes_are_asked_by_way_of_the_api_server() {
    let stage = stage().unwrap();
    let kubeconfig = reader(&stage.cluster).unwrap();
    // The rights may not have come into force yet.
    wait_for("the rights", || {
        let asked = ask(&stage, &kubeconfig, &["services", "--on", "n1", "-o", "json"])?;
        Ok(asked.status.success() || !text(&asked).contains("403"))
    })
    .unwrap();
    for client in &stage.clients {
        let answers = client.dial("10.96.0.11:80", 5).unwrap();
        assert!(answers.iter().all(|answer| answer.result.is_ok()), "{answers:?}");
    }

    let output = ask(&stage, &kubeconfig, &["loop", "--all-nodes", "-o", "json"]).unwrap();
    let loops: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let cells = json!([
        {"clientPool": "p1", "backendPool": "p1", "within": "own-pool", "connections": 10},
        {"clientPool": "p2", "backendPool": "p2", "within": "own-pool", "connections": 5},
    ]);
    assert_eq!((&loops["cells"], &loops["outside"]), (&cells, &json!(0)));
    let error = loops["nodes"][3]["error"].as_str().unwrap();
    assert!(error.ends_with("does not run: CrashLoopBackOff"), "{error}");

    // Of one node it is what it says there.
    let output = ask(&stage, &kubeconfig, &["explain", "default/web", "--on", "n3"]).unwrap();
    assert!(
        text(&output).starts_with("Service default/web, seen from node n3, in pool p2\n"),
        "{}",
        text(&output)
    );
    let called = stage.door.called().pop().unwrap();
    let expected = Called {
        namespace: "kube-system".to_owned(),
        pod: "edgeloop-agent-n3".to_owned(),
        container: "agent".to_owned(),
        command: ["/lb-agent", "explain", "-o", "table", "--", "default/web"].map(str::to_owned).into(),
        streams: ["error=1", "output=1"].map(str::to_owned).into(),
        upgrade: "websocket".to_owned(),
        protocols: "v4.channel.k8s.io".to_owned(),
    };
    assert_eq!(called, expected);
    let output = ask(&stage, &kubeconfig, &["explain", "default/none", "--on", "n3"]).unwrap();
    assert!(
        text(&output).starts_with("error: node n3 gave no answer: there is no Service"),
        "{}",
        text(&output)
    );
    assert_eq!(output.status.code(), Some(1));

    // The agents' own account may not.
    let agents = stage.cluster.folder().join("edgeloop-agent.conf");
    let output = ask(&stage, &agents, &["status", "--all-nodes"]).unwrap();
    assert!(text(&output).contains("403") && output.status.code() == Some(1), "{}", text(&output));
    assert_eq!(stage.agents.len(), 3);
}

#[test]
#[ignore = "needs root, the programs of a control plane, and kubectl"]
fn the_real_kubectl_shows_the_loop_of_all_nodes() {
    let stage = stage().unwrap();
    for client in &stage.clients {
        client.dial("10.96.0.11:80", 5).unwrap();
    }
    let folder = stage.cluster.folder().join("bin");
    std::fs::create_dir(&folder).unwrap();
    symlink(program().unwrap(), folder.join("kubectl-edgeloop")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let kubectl = |arguments: &[&str]| {
        let mut command: Command = stage.cluster.command("kubectl");
        command.env("PATH", format!("{}:{path}", folder.display()));
        command.env("KUBECONFIG", stage.cluster.kubeconfig());
        command.args(arguments).output().unwrap()
    };
    let output = kubectl(&["edgeloop", "loop"]);
    let lines: Vec<String> = text(&output)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    let first = ["3 of 4 nodes", "CLIENT POOL p1 p2 refused", "p1 10 . .", "p2 . 5 ."];
    assert_eq!(lines[..4], first, "{}", text(&output));
    assert!(lines[4].starts_with("The loop is closed: of 15 connections"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(3), "n4 gave no answer");

    let output = kubectl(&["edgeloop", "status", "--on", "n1", "--on", "n2"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let marked = text(&output).lines().skip(1).any(|line| line.contains("DIFFERS"));
    assert!(!marked, "{}", text(&output));
    let help = kubectl(&["edgeloop", "loop", "--help"]);
    assert!(text(&help).contains("Usage: kubectl edgeloop loop"), "{}", text(&help));
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn one_file_has_the_bundles_of_all_nodes() {
    let stage = stage().unwrap();
    let file = stage.cluster.folder().join("bundles.tar");
    let sysdump = |more: &[&str]| {
        let arguments = [&["sysdump", "--all-nodes", "--output", file.to_str().unwrap()], more].concat();
        let output = ask(&stage, &stage.cluster.kubeconfig(), &arguments).unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        assert!(text(&output).contains("node n4 gave no bundle: "), "{}", text(&output));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::metadata(&file).unwrap().len() <= 10 << 20);
        files_of(std::fs::File::open(&file).unwrap()).unwrap()
    };

    let files = sysdump(&[]);
    let manifest = String::from_utf8_lossy(&files["edgeloop-sysdump/MANIFEST"]).into_owned();
    for (number, node) in [(1, "n1"), (2, "n2"), (3, "n3")] {
        assert!(manifest.contains(&format!("whole, of node {node}\n")), "{manifest}");
        let bundle =
            files_of(MultiGzDecoder::new(&*files[&format!("edgeloop-sysdump/{number}.tar.gz")])).unwrap();
        let status: Value = serde_json::from_slice(&bundle["edgeloop-sysdump/status.json"]).unwrap();
        assert_eq!(status["agent"]["node"], node);
    }
    assert!(manifest.contains("missing: no answer, of node n4: "), "{manifest}");

    let files = sysdump(&["--anonymous"]);
    let manifest = String::from_utf8_lossy(&files["edgeloop-sysdump/MANIFEST"]).into_owned();
    assert!(!["n1", "n2", "n3", "n4"].iter().any(|node| manifest.contains(node)), "{manifest}");
    let bundle = files_of(MultiGzDecoder::new(&*files["edgeloop-sysdump/2.tar.gz"])).unwrap();
    let status: Value = serde_json::from_slice(&bundle["edgeloop-sysdump/status.json"]).unwrap();
    assert_ne!(status["agent"]["node"], "n2");
}

fn files_of(archive: impl Read) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = tar::Archive::new(archive);
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(entry.path()?.display().to_string(), content);
    }
    Ok(files)
}

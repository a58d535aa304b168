//! `lb-agent sysdump`: everything a report needs, no secret, and no name where none is wanted.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use edgeloop_tests::agent::{Agent, Folder, lb_agent, program, wait_for};
use edgeloop_tests::{Node, Pair, Site};
use flate2::read::MultiGzDecoder;
use nix::sys::signal::Signal;
use serde_json::Value;

/// Longer than the command may take, and than a test machine that is busy makes of it.
const PATIENCE: Duration = Duration::from_secs(35);
/// Of a running agent.
const FILES: [&str; 12] = [
    "MANIFEST",
    "agent.json",
    "check.json",
    "explain-1.jsonl",
    "log.txt",
    "loop.json",
    "machine.json",
    "maps.json",
    "services.json",
    "sockets.json",
    "status.json",
    "status.txt",
];

struct Bundle(BTreeMap<String, String>);

impl Bundle {
    fn make(node: &Node, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let file = node.file("bundle.tar.gz");
        let mut command = lb_agent(node, "sysdump").unwrap();
        command.arg("--socket").arg(node.file("agent.sock")).arg("--cgroup").arg(node.cgroup());
        command.arg("--output").arg(&file).args(flags).envs(environment.iter().copied());
        let begun = Instant::now();
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        Self::read(&fs::read(&file).unwrap())
    }

    fn read(bundle: &[u8]) -> Self {
        assert!(bundle.len() <= 10 << 20, "{}", bundle.len());
        let mut archive = tar::Archive::new(MultiGzDecoder::new(bundle));
        let files = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let path = entry.path().unwrap().strip_prefix("edgeloop-sysdump").unwrap().display().to_string();
            (path, text)
        });
        Self(files.collect())
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.0[file]).unwrap()
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn holds_nowhere(&self, text: &str) {
        for (file, content) in &self.0 {
            let line = content.lines().find(|line| line.to_lowercase().contains(&text.to_lowercase()));
            assert_eq!(line, None, "{text} in {file}");
        }
    }
}

fn of_files(node: &Node) -> String {
    format!("file:{}", Folder::of(node).unwrap().path().display())
}

#[test]
#[ignore = "needs root"]
fn a_bundle_holds_all_of_a_running_agent_and_without_one_what_the_maps_hold() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let mut agent = pair.agent(&[]).unwrap();
    assert!(pair.is_served().unwrap());
    let source = of_files(node);
    let flags = ["--source", &source];

    let bundle = Bundle::make(node, &flags, &[]);
    assert_eq!(bundle.names(), FILES);
    assert!(!bundle.0["MANIFEST"].contains("missing"), "{}", bundle.0["MANIFEST"]);
    assert!(bundle.0["log.txt"].contains("starting node=\"n1\""), "{}", bundle.0["log.txt"]);
    let kept = bundle.json("agent.json");
    let given = |flag: &str| kept["started"]["flags"].as_array().unwrap().iter().any(|given| given == flag);
    assert!(given("--node=n1") && given("--self-test=off"), "{kept}");
    assert_eq!(bundle.json("maps.json")["elements"][0]["address"], Pair::SERVICE);
    assert_eq!(bundle.json("maps.json")["elements"][0]["backends"][0][0], "10.244.1.3:9376");
    assert_eq!(bundle.json("services.json")["servicePorts"][0]["kernel"]["state"], "same");
    assert_eq!(bundle.json("explain-1.jsonl")["service"], "web");
    assert_eq!(bundle.json("loop.json")["node"], "n1");
    assert_eq!(bundle.json("status.json")["agent"]["pid"], agent.pid());
    let machine = bundle.json("machine.json");
    assert_eq!(machine["agent"]["pid"], agent.pid());
    assert_eq!(machine["links"].as_array().unwrap().len(), machine["programs"].as_array().unwrap().len());
    let first = &machine["programs"][0]["programs"];
    assert!(first.to_string().contains(&machine["links"][0]["programId"].to_string()), "{machine}");

    // One that does not answer holds nothing up.
    agent.signal(Signal::SIGSTOP).unwrap();
    let bundle = Bundle::make(node, &flags, &[]);
    assert!(bundle.0["MANIFEST"].contains("does not reply within 2 s"), "{}", bundle.0["MANIFEST"]);
    assert_eq!(bundle.json("maps.json")["elements"][0]["address"], Pair::SERVICE);
    agent.signal(Signal::SIGCONT).unwrap();

    agent.end_by(Signal::SIGKILL).unwrap();
    let bundle = Bundle::make(node, &flags, &[]);
    let gone = ["agent.json", "explain-1.jsonl", "log.txt", "services.json"];
    let left: Vec<&str> = FILES.into_iter().filter(|file| !gone.contains(file)).collect();
    assert_eq!(bundle.names(), left);
    assert_eq!(bundle.json("maps.json")["elements"][0]["address"], Pair::SERVICE);
    assert_eq!(bundle.json("loop.json")["cells"][0]["connections"], 1);
}

/// A part of every secret, and the same as base64 has it.
const SECRET: &str = "sEkrit7";
const AS_BASE64: &str = "c0Vrcml0N";

#[test]
#[ignore = "needs root"]
fn no_secret_is_in_a_bundle_wherever_it_was_planted() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    Folder::of(&node).unwrap();
    let kubeconfig = planted(&node);
    let environment = [
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("HTTPS_PROXY", "http://me:sEkrit7@127.0.0.1:1"),
        ("TOKEN", "sEkrit7-of-the-environment"),
    ];
    for flags in [["--kubeconfig", kubeconfig.as_str()], ["--api-server", "http://me:sEkrit7@127.0.0.1:9"]] {
        let mut command = node.command(program().unwrap());
        let agent = Agent::from_program(&node, command.envs(environment), &flags).unwrap();
        // One that refuses an address with a password in it has ended.
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && !(agent.view().is_ok() && agent.log().contains("no new credentials"))
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        let bundle = Bundle::make(&node, &flags, &environment);
        if flags[0] == "--kubeconfig" {
            assert!(bundle.0["log.txt"].contains("(left out)"), "{}", bundle.0["log.txt"]);
            assert!(bundle.0["agent.json"].contains(&format!("--kubeconfig={kubeconfig}")));
        }
        bundle.holds_nowhere(SECRET);
        bundle.holds_nowhere(AS_BASE64);
        bundle.holds_nowhere("BEGIN");
        drop(agent);
    }
}

/// A kubeconfig with a secret wherever one can be, whose exec plugin says some of them on stderr.
fn planted(node: &Node) -> String {
    let (file, plugin, token) = (node.file("kubeconfig"), node.file("plugin"), node.file("token"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&token, format!("{SECRET}-of-a-file\n")).unwrap();
    let script = "#!/bin/sh\necho 'Authorization: Bearer sEkrit7-abc' >&2\n\
                  echo \"token=$PLUGIN_TOKEN https://me:sEkrit7@127.0.0.1/x\" >&2\nexit 1\n";
    fs::write(&plugin, script).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o700)).unwrap();
    let text = format!(
        "{{current-context: x, contexts: [{{name: x, context: {{cluster: c, user: u}}}}], clusters: [{{name: c, cluster: \
         {{server: 'http://127.0.0.1:9'}}}}], users: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, \
         command: '{}', interactiveMode: Never, args: ['--password={SECRET}'], env: [{{name: PLUGIN_TOKEN, value: \
         {SECRET}-of-a-plugin}}]}}}}}}, {{name: other, user: {{tokenFile: '{}', password: {SECRET}, username: me, \
         client-key-data: {AS_BASE64}w==}}}}]}}",
        plugin.display(),
        token.display(),
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: acme-space, labels: {edgeloop.io/skip: \"true\"}}
---
apiVersion: v1
kind: Pod
metadata: {namespace: acme-space, name: acme-pod, uid: 0f5a1b2c-1111-2222-3333-444455556666}
spec: {nodeName: acme-node-1}
status: {phase: Running}
---
apiVersion: v1
kind: Service
metadata: {name: acme, namespace: acme-space, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec: {clusterIP: 10.96.77.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: acmeshop, namespace: acme-space, annotations: {openyurt.io/topologyKeys: not a key}}
spec: {clusterIP: 10.96.77.2, externalIPs: [10.99.77.2], ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: acme-7xk2z, namespace: acme-space, labels: {kubernetes.io/service-name: acme}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.244.77.1], nodeName: acme-node-1}
- {addresses: [10.244.77.2], nodeName: acme-node-2}
- {addresses: [10.244.77.3], nodeName: acmeunknown}
";

#[test]
#[ignore = "needs root"]
fn an_anonymous_bundle_holds_no_name_and_no_address() {
    let site = Site::new().unwrap();
    let node = site.node("acme-node-1").unwrap();
    let folder = Folder::of(&node).unwrap();
    folder.put("nodes.yaml", "node acme-node-1 pool=acmepool\nnode acme-node-2 pool=acme-pool-2").unwrap();
    folder.put_text("shop.yaml", SHOP).unwrap();
    let broken = "apiVersion: v1\nkind: Service\nmetadata: {name: acme-broken, namespace: acme-gone, annotations: \
                  {openyurt.io/topologyKeys: no key}}\nspec: {clusterIP: 10.96.77.9, ports: [{port: 80}]}\n";
    folder.put_text("gone.yaml", broken).unwrap();
    let agent = Agent::start(&node, &[]).unwrap();
    let is_named =
        wait_for("the log names the broken Service", || Ok(agent.log().contains("acme-gone/acme-broken")));
    is_named.unwrap_or_else(|error| panic!("{error}: {}", agent.log()));
    folder.remove("gone.yaml").unwrap();
    agent.wait_until("it is gone", |view| !format!("{view:?}").contains("acme-gone")).unwrap();

    let source = of_files(&node);
    let known = Bundle::make(&node, &["--source", &source], &[]);
    for planted in [
        "acme-space/acme",
        "10.96.77.2",
        "10.244.77.3",
        "acmepool",
        "acme-pool-2",
        "acmeunknown",
        "acme-pod",
        "acme-gone",
    ] {
        assert!(known.0.values().any(|text| text.contains(planted)), "{planted} is not there to be hidden");
    }
    let bundle = Bundle::make(&node, &["--source", &source, "--anonymous"], &[]);
    assert_eq!(bundle.names(), known.names());
    for text in ["acme", "10.96.77", "10.99.77", "10.244.77"] {
        bundle.holds_nowhere(text);
    }
    // The same stands for the same, and says what it is.
    let ports = bundle.json("services.json");
    let port =
        ports["servicePorts"].as_array().unwrap().iter().find(|port| port["outcome"] == "forward").unwrap();
    let name = port["service"].as_str().unwrap();
    assert!(name.starts_with("service-"), "{name}");
    let lines: Vec<Value> =
        bundle.0["explain-1.jsonl"].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let explained = lines.iter().find(|line| line["service"] == name).unwrap();
    assert_eq!(explained["namespace"], port["namespace"]);
    assert_eq!(explained["ports"][0]["endpoints"][0]["backend"], port["backends"][0]);
    let elements = bundle.json("maps.json")["elements"].to_string();
    assert!(elements.contains(port["address"].as_str().unwrap()), "{elements}");
    assert!(bundle.0["log.txt"].contains("starting node=\"node-"), "{}", bundle.0["log.txt"]);
}

#[test]
#[ignore = "needs root"]
fn a_bundle_can_go_to_standard_output_and_a_place_that_cannot_be_written_is_named() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let source = of_files(node);
    let run = |output: &Path| {
        let mut command = lb_agent(node, "sysdump").unwrap();
        command.args(["--pinned", "--source", &source, "--output"]).arg(output).output().unwrap()
    };
    let output = run(Path::new("-"));
    let bundle = Bundle::read(&output.stdout);
    assert!(output.status.success() && bundle.0["MANIFEST"].contains("because of --pinned"));
    let output = run(Path::new("/nowhere/at/all"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("/nowhere/at/all; name another file with --output"), "{said}");
}

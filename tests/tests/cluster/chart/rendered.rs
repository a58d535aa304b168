//! What the chart renders is what the agent takes, for all values that are tried.

use std::collections::BTreeSet;

use clap::Parser as _;
use lb_agent::cli::Cli;
use lb_agent::datapath::memory::{Demand, RESERVE};
use lb_agent::model::PerFamily;
use lb_agent::plan::Capacity;
use serde_json::{Value, json};

use super::*;

#[test]
#[ignore = "needs the programs of a control plane"]
fn helm_finds_no_fault_in_the_chart() {
    for (name, flags) in value_sets("1.36.0").unwrap() {
        let mut lint = helm(&["lint", "--strict"]).unwrap();
        let output = lint.arg(folder().unwrap()).args(flags).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// With the program's own parser: the flags, and the variables that it would read them from.
#[test]
#[ignore = "needs the programs of a control plane"]
fn every_containers_arguments_are_those_of_its_command() {
    let mut commands = BTreeSet::new();
    for (name, flags) in value_sets("1.36.0").unwrap() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        for (_, pod) in pods(&rendered("1.36.0", &flags).unwrap()) {
            for container in containers(&pod) {
                let mut line = vec!["lb-agent".to_owned()];
                // As the kubelet does.
                let expanded = words(&container["args"]).into_iter();
                line.extend(expanded.map(|argument| argument.replace("$(HOST_IP)", "10.0.0.5")));
                let command = line.get(1).cloned().unwrap_or_default();
                let of_run = of_variables(&container);
                match command.as_str() {
                    "run" => line.extend(of_run),
                    "check" => line.extend(of_run.into_iter().filter(|flag| !flag.starts_with("--node="))),
                    _ => {}
                }
                let parsed = Cli::try_parse_from(&line);
                assert!(parsed.is_ok(), "{name}: {line:?}: {}", parsed.unwrap_err());
                commands.insert(command);
            }
        }
    }
    let all = ["check", "init", "run", "status", "uninstall"].map(str::to_owned);
    assert_eq!(commands, BTreeSet::from(all));
}

fn of_variables(container: &Value) -> Vec<String> {
    let variables = container["env"].as_array().cloned().unwrap_or_default();
    let flags = variables.iter().filter_map(|variable| {
        let flag = variable["name"].as_str()?.strip_prefix("EDGELOOP_")?.to_lowercase().replace('_', "-");
        // What a field gives is the name or the address of a node here.
        let of_field = if flag == "node-address" { "10.0.0.5" } else { "n1" };
        let value = variable["value"].as_str().unwrap_or(of_field);
        // The log is no flag, and a switch has no value.
        (flag != "log")
            .then(|| if value == "true" { format!("--{flag}") } else { format!("--{flag}={value}") })
    });
    flags.collect()
}

/// Read by `lb-agent cleanup`, `status` and `check` in the same container, so they are no arguments of `run`.
#[test]
#[ignore = "needs the programs of a control plane"]
fn what_other_commands_read_is_in_variables() {
    let values = "http.port=10280,bpf.pinRoot=/sys/fs/bpf/other,distro=k3s,cgroup.path=/a/$(EDGELOOP_NODE),maxServices=9,maxBackends=70";
    let pod = agent_pod("1.36.0", &["--set", values]).unwrap();
    let agent = &pod["spec"]["containers"][0];
    assert_eq!(agent["name"], "agent");
    let saved = "--saved-state=/var/lib/edgeloop/state.gz";
    let sockets = ["--end-udp-sockets=auto", "--network-namespaces=/run/netns"];
    assert_eq!(
        agent["args"],
        json!([
            "run",
            "--audit-interval=120",
            saved,
            "--on-invalid-topology=unfiltered",
            sockets[0],
            sockets[1]
        ])
    );
    assert_eq!(
        agent["env"],
        json!([
            {"name": "EDGELOOP_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "EDGELOOP_PIN_ROOT", "value": "/sys/fs/bpf/other"},
            {"name": "EDGELOOP_API_SERVER", "value": "https://127.0.0.1:6444"},
            {"name": "EDGELOOP_CGROUP", "value": "/a/$(EDGELOOP_NODE)"},
            {"name": "EDGELOOP_MAX_SERVICES", "value": "9"},
            {"name": "EDGELOOP_MAX_BACKENDS", "value": "70"},
            {"name": "EDGELOOP_LOG", "value": "info"},
            {"name": "EDGELOOP_NODE_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "EDGELOOP_HTTP", "value": "127.0.0.1:10280"},
        ])
    );
    let host = agent_pod("1.36.0", &["--set", "cgroup.hostRoot=/sys/fs/cgroup/unified"]).unwrap();
    assert_eq!(
        host["spec"]["containers"][0]["env"][2],
        json!({"name": "EDGELOOP_CGROUP", "value": "/sys/fs/cgroup/unified"})
    );
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn a_distribution_is_the_address_of_its_own_proxy_and_the_value_wins() {
    for (flags, address) in [
        ("distro=", None),
        ("distro=kubeadm", None),
        ("distro=k3s", Some("https://127.0.0.1:6444")),
        ("distro=rke2", Some("https://127.0.0.1:6443")),
        ("distro=k0s", Some("https://127.0.0.1:7443")),
        ("distro=talos", Some("https://127.0.0.1:7445")),
        ("distro=kubeedge", Some("http://127.0.0.1:10550")),
        ("distro=openyurt", Some("http://127.0.0.1:10261")),
        ("distro=k3s,apiServer=https://10.0.0.1:6443", Some("https://10.0.0.1:6443")),
    ] {
        let objects = rendered("1.36.0", &["--set", flags]).unwrap();
        let asks = ["run", "check", "uninstall"];
        let mut found = 0;
        for container in pods(&objects).iter().flat_map(|(_, pod)| containers(pod)) {
            let arguments = words(&container["args"]);
            if !asks.contains(&arguments[0]) {
                continue;
            }
            let flag = arguments.iter().find_map(|argument| argument.strip_prefix("--api-server="));
            let mut variables = container["env"].as_array().unwrap().iter();
            let variable = variables.find(|variable| variable["name"] == "EDGELOOP_API_SERVER");
            let said = flag.or_else(|| variable?["value"].as_str());
            assert_eq!(said, address, "{flags}: {container}");
            found += 1;
        }
        assert_eq!(found, asks.len(), "{flags}");
    }
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn every_pod_runs_on_every_linux_node_and_needs_no_cluster_network() {
    let objects = rendered("1.36.0", &[]).unwrap();
    for (kind, pod) in pods(&objects) {
        assert_eq!(pod["hostNetwork"], true, "{kind}");
        assert_eq!(pod["dnsPolicy"], "Default", "{kind}");
        assert_eq!(pod["enableServiceLinks"], false, "{kind}");
        assert_eq!(pod["priorityClassName"], "system-node-critical", "{kind}");
        assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]), "{kind}");
        assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}), "{kind}");
    }
    let edge = agent_pod("1.36.0", &["--set", "distro=kubeedge"]).unwrap();
    let selector = json!({"kubernetes.io/os": "linux", "node-role.kubernetes.io/edge": ""});
    assert_eq!(edge["spec"]["nodeSelector"], selector);
}

/// By hand: 24 MiB, for each service port 3,072 bytes of the agent and twice 864 of maps, for each backend 128 and
/// twice 48 (by need 16), and twice 4 MiB. By need: 10,000 and 100,000 of the agent, 16,384 and 262,144 of maps. What the
/// agent itself expects of maps has room in it.
#[test]
#[ignore = "needs the programs of a control plane"]
fn the_memory_limit_has_room_for_two_sets_of_full_maps() {
    for (flags, frontends, backends, limit) in [
        ("maxServices=0,maxBackends=0", 16_384, 262_144, 109),
        ("maxServices=1024,maxBackends=4096", 1024, 4096, 38),
        ("maxServices=100000,maxBackends=1000000", 100_000, 1_000_000, 704),
    ] {
        let pod = agent_pod("1.36.0", &["--set", flags]).unwrap();
        let limits = &pod["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(limits, &json!({"memory": format!("{limit}Mi")}), "{flags}");
        let v6 = if frontends == 16_384 { 4096 } else { backends };
        let backends = PerFamily { v4: backends, v6 };
        let sets = 2 * Demand::of(Capacity { frontends, backends }).full;
        assert!((limit - 24) << 20 > sets + RESERVE, "{flags}: {sets}");
    }
    let own = agent_pod("1.36.0", &["--set", "resources.limits.memory=1Gi"]).unwrap();
    assert_eq!(own["spec"]["containers"][0]["resources"], json!({"limits": {"memory": "1Gi"}}));
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn a_digest_wins_over_a_tag() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let with_digest = format!("image.digest={digest},image.tag=v2");
    for (flags, image) in [
        ("image.tag=", format!("edgeloop/lb-agent:{}", env!("CARGO_PKG_VERSION"))),
        ("image.tag=v2,image.repository=r.example:5000/a/b", "r.example:5000/a/b:v2".to_owned()),
        (&with_digest, format!("edgeloop/lb-agent@{digest}")),
    ] {
        for (kind, pod) in pods(&rendered("1.36.0", &["--set", flags]).unwrap()) {
            assert!(containers(&pod).iter().all(|one| one["image"] == image), "{flags}, {kind}");
        }
    }
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn dns_that_is_kept_local_has_the_order_of_the_loop_and_a_topology_of_its_own_wins() {
    let flags = [
        "--set-json",
        r#"dns.keepLocal=["kube-system/kube-dns","default/dns"]"#,
        "--set-json",
        r#"topology={"default/dns":"openyurt.io/nodepool"}"#,
    ];
    let pod = agent_pod("1.36.0", &flags).unwrap();
    let arguments = words(&pod["spec"]["containers"][0]["args"]);
    let topologies: Vec<&&str> = arguments.iter().filter(|one| one.starts_with("--topology=")).collect();
    assert_eq!(
        topologies,
        [
            &"--topology=default/dns=openyurt.io/nodepool",
            &"--topology=kube-system/kube-dns=kubernetes.io/hostname, openyurt.io/nodepool, *",
        ]
    );
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn metrics_are_bound_to_the_nodes_address_and_probes_stay_on_loopback() {
    let objects = rendered("1.36.0", &["--set", "metrics.enabled=true,metrics.port=10280"]).unwrap();
    let pod = &object(&objects, "DaemonSet", "edgeloop-agent").unwrap()["spec"]["template"];
    let agent = &pod["spec"]["containers"][0];
    assert!(words(&agent["args"]).contains(&"--metrics=$(HOST_IP):10280"));
    let variables = agent["env"].as_array().unwrap();
    let host = variables.iter().find(|one| one["name"] == "HOST_IP").unwrap();
    assert_eq!(host["valueFrom"], json!({"fieldRef": {"fieldPath": "status.hostIP"}}));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let asks = &agent[probe]["httpGet"];
        assert_eq!((&asks["host"], &asks["port"]), (&json!("127.0.0.1"), &json!(10270)), "{probe}");
    }
    let monitor = object(&objects, "PodMonitor", "edgeloop-agent").unwrap();
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], agent["ports"][0]["name"]);
    for (label, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&pod["metadata"]["labels"][label], value, "{label}");
    }

    let without = rendered("1.36.0", &["--set", "metrics.enabled=true,metrics.podMonitor=false"]).unwrap();
    assert!(without.iter().all(|object| object["kind"] != "PodMonitor"));
}

/// The right to read pods and the use that is made of it come and go together.
#[test]
#[ignore = "needs the programs of a control plane"]
fn pods_are_read_only_where_they_can_be_skipped() {
    for (flags, is_granted) in [(&[][..], true), (&["--set", "skip.enabled=false"], false)] {
        let objects = rendered("1.36.0", flags).unwrap();
        let role = object(&objects, "ClusterRole", "edgeloop-agent").unwrap();
        let rules = role["rules"].as_array().unwrap();
        let of_pods: Vec<Value> =
            rules.iter().filter(|rule| words(&rule["resources"]).contains(&"pods")).cloned().collect();
        let granted =
            json!({"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]});
        assert_eq!(of_pods, if is_granted { vec![granted] } else { vec![] }, "{flags:?}");
        let pod = agent_pod("1.36.0", flags).unwrap();
        let agent =
            containers(&pod["spec"]).into_iter().find(|container| container["name"] == "agent").unwrap();
        let is_off = words(&agent["args"]).contains(&"--skip-labelled-pods=off");
        assert_eq!(is_off, !is_granted, "{flags:?}");
    }
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn namespaces_are_read_for_their_topology_only_where_that_is_asked_for() {
    let without_pods = ["--set", "skip.enabled=false"];
    for (flags, is_asked_for) in [(&[][..], false), (&["--set", "namespaceTopology=true"], true)] {
        let flags = [&without_pods[..], flags].concat();
        let objects = rendered("1.36.0", &flags).unwrap();
        for (role, verbs) in
            [("edgeloop-agent", json!(["list", "watch"])), ("edgeloop-viewer", json!(["list"]))]
        {
            let role = object(&objects, "ClusterRole", role).unwrap();
            let rules = role["rules"].as_array().unwrap().iter();
            let of_namespaces: Vec<&Value> =
                rules.filter(|rule| words(&rule["resources"]).contains(&"namespaces")).collect();
            let granted = json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": verbs});
            assert_eq!(of_namespaces, if is_asked_for { vec![&granted] } else { vec![] }, "{flags:?}");
        }
        let pod = agent_pod("1.36.0", &flags).unwrap();
        let agent =
            containers(&pod["spec"]).into_iter().find(|container| container["name"] == "agent").unwrap();
        assert_eq!(words(&agent["args"]).contains(&"--namespace-topology"), is_asked_for, "{flags:?}");
    }
}

/// Off unless it is asked for: a node with Cilium would never become ready.
#[test]
#[ignore = "needs the programs of a control plane"]
fn the_agent_has_to_be_first_only_where_that_is_asked_for() {
    for (flags, is_required) in [(&[][..], false), (&["--set", "requireFirst=true"], true)] {
        let objects = rendered("1.36.0", flags).unwrap();
        let with: Vec<String> = pods(&objects)
            .iter()
            .flat_map(|(_, pod)| containers(pod))
            .filter(|container| words(&container["args"]).contains(&"--require-first"))
            .filter_map(|container| container["name"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(with, if is_required { vec!["agent"] } else { vec![] }, "{flags:?}");
    }
}

/// An agent that is added by hand, such as `helm template | kubectl apply`, must not run hooks.
#[test]
#[ignore = "needs the programs of a control plane"]
fn the_chart_without_hooks_is_the_agents_and_their_rights_alone() {
    let objects = rendered("1.18.0", &["--no-hooks"]).unwrap();
    let mut kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["ClusterRole", "ClusterRole", "ClusterRoleBinding", "DaemonSet", "ServiceAccount"]);
}

//! How the command is asked: folders, nodes, rules, and what is wrong with them.

use serde_json::{Value, json};

use crate::folder::{Folder, plan, tutorial};

const NODES: &str = "
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {site: s1, apps.openyurt.io/nodepool: p1}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {site: s1, apps.openyurt.io/nodepool: p2}}}
";
const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
";
const WEB_SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.0.1], nodeName: n1}, {addresses: [10.0.0.2], nodeName: n2}]
";

#[test]
fn several_folders_are_one_picture_and_the_first_to_define_an_object_wins() {
    let nodes = Folder::new(&[("nodes.yaml", NODES)]);
    let web = Folder::new(&[("web.yaml", WEB), ("slice.yaml", WEB_SLICE)]);
    let other = Folder::new(&[("web.yaml", &WEB.replace("10.96.0.1", "10.96.0.9"))]);
    let answer = plan(&[nodes.path(), web.path(), other.path()], &["--node", "n1", "-o", "json"], &[]);
    assert_eq!(answer.code, Some(0));
    let ports = &answer.json()["servicePorts"];
    assert_eq!(ports[0]["clusterIP"], "10.96.0.1");
    assert_eq!(ports[0]["backends"], json!(["10.0.0.1:8080"]));
    assert_eq!(ports[1], Value::Null);
    assert_eq!(
        answer.stderr,
        format!(
            "warning: Service default/web is defined by {} and {}; the first is used\n",
            web.path().join("web.yaml").display(),
            other.path().join("web.yaml").display()
        )
    );
}

#[test]
fn a_folder_may_be_written_as_for_run() {
    let written = format!("file:{}", tutorial().display());
    let answer = plan(&[written.as_ref()], &["--node", "kind-worker"], &[]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    assert_eq!(answer.stdout, plan(&[&tutorial()], &["--node", "kind-worker"], &[]).stdout);
}

#[test]
fn an_unknown_node_is_an_error_that_lists_names() {
    let many: String = (0..11)
        .map(|number| format!("{{apiVersion: v1, kind: Node, metadata: {{name: server{number:04}}}}}\n---\n"))
        .collect();
    for (shows, nodes, node, says) in [
        ("names near it", NODES, "n3", "node \"n3\" is not known: did you mean n1, n2?"),
        ("few names", NODES, "elsewhere", "node \"elsewhere\" is not known: the manifests define n1, n2"),
        ("no Node", WEB, "n1", "node \"n1\" is not known: the manifests define no Node"),
        (
            "many names, none near",
            &many,
            "elsewhere",
            "node \"elsewhere\" is not known, and none of the 11 known ones has a name near it",
        ),
    ] {
        let answer = Folder::new(&[("nodes.yaml", nodes)]).plan(&["--node", node]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{shows}");
        assert_eq!(answer.stderr, format!("error: {says}\n"), "{shows}");
    }
}

#[test]
fn all_nodes_of_none_are_an_error_and_no_empty_plan() {
    for (shows, files) in [("no Node", &[("web.yaml", WEB)][..]), ("nothing at all", &[])] {
        let answer = Folder::new(files).plan(&["--all-nodes"]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{shows}");
        assert_eq!(
            answer.stderr, "error: there is no node to plan for: the manifests define no Node\n",
            "{shows}"
        );
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let folder = Folder::new(&[]);
    let missing = folder.path().join("missing");
    let answer = plan(&[&missing], &["--node", "n1"], &[]);
    assert_eq!(answer.code, Some(1));
    let says =
        format!("error: the folder {} does not exist: create it, or name another\n", missing.display());
    assert_eq!(answer.stderr, says);
}

#[test]
fn what_is_usable_is_planned_and_a_file_that_is_not_fails_the_command() {
    let folder = Folder::new(&[
        ("nodes.yaml", NODES),
        ("web.yaml", WEB),
        ("slice.yaml", WEB_SLICE),
        ("broken.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {ports: none}\n"),
    ]);
    let answer = folder.plan(&["--node", "n2", "-o", "json"]);
    assert_eq!(answer.code, Some(1));
    assert_eq!(answer.json()["servicePorts"][0]["backends"], json!(["10.0.0.2:8080"]));
    let file = folder.path().join("broken.yaml");
    let begins = format!("error: {}: document 1: spec.ports: ", file.display());
    assert!(answer.stderr.starts_with(&begins), "{}", answer.stderr);
    assert!(
        answer.stderr.ends_with("; Service default/api is not used as it stands there\n"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_part_that_is_left_out_is_a_warning() {
    let folder = Folder::new(&[
        ("nodes.yaml", NODES),
        ("web.yaml", WEB),
        ("slice.yaml", &WEB_SLICE.replace("10.0.0.1", "10.0.0.one")),
    ]);
    let answer = folder.plan(&["--node", "n1", "-o", "json"]);
    assert_eq!(answer.code, Some(0));
    assert_eq!(answer.json()["servicePorts"][0]["outcome"], "refuse");
    let says = "EndpointSlice default/web-1: endpoints[0].addresses[0]: \"10.0.0.one\" is not an IP address; \
                the endpoint of Service default/web is left out";
    assert!(answer.stderr.starts_with("warning: ") && answer.stderr.contains(says), "{}", answer.stderr);
    let ignored = &answer.json()["ignored"][0];
    assert_eq!(ignored["object"], "EndpointSlice default/web-1");
    assert!(says.ends_with(ignored["why"].as_str().unwrap()), "{ignored}");
}

/// One backend per node, both on site `s1`, in pools of their own.
#[test]
fn the_rules_of_the_agent_are_flags_or_variables() {
    let ordered = WEB.replace("openyurt.io/nodepool", "site");
    let (one, both, none) = (json!(["10.0.0.1:8080"]), json!(["10.0.0.1:8080", "10.0.0.2:8080"]), json!([]));
    for (shows, web, flag, variable, value, outcome, backends) in [
        (
            "an empty value counts as not given",
            WEB,
            "--exclude-service",
            "EDGELOOP_EXCLUDE_SERVICE",
            "",
            "forward",
            &one,
        ),
        ("excluded", WEB, "--exclude-service", "EDGELOOP_EXCLUDE_SERVICE", "a/b,default/web", "leave", &none),
        ("another pool label", WEB, "--pool-label", "EDGELOOP_POOL_LABEL", "site", "forward", &both),
        ("a pool label that no node has", WEB, "--pool-label", "EDGELOOP_POOL_LABEL", "row", "forward", &one),
        (
            "a label of ours",
            &ordered,
            "--topology-label",
            "EDGELOOP_TOPOLOGY_LABEL",
            "row,site",
            "forward",
            &both,
        ),
        (
            "not understood",
            &ordered,
            "--on-invalid-topology",
            "EDGELOOP_ON_INVALID_TOPOLOGY",
            "unfiltered",
            "forward",
            &both,
        ),
        (
            "refused",
            &ordered,
            "--on-invalid-topology",
            "EDGELOOP_ON_INVALID_TOPOLOGY",
            "refuse",
            "refuse",
            &none,
        ),
    ] {
        for port in by_flag_and_variable(web, flag, variable, value) {
            assert_eq!((&port["outcome"], &port["backends"]), (&json!(outcome), backends), "{shows}");
        }
    }
}

/// No node has a label `apps.kubeedge.io/belonging-to` or `row`.
#[test]
fn the_dialects_of_the_agent_are_flags_or_variables() {
    let written =
        |annotation: &str| WEB.replace("openyurt.io/topologyKeys: openyurt.io/nodepool", annotation);
    let kubeedge = written("apps.kubeedge.io/service-topology: range-nodegroup");
    let superedge = written("topologyKeys: '[\"row\", \"kubernetes.io/hostname\"]'");
    let (one, both) = (json!(["10.0.0.1:8080"]), json!(["10.0.0.1:8080", "10.0.0.2:8080"]));
    for (shows, web, dialects, backends) in [
        ("the group of nodes without a label", &kubeedge, "kubeedge", &both),
        ("this node's name", &superedge, "kubeedge,superedge", &one),
        ("another project's", &superedge, "kubeedge", &both),
    ] {
        for port in by_flag_and_variable(web, "--dialect", "EDGELOOP_DIALECT", dialects) {
            assert_eq!((&port["outcome"], &port["backends"]), (&json!("forward"), backends), "{shows}");
        }
    }
}

fn by_flag_and_variable(web: &str, flag: &str, variable: &str, value: &str) -> [Value; 2] {
    let folder = Folder::new(&[("nodes.yaml", NODES), ("web.yaml", web), ("slice.yaml", WEB_SLICE)]);
    let asked = ["--node", "n1", "-o", "json"];
    let by_flag = ["--node", "n1", "-o", "json", flag, value];
    [folder.plan(&by_flag), plan(&[folder.path()], &asked, &[(variable, value)])]
        .map(|answer| answer.json()["servicePorts"][0].clone())
}

#[test]
fn every_flag_can_be_a_variable() {
    let tutorial = tutorial();
    let variables = [
        ("EDGELOOP_MANIFESTS", tutorial.to_str().unwrap()),
        ("EDGELOOP_NODE", "lone-node"),
        ("EDGELOOP_OUTPUT", "json"),
    ];
    assert_eq!(plan(&[], &[], &variables).json()["node"], "lone-node");
}

#[test]
fn a_rule_that_is_malformed_is_an_error() {
    let answer = plan(&[&tutorial()], &["--node", "lone-node", "--exclude-service", "web"], &[]);
    assert_eq!(answer.code, Some(1));
    assert_eq!(answer.stderr, "error: --exclude-service \"web\": write it as NAMESPACE/NAME\n");
}

#[test]
fn a_log_filter_that_is_malformed_is_told_and_ends_nothing() {
    for (filter, says) in [("=!!", "EDGELOOP_LOG is not a log filter"), ("", ""), ("lb_agent=debug", "")] {
        let answer = plan(&[&tutorial()], &["--node", "lone-node"], &[("EDGELOOP_LOG", filter)]);
        assert_eq!(answer.code, Some(0), "{filter:?}");
        assert!(answer.stderr.contains(says), "{filter:?}: {}", answer.stderr);
        assert_eq!(answer.stderr.is_empty(), says.is_empty(), "{filter:?}: {}", answer.stderr);
    }
}

//! Agents' pods behind a small API server.

use serde_json::{Value, json};

use super::*;
use crate::api::testing::exec::{Program, ProgramEnd};
use crate::api::testing::server::{Reply, Server};

fn target(timeout: Duration) -> Target {
    Target { namespace: NAMESPACE.to_owned(), selector: SELECTOR.to_owned(), timeout }
}

fn pods(nodes: &[&str]) -> Value {
    let pods = nodes.iter().map(|node| {
        json!({
            "metadata": {"name": format!("agent-{node}")}, "spec": {"nodeName": node},
            "status": {"phase": "Running", "containerStatuses": [{"name": "agent", "state": {"running": {}}}]},
        })
    });
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods.collect::<Vec<_>>()})
}

/// Of the pod in the path of an exec, `agent-NODE`, the node.
fn node_of(path: &str) -> Option<&str> {
    path.split_once("/pods/agent-")?.1.split_once("/exec?").map(|(node, _)| node)
}

/// A server with these nodes, which run these programs.
async fn server(programs: Vec<(&'static str, Reply)>) -> Server {
    let server = Server::start().await;
    let nodes = pods(&programs.iter().map(|(node, _)| *node).collect::<Vec<_>>());
    let mut programs: BTreeMap<&str, Reply> = programs.into_iter().collect();
    server.otherwise(move |path| match node_of(path) {
        Some(node) => programs.remove(node),
        None => Some(Reply::json(&nodes)),
    });
    server
}

async fn answers(server: &Server, nodes: &Nodes, arguments: &[&str]) -> Vec<String> {
    let target = target(Duration::from_secs(1));
    let answers = run(server.config(), &target, nodes, arguments).await.unwrap();
    answers
        .into_iter()
        .map(|(node, printed)| match printed {
            Ok(text) => format!("{node}: {}", String::from_utf8(text).unwrap()),
            Err(error) => format!("{node}: ! {error}"),
        })
        .collect()
}

#[tokio::test]
async fn each_node_answers_or_says_why_it_does_not_and_none_holds_up_the_others() {
    let program = |end| Reply::Exec(Program { end, ..Program::prints("half") });
    let server = server(vec![
        ("n1", Reply::Exec(Program::prints("one"))),
        ("n2", Reply::Exec(Program::fails(1, "some warning\nerror: nothing is \u{1b}pinned\n"))),
        ("n3", program(ProgramEnd::NotRun)),
        ("n4", program(ProgramEnd::Broken)),
        ("n5", program(ProgramEnd::Never)),
        ("n6", Reply::refusal(403, "")),
        ("n7", Reply::json(&json!({}))),
        ("n8", Reply::Exec(Program { stdout: vec![b'x'; MOST + 1], ..Program::default() })),
        ("n9", Reply::Exec(Program::fails(7, ""))),
    ])
    .await;
    assert_eq!(
        answers(&server, &Nodes::All, &["status", "-o", "json"]).await,
        [
            "n1: one",
            "n2: ! nothing is \\u{1b}pinned",
            "n3: ! the program could not be run: no such file",
            "n4: ! the connection broke off before the program's end: WebSocket protocol error: Connection reset without closing handshake",
            "n5: ! it did not end within 1 s",
            "n6: ! the API server answered 403: no",
            "n7: ! the API server answered 200: OK",
            "n8: ! it printed more than 16 MB",
            "n9: ! it exited with 7",
        ]
    );
}

#[tokio::test]
async fn arguments_arrive_one_by_one_at_the_nodes_that_are_named() {
    let server = server(vec![
        ("n1", Reply::Exec(Program::prints("one"))),
        ("n2", Reply::Exec(Program { stdout: vec![b'y'; 100_000], ..Program::default() })),
    ])
    .await;
    let nodes = Nodes::These(["n2", "n0"].map(str::to_owned).into());
    let all = answers(&server, &nodes, &["explain", "a b", "-o", "json"]).await;
    assert_eq!(
        all,
        ["n0: ! the agents have no pod there".to_owned(), format!("n2: {}", "y".repeat(100_000))]
    );
    let asked: Vec<String> = server.heads().into_iter().filter(|head| head.contains("/exec?")).collect();
    let [head] = &asked[..] else { panic!("{asked:?}") };
    assert!(
        head.starts_with(
            "GET /api/v1/namespaces/kube-system/pods/agent-n2/exec?container=agent&stdout=true&stderr=true\
             &command=%2Flb-agent&command=explain&command=a%20b&command=-o&command=json HTTP/1.1\r\n"
        ),
        "{head}"
    );
}

/// More than are asked at once.
#[tokio::test]
async fn a_hundred_nodes_answer() {
    let names: Vec<&'static str> = (0..100).map(|node| &*format!("n{node}").leak()).collect();
    let server = server(names.iter().map(|name| (*name, Reply::Exec(Program::prints(name)))).collect()).await;
    let mut expected: Vec<String> = names.iter().map(|name| format!("{name}: {name}")).collect();
    expected.sort_unstable();
    let mut all = answers(&server, &Nodes::All, &["status"]).await;
    all.sort_unstable();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn without_pods_or_rights_it_is_said_what_to_do() {
    let server = server(Vec::new()).await;
    let error = Agents::find(server.config(), &target(TIMEOUT), &Nodes::All).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "no pod in namespace kube-system has the labels app.kubernetes.io/name=edgeloop,app.kubernetes.io/component=agent: name \
         the agents' namespace with --namespace, or their labels with --selector"
    );
    server.otherwise(|_| Some(Reply::refusal(403, "")));
    let error = Agents::find(server.config(), &target(TIMEOUT), &Nodes::All).await.unwrap_err().to_string();
    let server = server.address();
    assert_eq!(error, format!("could not list the pods in namespace kube-system: {server} answered 403: no"));
}

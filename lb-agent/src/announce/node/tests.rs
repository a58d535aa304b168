//! The task against a small API server: what it writes to the Node, and when it writes nothing.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::object::CONDITION;
use super::*;
use crate::api::testing::server::{PATIENCE, Reply, Server};
use crate::model::PerFamily;
use crate::store::{Rules, Store};
use crate::view::published::{AgentState, Fill, MapFill, WaitsFor};

const FAST: Pace = Pace {
    look: Duration::from_millis(5),
    read: Duration::from_millis(60),
    gap: Duration::from_millis(20),
    uncovered: Duration::from_millis(20),
    settled: Duration::from_millis(100),
    retry: (Duration::from_millis(5), Duration::from_millis(20)),
    silence: PATIENCE,
};
/// Long enough for any write that is due.
const QUIET: Duration = Duration::from_millis(500);
const TAINT: &str = "edgeloop.io/not-covered";

/// The Node that the small API server has: patches of tests change it as an API server would.
type Shared = Arc<Mutex<Value>>;

fn node(uid: &str, taints: &Value, conditions: &Value) -> Value {
    json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1", "uid": uid},
        "spec": {"taints": taints}, "status": {"conditions": conditions}})
}

async fn serve(node: Value) -> (Server, Shared) {
    let server = Server::start().await;
    let shared = Arc::new(Mutex::new(node));
    let now = Arc::clone(&shared);
    server.otherwise(move |_| Some(Reply::json(&now.lock().unwrap())));
    (server, shared)
}

fn published(state: AgentState) -> Arc<Published> {
    let fill = PerFamily { v4: Fill::default(), v6: Fill::default() };
    let maps = MapFill { frontends: fill, backends: fill, clients: Fill::default() };
    let store = Store::new("n1", Rules::default());
    let first = Published::first(&store, "https://10.0.0.1", Instant::now());
    Arc::new(Published { state, maps: Some(maps), ..first })
}

fn both() -> NodeSigns {
    NodeSigns { condition: WithCondition::On, taint: Some(TAINT.into()) }
}

async fn start(
    server: &Server,
    wanted: NodeSigns,
    state: AgentState,
    before: Before,
) -> (JoinSet<()>, watch::Sender<Arc<Published>>) {
    let client = ApiClient::new(server.config(), None).await.unwrap();
    let (sender, receiver) = watch::channel(published(state));
    (signs(&client, "n1", wanted, receiver, before, FAST), sender)
}

/// Waits for so many patches, and that there are no more.
async fn patches(server: &Server, count: usize) -> Vec<(String, Value)> {
    let until = Instant::now() + PATIENCE;
    while server.patches().len() < count && Instant::now() < until {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(QUIET).await;
    server.patches()
}

fn condition_of(patch: &(String, Value)) -> &Value {
    assert_eq!(patch.0, "/api/v1/nodes/n1/status");
    &patch.1["status"]["conditions"][0]
}

fn detached() -> AgentState {
    AgentState::NotReady(vec![WaitsFor::Programs])
}

/// As the API server has it after a patch.
fn set_condition(node: &Shared, status: &str, reason: &str) {
    let condition = json!([{"type": CONDITION, "status": status, "reason": reason}]);
    node.lock().unwrap()["status"]["conditions"] = condition;
}

#[tokio::test]
async fn a_condition_is_written_when_it_changes_and_at_no_other_time() {
    let (server, node) = serve(node("u-1", &json!([]), &json!([]))).await;
    let wanted = NodeSigns { taint: None, ..both() };
    let (_tasks, writer) = start(&server, wanted, AgentState::Ready, Before::Nothing).await;
    // Each look at the Node shows it as it was written, here as the test says.
    while server.patches().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    set_condition(&node, "True", "Covered");
    let written = patches(&server, 1).await;
    assert_eq!(written.len(), 1, "{written:#?}");
    assert_eq!(condition_of(&written[0])["status"], "True");

    // Shorter than it takes to be news.
    writer.send_replace(published(detached()));
    sleep(Duration::from_millis(5)).await;
    writer.send_replace(published(AgentState::Ready));
    assert_eq!(patches(&server, 1).await.len(), 1);

    writer.send_replace(published(detached()));
    while server.patches().len() < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    set_condition(&node, "False", "NotAttached");
    let written = patches(&server, 2).await;
    assert_eq!(written.len(), 2, "{written:#?}");
    assert_eq!(condition_of(&written[1])["reason"], "NotAttached");
}

#[tokio::test]
async fn an_agent_that_is_replaced_writes_nothing_and_one_after_a_reboot_takes_the_condition_back() {
    let stands = json!([{"type": CONDITION, "status": "True", "reason": "Covered"}]);
    for (before, expected) in [(Before::Programs, 0), (Before::Nothing, 1)] {
        let (server, node) = serve(node("u-1", &json!([]), &stands)).await;
        let (_tasks, writer) = start(&server, both(), AgentState::Starting, before).await;
        let starting = Arc::new(Published { maps: None, ..(*published(AgentState::Starting)).clone() });
        writer.send_replace(starting);
        sleep(Duration::from_millis(50)).await;
        let written = server.patches();
        assert_eq!(written.len(), expected, "{before:?}: {written:#?}");
        if let Some(patch) = written.first() {
            assert_eq!(condition_of(patch)["status"], "False");
        } else {
            writer.send_replace(published(AgentState::Ready));
            assert_eq!(patches(&server, 0).await, [], "{before:?}");
        }
        drop(node);
    }
}

#[tokio::test]
async fn a_taint_is_removed_once_for_each_node_and_only_when_it_is_covered() {
    let ours = json!({"key": TAINT, "effect": "NoSchedule"});
    let other = json!({"key": "other.io/x", "effect": "NoSchedule"});
    let (server, shared) = serve(node("u-1", &json!([other, ours]), &json!([]))).await;
    let wanted = NodeSigns { condition: WithCondition::Off, ..both() };
    let (_tasks, writer) = start(&server, wanted, detached(), Before::Nothing).await;
    assert_eq!(patches(&server, 0).await, [], "it is not covered");

    writer.send_replace(published(AgentState::Ready));
    let written = patches(&server, 1).await;
    let expected = json!([
        {"op": "test", "path": "/metadata/uid", "value": "u-1"},
        {"op": "test", "path": "/spec/taints", "value": [other, ours]},
        {"op": "remove", "path": "/spec/taints/1"},
    ]);
    // That it stands there still, as one would that somebody adds later, is no reason.
    assert_eq!(written, [("/api/v1/nodes/n1".to_owned(), expected)]);

    *shared.lock().unwrap() = node("u-2", &json!([ours]), &json!([]));
    let written = patches(&server, 2).await;
    assert_eq!(written.len(), 2, "a Node that was registered anew: {written:#?}");
    assert_eq!(written[1].1[0]["value"], "u-2");
}

#[tokio::test]
async fn a_refused_patch_is_made_anew_from_what_the_node_is_by_then() {
    let ours = json!({"key": TAINT, "effect": "NoSchedule"});
    let other = json!({"key": "other.io/x", "effect": "NoSchedule"});
    let server = Server::start().await;
    let [before, after] =
        [json!([ours]), json!([other, ours])].map(|taints| node("u-1", &taints, &json!([])));
    let mut asked = 0;
    server.otherwise(move |_| {
        asked += 1;
        // Read, refused since a taint was added, read again, done.
        Some(match asked {
            1 => Reply::json(&before),
            2 => Reply::refusal(422, ""),
            _ => Reply::json(&after),
        })
    });
    let wanted = NodeSigns { condition: WithCondition::Off, ..both() };
    let (_tasks, _writer) = start(&server, wanted, AgentState::Ready, Before::Nothing).await;
    let written = patches(&server, 2).await;
    let compared: Vec<&Value> = written.iter().map(|(_, patch)| &patch[1]["value"]).collect();
    assert_eq!(compared, [&json!([ours]), &json!([other, ours])]);
    assert_eq!(written[1].1[2]["path"], "/spec/taints/1");
}

#[tokio::test]
async fn without_the_right_it_asks_seldom_and_goes_on_when_it_has_it() {
    let (server, _node) = serve(node("u-1", &json!([]), &json!([]))).await;
    let mut refused = 0;
    let granted = node("u-1", &json!([]), &json!([]));
    server.otherwise(move |_| {
        refused += 1;
        Some(if refused <= 3 { Reply::refusal(403, "") } else { Reply::json(&granted) })
    });
    let wanted = NodeSigns { taint: None, ..both() };
    let (_tasks, _writer) = start(&server, wanted, AgentState::Ready, Before::Nothing).await;
    let until = Instant::now() + PATIENCE;
    while server.patches().is_empty() && Instant::now() < until {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(condition_of(&server.patches()[0])["reason"], "Covered");
}

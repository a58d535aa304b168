//! Unknown is not empty: what an agent does while it does not know.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, in_kernel, wait_for};
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::published::NodeLabels;
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;

const NEAR: &str = "10.96.0.12:80";

/// The Service and its slices are in a file that is half written when the agent comes back.
#[test]
#[ignore = "needs root"]
fn what_a_malformed_file_may_define_is_kept_until_it_is_corrected() {
    let pair = Pair::new().unwrap();
    let lines = "service other 10.96.0.13:80\nslice other-1 of other 9376 10.244.1.3@n3";
    pair.folder.put("other.yaml", lines).unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGKILL).unwrap();
    pair.folder.put_text("web.yaml", "kind: Service\napiVersion: v1\nspec: {ports: [{port: eight").unwrap();
    pair.folder.put("new.yaml", "service new 10.96.0.14:80\nslice new-1 of new 9376 10.244.1.3@n3").unwrap();

    let agent = pair.agent(&[]).unwrap();

    assert!(pair.is_served().unwrap(), "the kernel keeps what the file may still define");
    assert!(pair.dial("10.96.0.14:80").unwrap().is_from("web"), "everything else goes on");
    let view = agent.view().unwrap();
    assert!(view.with(Reason::Unknown).any(|unknown| unknown.about.contains("web.yaml")), "{view:?}");

    pair.folder.put_text("web.yaml", "# nothing is left of it\n").unwrap();
    wait_for("what is known to be gone goes", || Ok(pair.holds(Pair::SERVICE)? == "untouched")).unwrap();
    assert!(pair.dial("10.96.0.13:80").unwrap().is_from("web"));
}

/// The slices alone are in it: no slices would be an empty set, and refuse.
#[test]
#[ignore = "needs root"]
fn a_service_whose_slices_may_be_in_a_malformed_file_is_not_emptied() {
    let pair = Pair::new().unwrap();
    pair.folder.put("web.yaml", "service web 10.96.0.11:80").unwrap();
    pair.folder.put("slices.yaml", "slice web-1 of web 9376 10.244.1.3@n3").unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    pair.folder.put_text("slices.yaml", "{").unwrap();

    let _agent = pair.agent(&[]).unwrap();
    assert!(pair.is_served().unwrap());

    pair.folder.remove("slices.yaml").unwrap();
    wait_for("the set is known to be empty", || Ok(pair.holds(Pair::SERVICE)? == "refused")).unwrap();
}

/// One slice of two can be read, and reaches nothing: the other is named by its file, and by its label.
#[test]
#[ignore = "needs root"]
fn a_service_of_which_one_slice_was_never_read_is_kept_and_named_while_the_agent_is_ready() {
    let pair = Pair::new().unwrap();
    pair.folder.put("web.yaml", "service web 10.96.0.11:80\nslice web-1 of web 9376").unwrap();
    pair.folder.put("more.yaml", "slice web-2 of web 9376 10.244.1.3@n3").unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let unread = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
        metadata: {name: web-2, labels: {kubernetes.io/service-name: web}}\nendpoints: 5\n";
    pair.folder.put_text("more.yaml", unread).unwrap();

    let agent = pair.agent(&[]).unwrap();
    assert!(pair.is_served().unwrap());
    let view = agent.view().unwrap();
    let found = view.diagnostics.iter().find(|found| found.reason == Reason::Unread);
    let named = found.map(|found| (found.about.as_str(), found.message.as_str()));
    let text = "its EndpointSlice default/web-2 was never read: what the kernel holds for it stays";
    assert_eq!(named, Some(("Service default/web", text)), "{:?}", view.diagnostics);

    pair.folder.remove("more.yaml").unwrap();
    wait_for("the set is known to be empty", || Ok(pair.holds(Pair::SERVICE)? == "refused")).unwrap();
}

/// The maps have to be made anew, and the file that defines a Service cannot be read: what the old maps hold
/// for it is all there is.
#[test]
#[ignore = "needs root"]
fn new_maps_are_not_made_while_a_file_cannot_be_read() {
    let pair = Pair::new().unwrap();
    pair.agent(&["--max-services", "64"]).unwrap().end_by(Signal::SIGTERM).unwrap();
    pair.folder.put_text("web.yaml", "{").unwrap();
    let load = pair.load().unwrap();

    let agent = pair.agent(&["--max-services", "128"]).unwrap();

    assert!(pair.is_served().unwrap(), "{}", agent.log());
    assert_eq!(load.stop().unwrap().failed, []);
    assert_eq!(room(&pair), 64);
    pair.folder.remove("web.yaml").unwrap();
    wait_for("they are made once all is known", || Ok(room(&pair) == 128)).unwrap();
    wait_for("what is known to be gone is", || Ok(pair.holds(Pair::SERVICE)? == "untouched")).unwrap();
}

/// The same for a Service that waits for the own Node.
#[test]
#[ignore = "needs root"]
fn new_maps_are_not_made_while_the_own_node_is_unknown() {
    let pair = near().unwrap();
    pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p1").unwrap();
    pair.agent(&["--max-services", "64"]).unwrap().end_by(Signal::SIGTERM).unwrap();
    pair.folder.put("nodes.yaml", "node n3 pool=p1").unwrap();

    let agent = Agent::spawn(pair.client.node(), &["--max-services", "128"]).unwrap();
    agent.wait_until("it is attached", AgentView::is_attached).unwrap();

    assert!(pair.dial(NEAR).unwrap().is_from("web"), "{}", agent.log());
    assert_eq!(room(&pair), 64);
    pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p1").unwrap();
    wait_for("they are made once it is known", || Ok(room(&pair) == 128)).unwrap();
    assert!(pair.dial(NEAR).unwrap().is_from("web"));
}

/// Untouched, because which pool this is cannot be known yet; and the agent says that it is not ready.
#[test]
#[ignore = "needs root"]
fn a_topology_that_reads_labels_waits_for_the_own_node() {
    let pair = near().unwrap();
    pair.folder.put("nodes.yaml", "node n3 pool=p1").unwrap();

    let agent = Agent::spawn(pair.client.node(), &[]).unwrap();
    let view = agent.wait_until("it is attached", AgentView::is_attached).unwrap();

    assert_eq!((view.ready, view.node_labels), (false, NodeLabels::NeverKnown), "{view:?}");
    assert!(view.with(Reason::WaitsForNode).count() > 0, "{view:?}");
    assert!(pair.dial(NEAR).unwrap().failed_with("ENETUNREACH"));
    assert!(pair.is_served().unwrap(), "a Service without a topology waits for nothing");

    pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p1").unwrap();
    agent.wait_until("it is ready", |view| view.ready).unwrap();
    assert!(pair.dial(NEAR).unwrap().is_from("web"));
}

#[test]
#[ignore = "needs root"]
fn the_last_labels_of_the_own_node_hold_when_it_is_deleted() {
    let pair = near().unwrap();
    pair.folder.put("nodes.yaml", "node n3 pool=p1").unwrap();
    pair.folder.put("own.yaml", "node n1 pool=p1").unwrap();
    let agent = pair.agent(&[]).unwrap();
    assert!(pair.dial(NEAR).unwrap().is_from("web"));

    pair.folder.remove("own.yaml").unwrap();
    let view = agent.wait_until("it is gone", |view| view.node_labels != NodeLabels::Current).unwrap();

    assert_eq!((view.pool.as_deref(), view.node_labels), (Some("p1"), NodeLabels::LastKnown));
    assert!(pair.dial(NEAR).unwrap().is_from("web"));
    pair.folder.put("own.yaml", "node n1 pool=p2").unwrap();
    wait_for("the new label counts", || Ok(pair.holds(NEAR)? == "refused")).unwrap();
}

/// A restart knows no label, and what the kernel holds is of when it did.
#[test]
#[ignore = "needs root"]
fn what_was_decided_with_labels_is_kept_by_a_restart_without_them() {
    let pair = near().unwrap();
    pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p1").unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGKILL).unwrap();
    pair.folder.put("nodes.yaml", "node n3 pool=p1").unwrap();

    let agent = Agent::spawn(pair.client.node(), &[]).unwrap();
    let view = agent.wait_until("it is attached", AgentView::is_attached).unwrap();

    assert!(!view.ready);
    assert!(pair.dial(NEAR).unwrap().is_from("web"));
}

#[test]
#[ignore = "needs root"]
fn a_label_change_moves_the_client_at_once() {
    let pair = near().unwrap();
    pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p2").unwrap();
    let _agent = pair.agent(&[]).unwrap();
    assert!(pair.dial(NEAR).unwrap().failed_with("ECONNREFUSED"));
    let mut watch = pair.client.watch(NEAR).unwrap();

    let moved = edgeloop_tests::now();
    pair.folder.put("nodes.yaml", "node n1 pool=p2\nnode n3 pool=p2").unwrap();

    let soon = std::time::Duration::from_secs(5);
    let first = watch.first_since(moved, |answer| answer.is_from("web"), soon).unwrap();
    println!("{:?} after the rename", first.ended() - moved);
}

/// With the Service `near` at [`NEAR`], which stays in its pool.
fn near() -> anyhow::Result<Pair> {
    let pair = Pair::new()?;
    pair.folder.put(
        "near.yaml",
        "service near 10.96.0.12:80 topology=openyurt.io/nodepool\n\
         slice near-1 of near 9376 10.244.1.3@n3",
    )?;
    Ok(pair)
}

fn room(pair: &Pair) -> u64 {
    let view = in_kernel(pair.client.node()).unwrap();
    view.maps.iter().find(|fill| fill.map == "services4").unwrap().max_entries
}

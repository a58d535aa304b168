//! Pods and Namespaces that are labelled: left out and taken in again while they run.

use std::path::PathBuf;

use anyhow::Result;
use edgeloop_tests::agent::{Agent, Folder, lb_agent_says, wait_for};
use edgeloop_tests::{Pair, Pod};

const UID: &str = "0f5a1b2c-1111-2222-3333-444455556666";
const OTHER_UID: &str = "0f5a1b2c-1111-2222-3333-000000000000";

/// A decoy holds the Service's address: what is left alone reaches it.
#[test]
#[ignore = "needs root"]
fn a_label_of_a_running_pod_or_of_its_namespace_switches_it_off_and_on() {
    let pair = Pair::new().unwrap();
    let pod = pod(&pair, "mesh", 9, UID).unwrap();
    let other = self::pod(&pair, "other", 10, OTHER_UID).unwrap();
    let folder = Folder::of(pair.client.node()).unwrap();
    let agent = pair.agent(&[]).unwrap();
    assert!(is_from(&pod, "web").unwrap());
    for (pods, namespace, expected) in [
        ("\"true\"", "{}", "decoy"),
        ("\"false\"", "{}", "web"),
        ("\"false\"", "{edgeloop.io/skip: \"true\"}", "decoy"),
        ("\"false\"", "{}", "web"),
    ] {
        let text = format!(
            "{}---\n{}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {namespace}}}\n",
            manifest("shop", "mesh", UID, pods),
            manifest("elsewhere", "other", OTHER_UID, "\"false\""),
        );
        folder.put_text("pods.yaml", &text).unwrap();
        let what = format!("{pods} {namespace}: {expected}");
        wait_for(&what, || is_from(&pod, expected)).unwrap();
        assert!(is_from(&other, "web").unwrap(), "{what}");
        let counted = if expected == "decoy" { "1 " } else { "none" };
        let checked = lb_agent_says(pair.client.node(), "check", &["--source", "file:/"]).unwrap();
        let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
        let said = checked.lines().find(|line| line.contains("skipped pods"));
        assert!(said.is_some_and(|line| line.contains(counted)), "{what}: {checked}");
        agent
            .wait_until("status shows it", |view| {
                let shown: Vec<&str> = view.skipped_pods.iter().map(|pod| pod.pod.as_str()).collect();
                shown == if expected == "decoy" { vec!["shop/mesh"] } else { vec![] }
            })
            .unwrap();
    }
}

/// As a kubelet does it: the object first, then the cgroup, then the process. What is skipped stays so while no agent
/// runs, and is not known to an agent that comes back until the folder says so.
#[test]
#[ignore = "needs root"]
fn a_pod_that_is_labelled_before_it_has_a_cgroup_is_left_alone_and_stays_so_without_an_agent() {
    let pair = Pair::new().unwrap();
    let folder = Folder::of(pair.client.node()).unwrap();
    folder.put_text("pods.yaml", &manifest("shop", "mesh", UID, "\"true\"")).unwrap();
    let agent = pair.agent(&[]).unwrap();
    let is_waited_for = |agent: &Agent| {
        let pods = agent.view().unwrap().skipped_pods;
        pods.len() == 1 && pods[0].cgroup.is_none()
    };
    assert!(is_waited_for(&agent));
    let mesh = pod(&pair, "mesh", 9, UID).unwrap();
    wait_for("the pod is left alone", || is_from(&mesh, "decoy")).unwrap();

    agent.end_by(nix::sys::signal::Signal::SIGKILL).unwrap();
    assert!(is_from(&mesh, "decoy").unwrap(), "without an agent");
    let agent = pair.agent(&[]).unwrap();
    assert!(is_from(&mesh, "decoy").unwrap(), "with the next one");
    drop(agent);
    let agent = pair.agent(&["--skip-labelled-pods", "off"]).unwrap();
    wait_for("the label does not count", || is_from(&mesh, "web")).unwrap();
    assert!(agent.view().unwrap().skipped_pods.is_empty());
}

/// In the cgroup that a kubelet with the systemd driver makes, and answering itself at the Service's address.
fn pod(pair: &Pair, name: &str, number: u8, uid: &str) -> Result<Pod> {
    let slice = format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
    let container = PathBuf::from("kubepods.slice/kubepods-burstable.slice").join(slice).join("cri-1.scope");
    let pod = pair.client.node().pod(name, &format!("10.244.1.{number}"))?.within(container)?;
    let at: std::net::SocketAddr = Pair::SERVICE.parse()?;
    pod.add_addresses(&[at.ip()])?;
    pod.serve(at, "decoy")?;
    Ok(pod)
}

fn is_from(pod: &Pod, expected: &str) -> Result<bool> {
    Ok(pod.dial(Pair::SERVICE, 1)?.iter().all(|answer| answer.is_from(expected)))
}

fn manifest(namespace: &str, name: &str, uid: &str, label: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: {namespace}\n  name: {name}\n  uid: {uid}\n  labels: \
         {{edgeloop.io/skip: {label}}}\nspec: {{nodeName: n1}}\nstatus: {{phase: Running}}\n"
    )
}

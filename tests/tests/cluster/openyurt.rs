//! OpenYurt's tutorial with OpenYurt's own controllers.

use std::process::Command;

use edgeloop_tests::checkout;

/// It exits with an error if anything that it shows is not so: YurtAppSets become pods in their pools, a pool
/// is scaled to zero and back, the annotation changes, a node moves, the API server is killed.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn the_demo_on_a_cluster_shows_what_it_says() {
    let status = Command::new(checkout::program("edgeloop-demo").unwrap()).arg("--cluster").status().unwrap();
    assert!(status.success(), "{status}");
}

/// The same with the agents installed by the chart, in containers; at the end it is uninstalled.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn the_demo_on_a_cluster_shows_the_same_with_agents_that_helm_installed() {
    let mut demo = Command::new(checkout::program("edgeloop-demo").unwrap());
    let status = demo.args(["--cluster", "--helm"]).status().unwrap();
    assert!(status.success(), "{status}");
}

//! A real control plane as the source of the agents.

use edgeloop_tests::Site;
use edgeloop_tests::cluster::Cluster;

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_control_plane_comes_up_and_leaves_nothing() {
    let site = Site::new().unwrap();
    let cluster = Cluster::with_controllers(&site).unwrap();
    assert_eq!(cluster.api().list("/api/v1/nodes").unwrap().len(), 0);
}

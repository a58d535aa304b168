//! OpenYurt's own controllers make the pods of a YurtAppSet.

use edgeloop_tests::Site;
use edgeloop_tests::agent::wait_for;
use edgeloop_tests::cluster::{Cluster, Kubelet, Yurt};
use serde_json::json;

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn the_tutorials_workloads_run_in_their_pools() {
    let site = Site::new().unwrap();
    let mut cluster = Cluster::with_controllers(&site).unwrap();
    let _yurt = Yurt::start(&mut cluster).unwrap();
    cluster.apply_file("examples/tutorial/nodepools.yaml").unwrap();
    let node =
        |name: &str, pool: &str| (site.node(name).unwrap(), json!({"apps.openyurt.io/nodepool": pool}));
    let kubelet = Kubelet::start(&cluster, &[node("n1", "hangzhou"), node("n2", "shanghai")]).unwrap();
    cluster.apply_file("examples/tutorial/workloads.yaml").unwrap();
    wait_for("all pods run", || Ok(kubelet.names().len() == 8)).unwrap();
}

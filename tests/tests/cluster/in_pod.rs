//! The agent where a DaemonSet runs it: its API server and token are those of its pod.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use edgeloop_tests::Site;
use edgeloop_tests::agent::{Agent, element, program, wait_for};
use edgeloop_tests::cluster::{Cluster, Part};
use lb_agent::view::status::{Api, ApiKind};

/// As a kubelet projects them: what the names lead to is replaced in one step.
fn project(folder: &Path, version: &str, token: &str, authority: &str) -> io::Result<()> {
    let data = folder.join(version);
    fs::create_dir_all(&data)?;
    for (name, text) in [("token", token), ("ca.crt", authority), ("namespace", "kube-system")] {
        fs::write(data.join(name), text)?;
        let at = folder.join(name);
        if fs::symlink_metadata(&at).is_err() {
            symlink(Path::new("..data").join(name), at)?;
        }
    }
    let draft = folder.join("..draft");
    symlink(version, &draft)?;
    fs::rename(&draft, folder.join("..data"))
}

/// In a mount namespace of its own, whose `/var/run` has these secrets.
const ENTER: &str = "mount -t tmpfs none /var && mkdir -p /var/run/secrets/kubernetes.io/serviceaccount && \
    mount --bind \"$0\" /var/run/secrets/kubernetes.io/serviceaccount && exec \"$@\"";

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn in_a_pod_the_pods_own_token_serves_and_a_new_one_is_picked_up() {
    let site = Site::new().unwrap();
    let mut cluster = Cluster::up(&site).unwrap();
    cluster.apply_lines("node n1 pool=p1\nservice web 10.96.0.11:80 topology=openyurt.io/nodepool").unwrap();
    cluster.agent_kubeconfig().unwrap();
    let secrets = site.folder().join("secrets");
    let authority = fs::read_to_string(cluster.folder().join("ca.crt")).unwrap();
    let token = || cluster.account_token("kube-system", "edgeloop-agent").unwrap();
    project(&secrets, "..1", &token(), &authority).unwrap();

    let node = site.node("n1").unwrap();
    let mut command = cluster.command_on(&node, "unshare");
    command
        .args(["--mount", "sh", "-c", ENTER])
        .arg(&secrets)
        .arg(program().unwrap())
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", "6443");
    let agent = Agent::from_program(&node, &mut command, &[]).unwrap();
    agent.wait_until("it is ready", |view| view.ready).unwrap();

    // The account is made anew, as the same is: what was signed for the old one is good for nothing.
    cluster.api().delete("/api/v1/namespaces/kube-system/serviceaccounts/edgeloop-agent").unwrap();
    cluster.agent_kubeconfig().unwrap();
    let fresh = cluster.account_token("kube-system", "edgeloop-agent").unwrap();
    cluster.kill(Part::ApiServer).unwrap();
    cluster.start(Part::ApiServer).unwrap();
    cluster.wait_until_ready().unwrap();
    let refused = |kind: &ApiKind| kind.last_failure.as_ref().is_some_and(|what| what.contains("401"));
    let all_refused = |api: &Api| api.kinds.iter().all(refused);
    agent.wait_until("the old token is refused", |view| view.api.as_ref().is_some_and(all_refused)).unwrap();
    project(&secrets, "..2", &fresh, &authority).unwrap();
    cluster.apply_lines("service late 10.96.0.12:80 topology=openyurt.io/nodepool").unwrap();
    wait_for("a new Service is known", || {
        Ok(agent.view()?.ready && element(&node, "10.96.0.12:80")?.is_some())
    })
    .unwrap();
}

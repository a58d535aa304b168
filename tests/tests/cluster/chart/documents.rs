//! The commands of an installation, as the documents have them.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use edgeloop_tests::Site;
use edgeloop_tests::cluster::Cluster;
use serde_json::Value;

use super::*;

const DOCUMENTS: [&str; 3] = ["README.md", "docs/install.md", "charts/edgeloop/README.md"];
/// In a block of commands: no test runs them, or one elsewhere.
const NOT_HERE: [&str; 4] =
    ["Not run by us", "Run in tests with pods", "Run in tests with containerd", "Run in tests, with a link"];

/// What the documents have as commands, but for blocks that say that no test runs them.
fn commands(document: &str) -> Vec<String> {
    let path = checkout::folder().unwrap().join(document);
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let lines = blocks.filter(|block| !NOT_HERE.iter().any(|mark| block.contains(mark))).flat_map(str::lines);
    lines
        .map(|line| line.split_once(" # ").map_or(line, |(command, _)| command).trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// In the order of the page, against a real API server, which refuses objects that are none. No pod runs.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn every_helm_command_of_the_documents_works_as_written() {
    let site = Site::new().unwrap();
    let cluster = Cluster::up(&site).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(checkout::folder().unwrap().join("charts"), folder.path().join("charts"))
        .unwrap();
    let path = format!("{}:/usr/bin:/bin", tool("helm").unwrap().parent().unwrap().display());
    let run = |line: &str| {
        let mut shell = cluster.command("/bin/sh");
        shell.args(["-c", line]).current_dir(folder.path()).env("PATH", &path);
        shell.env("KUBECONFIG", cluster.kubeconfig()).env("HELM_CACHE_HOME", cluster.folder());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let daemon_set = "/apis/apps/v1/namespaces/kube-system/daemonsets/edgeloop-agent";
    let agent = || {
        let found = cluster.api().get(daemon_set).unwrap();
        found["spec"]["template"]["spec"]["containers"][0].to_string()
    };
    let mut installed = 0;
    for line in DOCUMENTS.iter().flat_map(|document| commands(document)) {
        // Other lines are those of tests on images, of `helm test`, and of programs that are no part of an
        // installation.
        let is_of_others = line.starts_with("helm test") || line.contains("kubectl apply");
        if !line.starts_with("helm ") || is_of_others {
            continue;
        }
        if line.starts_with("helm install") {
            if installed > 0 {
                // No pods are here that the hook could wait for.
                run("helm uninstall edgeloop --namespace kube-system --no-hooks");
            }
            installed += 1;
        }
        run(&line);
        let proxy = agent().contains("https://127.0.0.1:6444");
        if line.starts_with("helm install") {
            assert_eq!(proxy, line.contains("--set distro=k3s"), "{line}");
        }
        if line.contains("keepLocal") {
            assert!(agent().contains("--topology=kube-system/kube-dns=kubernetes.io/hostname"), "{line}");
        }
    }
    assert_eq!(installed, 4, "README, twice docs/install.md, and the chart's own");
    let files =
        ["edgeloop.yaml", "uninstall.yaml"].map(|name| fs::read_to_string(folder.path().join(name)).unwrap());
    let kinds = files.map(|text| {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        objects.iter().filter(|object| object["kind"] == "DaemonSet" || object["kind"] == "Job").count()
    });
    assert_eq!(kinds, [1, 1]);
}

/// Everything else that a reader would type says that it was not tried, or is known to a test.
#[test]
fn what_no_test_runs_is_marked() {
    for document in ["docs/install.md", "charts/edgeloop/README.md"] {
        for line in commands(document) {
            let tried = ["helm ", "cargo xtask image"];
            assert!(tried.iter().any(|tried| line.starts_with(tried)), "{document}: {line}");
        }
    }
}

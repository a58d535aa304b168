//! What the chart renders, against the schemas of Kubernetes, strictly: a field that a version does not know is an
//! error.

use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::*;

/// The folder of the validators, which `cargo xtask test` installs.
const VALIDATORS: &str = "EDGELOOP_KUBERNETES_VALIDATE";

#[test]
#[ignore = "needs the programs of a control plane, and kubernetes-validate"]
fn what_is_rendered_fits_the_kubernetes_schemas_of_three_versions() {
    let validators = env::var_os(VALIDATORS).map(PathBuf::from).context("cargo xtask test sets it").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for version in VERSIONS {
        // Most objects are the same whatever the values.
        let mut documents = BTreeSet::new();
        for (_, flags) in value_sets(version).unwrap() {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let text = rendered_text(version, &flags).unwrap();
            let of_others = ["kind: PodMonitor", "kind: PrometheusRule"];
            let is_of_kubernetes = |document: &&str| !of_others.iter().any(|kind| document.contains(kind));
            let of_kubernetes = text.split("---\n").filter(is_of_kubernetes);
            documents.extend(of_kubernetes.map(|document| document.trim().to_owned()));
        }
        let all = Vec::from_iter(documents).join("\n---\n");
        let validate = |text: &str| {
            let file = folder.path().join(format!("{version}.yaml"));
            fs::write(&file, text).unwrap();
            // Each release of it knows some versions.
            let release = if version == "1.36.0" { "newer" } else { "older" };
            let mut validate = Command::new("python3");
            validate.env("PYTHONPATH", validators.join(release)).args(["-m", "kubernetes_validate"]);
            validate.args(["--strict", "--quiet", "--kubernetes-version", version]).arg(file);
            validate.output().unwrap()
        };
        let output = validate(&all);
        assert!(output.status.success(), "{version}: {}", String::from_utf8_lossy(&output.stdout));

        let daemon_set = all.split("\n---\n").find(|document| document.contains("maxUnavailable:")).unwrap();
        let broken = daemon_set.replace("maxUnavailable:", "maxUnavailble:");
        assert!(!validate(&broken).status.success(), "{version} lets a field pass that it does not know");
    }
}

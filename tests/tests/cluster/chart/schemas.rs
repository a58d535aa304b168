//! What the chart renders, against the schemas of Kubernetes, strictly: a field that a version does not know is an
//! error.

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
        let mut files = Vec::new();
        for (name, flags) in value_sets(version).unwrap() {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let file = folder.path().join(format!("{version}-{}.yaml", name.replace(' ', "-")));
            fs::write(&file, rendered_text(version, &flags).unwrap()).unwrap();
            files.push(file);
        }
        let validate = |files: &[PathBuf]| {
            // Each release of it knows some versions. The older one has all up to its own.
            let release = if version == "1.36.0" { "newer" } else { "older" };
            let mut validate = Command::new(validators.join(release).join("bin/kubernetes-validate"));
            validate.args(["--strict", "--quiet", "--kubernetes-version", version]).args(files);
            validate.output().unwrap()
        };
        let output = validate(&files);
        assert!(output.status.success(), "{version}: {}", String::from_utf8_lossy(&output.stdout));

        let broken = folder.path().join("broken.yaml");
        let text = fs::read_to_string(&files[0]).unwrap();
        fs::write(&broken, text.replace("maxUnavailable:", "maxUnavailble:")).unwrap();
        assert!(!validate(&[broken]).status.success(), "{version} lets a field pass that it does not know");
    }
}

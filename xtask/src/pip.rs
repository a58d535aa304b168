//! Python's package manager, in an environment of its own that goes again.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::Missing;
use crate::{packages, shell};

/// Python's version: what is fetched may be compiled for it. Installs what an environment takes. `why` ends the sentence
/// "python3-venv is needed …".
pub(crate) fn python(why: &'static str) -> Result<String> {
    let has_venv = || shell::output(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if has_venv().is_err() {
        packages::install(&[Missing { packages: &["python3-venv"], why }])?;
    }
    shell::output(Command::new("python3").arg("--version"))
}

/// Calls `fetch` with a pip that lies in `place`, which has to stay there meanwhile.
pub(crate) fn with_pip(place: &Path, fetch: impl FnOnce(&dyn Fn() -> Command) -> Result<()>) -> Result<()> {
    let environment = place.join("pip");
    shell::output(shell::clean("python3").args(["-m", "venv"]).arg(&environment))?;
    let pip = || {
        let mut pip = shell::clean(environment.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
        pip
    };
    fetch(&pip)?;
    std::fs::remove_dir_all(&environment)
        .with_context(|| format!("could not remove {}", environment.display()))
}

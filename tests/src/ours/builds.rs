//! Other builds of this project, which `cargo xtask` makes. Whole agents it names in the environment.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::checkout;

/// This tree's agent under the next layout version, with the same bytes.
///
/// # Errors
/// When `cargo xtask` did not start this.
pub fn next_layout_agent() -> Result<PathBuf> {
    named("EDGELOOP_NEXT_LAYOUT_AGENT")
}

/// This tree's agent with planted bugs, of which a variable names one.
///
/// # Errors
/// As those of [`next_layout_agent`].
pub fn planted_agent() -> Result<PathBuf> {
    named("EDGELOOP_PLANTED_AGENT")
}

/// The agent of the last landed version, which `tests/previous-build` names.
///
/// # Errors
/// When `cargo xtask` did not start this, or this clone lacks the commit.
pub fn previous_agent() -> Result<PathBuf> {
    named("EDGELOOP_PREVIOUS_AGENT")
}

/// The kernel object of that version.
///
/// # Errors
/// As those of [`previous_agent`].
pub fn previous_object() -> Result<PathBuf> {
    named("EDGELOOP_PREVIOUS_OBJECT")
}

/// A kernel object with a planted bug: a file in `lb-ebpf/target`. It stays in memory to the end, as the agent's
/// own does.
///
/// # Errors
/// When it was not built.
pub fn planted_object(name: &str) -> Result<&'static [u8]> {
    let path = checkout::folder()?.join("lb-ebpf/target").join(name);
    let object = fs::read(&path)
        .with_context(|| format!("no {}: run `cargo xtask build-ebpf --planted` first", path.display()))?;
    Ok(object.leak())
}

/// Whether there is a build of the last landed version.
#[must_use]
pub fn has_previous() -> bool {
    previous_agent().is_ok() && previous_object().is_ok()
}

fn named(variable: &str) -> Result<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    ensure!(
        path.is_some(),
        "{variable} names no file: run this by `cargo xtask`, in a clone with its history"
    );
    Ok(path.unwrap_or_default())
}

//! Other builds of this project, which `cargo xtask` makes and names in the environment.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, ensure};

/// This tree's agent under the next layout version, with the same bytes.
///
/// # Errors
/// When `cargo xtask` did not start this.
pub fn next_layout_agent() -> Result<PathBuf> {
    named("EDGELOOP_NEXT_LAYOUT_AGENT")
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

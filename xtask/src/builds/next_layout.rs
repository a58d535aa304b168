//! This tree's agent under the next layout version, with the same bytes: what an upgrade and a downgrade meet.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::shell;

const NAME: &str = "lb-agent-next-layout";

/// Builds it, and gives a copy that the ordinary build does not replace.
pub(crate) fn agent() -> Result<PathBuf> {
    // With all packages as in the build of the tests, whose dependencies so serve for this one too.
    let arguments = ["build", "--workspace", "--bin", "lb-agent", "--features", "lb-agent/next-layout"];
    shell::run(shell::cargo().args(arguments))?;
    let folder = shell::built("debug")?;
    let (built, copy) = (folder.join("lb-agent"), folder.join(NAME));
    fs::copy(&built, &copy)
        .with_context(|| format!("could not copy {} to {}", built.display(), copy.display()))?;
    Ok(copy)
}

//! This tree's agent with a feature that is never shipped: under the next layout version, with the same bytes, which is what an
//! upgrade and a downgrade meet; or with planted bugs.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::shell;

/// The feature of lb-agent.
#[derive(Clone, Copy)]
pub(super) enum Feature {
    NextLayout,
    Plants,
}

impl Feature {
    const fn name(self) -> &'static str {
        match self {
            Self::NextLayout => "next-layout",
            Self::Plants => "plants",
        }
    }
}

/// Builds it, and gives a copy that the ordinary build does not replace.
pub(super) fn agent(feature: Feature) -> Result<PathBuf> {
    // With all packages as in the build of the tests, whose dependencies so serve for this one too.
    let name = feature.name();
    let arguments = ["build", "--workspace", "--bin", "lb-agent", "--features"];
    shell::run(shell::cargo().args(arguments).arg(format!("lb-agent/{name}")))?;
    let folder = shell::built("debug")?;
    let (built, copy) = (folder.join("lb-agent"), folder.join(format!("lb-agent-{name}")));
    fs::copy(&built, &copy)
        .with_context(|| format!("could not copy {} to {}", built.display(), copy.display()))?;
    Ok(copy)
}

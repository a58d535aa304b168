//! A browser for tests of pages: Chromium without a screen, as Debian has it, with everything that it needs. Unpacked once into
//! the cache, and installed nowhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::debian::{self, Package, Wanted};

/// Where tests find it: the root of a file system.
pub(crate) const VARIABLE: &str = "EDGELOOP_BROWSER_ROOT";
/// Tests that need it lie in a module of this name: without it they are ignored.
pub(crate) const TESTS: &str = "browser::";

/// Folders that no package has and a process wants.
const MADE: [&str; 3] = ["proc", "dev", "tmp"];

/// The root, or why it cannot be had.
pub(crate) fn get() -> Result<PathBuf, String> {
    install().map_err(|error| format!("the browser cannot be fetched: {error:#}"))
}

fn install() -> Result<PathBuf> {
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let packages = [Package::Whole("chromium-headless-shell")];
    let name = "browser".to_owned();
    let wanted = Wanted { name, arch, suites: &["bookworm"], packages: &packages, kept: &MADE };
    let keep = |unpacked: &Path, kept: &Path| {
        let read = || format!("could not read {}", unpacked.display());
        for entry in fs::read_dir(unpacked).with_context(read)? {
            let from = entry.with_context(read)?.path();
            let to = kept.join(from.file_name().context("a path without a name")?);
            fs::rename(&from, to).with_context(|| format!("could not keep {}", from.display()))?;
        }
        for folder in MADE.map(|name| kept.join(name)) {
            fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        }
        Ok(())
    };
    Ok(debian::kept(&debian::get(&wanted, keep)?))
}

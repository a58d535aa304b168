//! Where the files of this project lie, when a test or a program runs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// In the folder of the workspace and in no folder above it.
const SIGN: &str = "xtask/Cargo.toml";

/// The folder of the workspace, found from the package that cargo runs, from this program's file,
/// or from the folder that it is called in.
///
/// Not a path of the time when this was compiled: in a checkout that was copied with its `target`
/// folder, that is a path into the old one.
///
/// # Errors
/// When none of them lies in a checkout.
pub fn folder() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let starts = [package, env::current_exe().ok(), env::current_dir().ok()];
    let found = starts.iter().flatten().find_map(|start| above(start));
    found.map(Path::to_path_buf).context("this program does not run in a checkout of Edgeloop: call it there")
}

fn above(start: &Path) -> Option<&Path> {
    start.ancestors().find(|folder| folder.join(SIGN).is_file())
}

/// The cargo that runs this, without what it said of this package: build programs such as ring's run again
/// when that changes, and everything that depends on them is built again.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")) {
        cargo.env_remove(name);
    }
    cargo
}

/// Whether `cargo xtask` has built every program already, and no test needs to.
pub(crate) fn is_built() -> bool {
    env::var_os("EDGELOOP_BUILT").is_some()
}

/// A program that cargo built next to this one, or one folder up from it: tests run in `deps/`.
///
/// # Errors
/// When it is not there.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("could not find where this program lies")?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("the program {name} is not built: run the verb of `cargo xtask` again"))
}

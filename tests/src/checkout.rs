//! Where the files of this project lie, when a test or a program runs.

use std::env;
use std::path::{Path, PathBuf};

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

/// A program that cargo built next to this one, or one folder up from it: tests run in `deps/`.
///
/// # Errors
/// When it is not there.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("could not find where this program lies")?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("the program {name} is not built: run the verb of `cargo xtask` again"))
}

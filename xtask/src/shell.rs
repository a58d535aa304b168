//! Small things around other programs: where they are, running them, who we are.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, Result, bail};

use crate::signals;

/// What `cargo run` and rustup put into our environment, and what a user set for the host's build.
/// None of it is meant for a build with another toolchain or target.
const HOST_BUILD: [&str; 14] = [
    "CARGO",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
];

/// How the variables begin that `cargo run` sets for one package.
const OF_PACKAGE: [&str; 5] =
    ["CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_MANIFEST_", "CARGO_PKG_", "OUT_DIR"];

/// The folder of the workspace: that of the package which cargo runs, else the one we are called in.
///
/// Not a path of the time when this program was compiled: a checkout that is copied with its `target`
/// folder would build the old one.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = package.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    root.or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}

/// The cargo that called us, to be run in the workspace as a user would run it.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What it said of this package. Build programs such as ring's run again when it changes.
    for (name, _) in std::env::vars_os() {
        let is_of_package =
            name.to_str().is_some_and(|name| OF_PACKAGE.iter().any(|of| name.starts_with(of)));
        if is_of_package {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The folder that cargo puts programs of this profile into: next to our own.
pub(crate) fn built(profile: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("could not find where this program lies")?;
    let target = own.ancestors().nth(2).context("this program does not lie where cargo puts it")?;
    Ok(target.join(profile))
}

/// The folder that cargo builds the workspace in.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `program`, with nothing in its environment that was meant for the build of this tool.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in HOST_BUILD {
        command.env_remove(name);
    }
    command
}

/// Runs to the end, its output shown; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = wait_after(start(command)?, || ())?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

pub(crate) fn start(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("could not start {}", shown(command)))
}

/// Does something, such as reading its output, and waits for its end. Signals are passed on to it
/// all the while; an error when one came.
pub(crate) fn wait_after(mut child: Child, first: impl FnOnce()) -> Result<ExitStatus> {
    let _guard = signals::to(child.id());
    first();
    let status = child.wait().context("could not wait for a program")?;
    if signals::asked_to_end() {
        bail!("stopped");
    }
    Ok(status)
}

/// Becomes the program, which so gets our terminal and our signals. Comes back only with an error.
pub(crate) fn become_program(command: &mut Command) -> anyhow::Error {
    anyhow::Error::new(command.exec()).context(format!("could not start {}", shown(command)))
}

/// Runs to the end and gives what it wrote to its standard output, without blanks around it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("could not start {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// A command as a user would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Every file of this name in the folders of `PATH`, and in those where system tools lie.
pub(crate) fn programs(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut found = Vec::new();
    for folder in std::env::split_paths(&path).chain(system) {
        let file = folder.join(name);
        if file.is_file() && !found.contains(&file) {
            found.push(file);
        }
    }
    found
}

/// Whether our effective user is root: `/proc/self` belongs to it.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

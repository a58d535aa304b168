//! bpf-linker: built once for the LLVM at hand, and kept in a cache outside of the workspace.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::packages::Missing;
use crate::{cache, shell};

pub(super) const VERSION: &str = "0.13.0";
const FEATURE: &str = "llvm-22";
pub(crate) const LLVM_MAJOR: u32 = 22;
const DEBIAN_LLVM: &str = "/usr/lib/llvm-22";

pub(crate) const PACKAGES: Missing = Missing {
    packages: &["llvm-22-dev", "llvm-22"],
    why: "to build bpf-linker, which links for the kernel, and to strip what it makes",
};

/// What links the object, and what takes the debug information out of it.
pub(crate) struct Linker {
    pub(crate) program: PathBuf,
    pub(crate) llvm_strip: PathBuf,
}

/// Whether the LLVM that the linker is built with is here.
pub(crate) fn has_llvm() -> bool {
    ["llvm-config", "llvm-strip"].iter().all(|name| llvm_program(name).is_file())
        && llvm().join("include/llvm-c/Core.h").is_file()
}

/// The linker of our version: the one in PATH, the one in the cache, or one built now.
pub(crate) fn get() -> Result<Linker> {
    let llvm_strip = llvm_program("llvm-strip");
    let in_path = shell::programs("bpf-linker").into_iter().find(|program| is_ours(program));
    let program = match in_path {
        Some(program) => program,
        None => cached()?,
    };
    Ok(Linker { program, llvm_strip })
}

/// `LLVM_PREFIX` where LLVM is not where Debian puts it.
fn llvm() -> PathBuf {
    std::env::var_os("LLVM_PREFIX").map_or_else(|| DEBIAN_LLVM.into(), PathBuf::from)
}

fn llvm_program(name: &str) -> PathBuf {
    llvm().join("bin").join(name)
}

fn is_ours(program: &Path) -> bool {
    shell::output(shell::clean(program).arg("--version")).is_ok_and(|said| said.ends_with(VERSION))
}

fn cached() -> Result<PathBuf> {
    let llvm_version = shell::output(shell::clean(llvm_program("llvm-config")).arg("--version"))?;
    if llvm_version.split('.').next() != Some(&LLVM_MAJOR.to_string()) {
        bail!("{} is LLVM {llvm_version}; bpf-linker is built with LLVM {LLVM_MAJOR}", llvm().display());
    }
    let tools = cache::tools()?;
    let _lock = cache::lock(&tools.join("build.lock"))?;
    let folder = tools.join(key(&llvm_version));
    let program = folder.join("bin/bpf-linker");
    if !is_ours(&program) {
        eprintln!("Building bpf-linker {VERSION} with LLVM {llvm_version}, once, into {}", folder.display());
        cache::install(&folder, build)?;
    }
    Ok(program)
}

/// A folder name that changes with all that the linker is built from.
fn key(llvm_version: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (VERSION, FEATURE, llvm_version, llvm(), std::env::consts::ARCH).hash(&mut hasher);
    format!("bpf-linker-{VERSION}-{:016x}", hasher.finish())
}

/// Builds into `place`.
fn build(place: &Path) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Cargo warns where it installs into a folder outside of PATH.
    let first = [llvm().join("bin"), place.join("bin")];
    let path = std::env::join_paths(first.into_iter().chain(std::env::split_paths(&path)))?;
    let mut cargo = shell::clean("cargo");
    cargo
        .current_dir(std::env::temp_dir())
        .args(["install", "--locked", "bpf-linker", "--version", VERSION])
        .args(["--no-default-features", "--features", FEATURE, "--no-track", "--root"])
        .arg(place)
        .env("LLVM_PREFIX", llvm())
        .env("PATH", path);
    shell::run(&mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_llvm_is_another_folder() {
        assert_eq!(key("22.1.8"), key("22.1.8"));
        assert_ne!(key("22.1.8"), key("22.1.9"));
    }
}

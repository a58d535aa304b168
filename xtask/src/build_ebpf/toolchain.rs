//! Which rustc builds for the kernel: the first that works.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::Missing;
use crate::{build_ebpf::linker, shell};

/// Little-endian BPF.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Names a rustc that comes before all others.
const CHOICE: &str = "EDGELOOP_EBPF_RUSTC";

pub(crate) const PACKAGES: Missing = Missing {
    packages: &["rustc-web", "libstd-rust-web-dev-bpf"],
    why: "to compile for the kernel: a rustc with `core` for bpfel-unknown-none",
};

/// A compiler for the kernel.
pub(crate) enum Toolchain {
    /// rustup's nightly, which builds `core` itself from its `rust-src`.
    Nightly { version: String },
    /// A rustc whose sysroot holds `core` for the kernel.
    Sysroot { rustc: PathBuf, version: String },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Toolchain::Nightly { version } => {
                write!(f, "rustup's nightly ({version}, builds core from rust-src)")
            }
            Toolchain::Sysroot { rustc, version } => write!(f, "{} ({version})", rustc.display()),
        }
    }
}

impl Toolchain {
    /// A cargo that compiles with this toolchain.
    pub(crate) fn cargo(&self) -> Command {
        match self {
            Toolchain::Nightly { .. } => {
                let mut cargo = shell::clean("rustup");
                cargo.env_remove("RUSTUP_TOOLCHAIN").args(["run", "nightly", "cargo", "-Zbuild-std=core"]);
                cargo
            }
            Toolchain::Sysroot { rustc, .. } => {
                // The program name, not `CARGO`: a wrapper in PATH is respected.
                let mut cargo = shell::clean("cargo");
                // The kernel's target is unstable in every release of rustc.
                cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
        }
    }
}

/// 1. The rustc that `EDGELOOP_EBPF_RUSTC` names; if it does not work, an error.
/// 2. rustup's nightly with `rust-src`.
/// 3. Any rustc in PATH whose sysroot has the target, such as that of Debian's rustc-web.
///
/// One whose LLVM is newer than the linker's is passed over: its bitcode could not be read.
pub(crate) fn find() -> Result<Option<Toolchain>> {
    if let Some(rustc) = std::env::var_os(CHOICE) {
        let rustc = PathBuf::from(rustc);
        let version = with_sysroot(&rustc).with_context(|| format!("{CHOICE} does not work"))?;
        return Ok(Some(Toolchain::Sysroot { rustc, version }));
    }
    if let Ok(version) = nightly() {
        return Ok(Some(Toolchain::Nightly { version }));
    }
    let found = shell::programs("rustc")
        .into_iter()
        .find_map(|rustc| with_sysroot(&rustc).ok().map(|version| Toolchain::Sysroot { rustc, version }));
    Ok(found)
}

fn nightly() -> Result<String> {
    let rustc = || {
        let mut rustc = shell::clean("rustup");
        rustc.env_remove("RUSTUP_TOOLCHAIN").args(["run", "nightly", "rustc"]);
        rustc
    };
    let sysroot = shell::output(rustc().args(["--print", "sysroot"]))?;
    let source = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core");
    if !source.is_dir() {
        bail!("the nightly has no rust-src");
    }
    version_for_linker(&shell::output(rustc().arg("-vV"))?)
}

fn with_sysroot(rustc: &Path) -> Result<String> {
    let sysroot = shell::output(shell::clean(rustc).args(["--print", "sysroot"]))?;
    let core = Path::new(&sysroot).join("lib/rustlib").join(TARGET);
    if !core.is_dir() {
        bail!("{} has no `core` for {TARGET}: {} is missing", rustc.display(), core.display());
    }
    version_for_linker(&shell::output(shell::clean(rustc).arg("-vV"))?)
}

/// The first line of `rustc -vV`, unless its LLVM is too new for the linker.
fn version_for_linker(verbose: &str) -> Result<String> {
    let llvm = verbose.lines().find_map(|line| line.strip_prefix("LLVM version: ")).unwrap_or_default();
    let major: u32 =
        llvm.split('.').next().unwrap_or_default().parse().context("rustc does not name its LLVM")?;
    if major > linker::LLVM_MAJOR {
        bail!("its LLVM {llvm} is newer than the linker's, {}", linker::LLVM_MAJOR);
    }
    Ok(verbose.lines().next().unwrap_or_default().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_newer_than_the_linker_is_passed_over() {
        let rustc = |llvm: &str| format!("rustc 1.96.0 (abc 2026-05-01)\nhost: x\nLLVM version: {llvm}\n");
        assert_eq!(version_for_linker(&rustc("22.1.8")).unwrap(), "rustc 1.96.0 (abc 2026-05-01)");
        assert_eq!(version_for_linker(&rustc("19.1.0")).unwrap(), "rustc 1.96.0 (abc 2026-05-01)");
        assert!(version_for_linker(&rustc("23.0.0")).is_err());
        assert!(version_for_linker("rustc 1.96.0").is_err());
    }
}

//! The agent without a library that it would have to find: for an image that holds nothing else.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::packages::{Missing, add_architecture, install};
use crate::shell;

use super::Arch;

/// The Rust of Debian's that has a standard library for the other processor; rustup's may not be reached.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const ARM_LINKER: &str = "aarch64-linux-gnu-gcc";

const ARM: [Missing; 2] = [
    Missing {
        packages: &["rustc-web", "libstd-rust-web-dev:arm64"],
        why: "to compile for arm64 (a compiler, and its standard library)",
    },
    Missing {
        packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        why: "to compile for arm64 (the C in ring, and linking)",
    },
];

/// Where images and the programs in them lie.
pub(super) fn folder() -> PathBuf {
    shell::root().join("target/image")
}

/// Compiles it, and gives its path.
pub(super) fn program(arch: Arch) -> Result<PathBuf> {
    let (target, rustc) = match arch {
        Arch::Amd64 => ("x86_64-unknown-linux-gnu", None),
        Arch::Arm64 => ("aarch64-unknown-linux-gnu", Some(DEBIAN_RUSTC)),
    };
    if arch == Arch::Arm64 {
        add_architecture("arm64")?;
        install(&ARM.iter().copied().filter(is_missing).collect::<Vec<_>>())?;
    }
    let mut cargo = shell::cargo();
    cargo
        .args(["build", "--release", "--locked", "-p", "lb-agent", "--target", target, "--target-dir"])
        .arg(folder())
        // Half a megabyte less than by thin LTO, which all other builds have for its speed.
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    if let Some(rustc) = rustc {
        cargo
            .env("RUSTC", rustc)
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", ARM_LINKER)
            .env("CC_aarch64_unknown_linux_gnu", ARM_LINKER);
    }
    shell::run(&mut cargo)?;
    Ok(folder().join(target).join("release/lb-agent"))
}

fn is_missing(of: &Missing) -> bool {
    let is_here = |package: &&str| match *package {
        "libstd-rust-web-dev:arm64" => {
            Path::new("/usr/lib/rust-web/lib/rustlib/aarch64-unknown-linux-gnu").exists()
                || Path::new("/usr/lib/rustlib/aarch64-unknown-linux-gnu").exists()
        }
        "rustc-web" => Path::new(DEBIAN_RUSTC).exists(),
        "gcc-aarch64-linux-gnu" => !shell::programs(ARM_LINKER).is_empty(),
        _ => Path::new("/usr/aarch64-linux-gnu/include").exists(),
    };
    !of.packages.iter().all(is_here)
}

//! `cargo xtask build-ebpf`: the kernel object, from a toolchain that may have to be found first.

mod btf;
mod linker;
mod object;
mod toolchain;
mod without_log;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{cache, packages, shell};
use linker::Linker;
use toolchain::Toolchain;

#[derive(clap::Args, Clone, Copy, Default)]
pub(crate) struct Arguments {
    /// Also build the objects with planted bugs, which the proofs must catch.
    #[arg(long)]
    pub(crate) planted: bool,
    /// Also build the reference shapes of `bench connect`.
    #[arg(long)]
    pub(crate) reference: bool,
    /// Also build the object of a tree without the programs' log, which the ordinary one has to equal.
    #[arg(long)]
    pub(crate) without_log: bool,
}

/// One object: which crate it comes from, with which features, and its name in `lb-ebpf/target`.
#[derive(Clone, Copy)]
struct Build {
    folder: &'static str,
    binary: &'static str,
    features: &'static [&'static str],
    object: &'static str,
}

const EDGELOOP: Build = Build { folder: "lb-ebpf", binary: "lb-ebpf", features: &[], object: "edgeloop.o" };
/// Besides, for who looks for a fault: with lines for each call.
const LOGGING: Build = Build { features: &["program-log"], object: "edgeloop-log.o", ..EDGELOOP };
/// Not of this tree, but of one without a line of the log.
const WITHOUT_LOG: Build = Build { object: "edgeloop-without-log.o", ..EDGELOOP };
const PLANTED: [Build; 14] = [
    Build { features: &["plant-slow-look"], object: "edgeloop-slow-look.o", ..EDGELOOP },
    Build { features: &["plant-slow-look", "plant-no-check"], object: "edgeloop-no-check.o", ..EDGELOOP },
    Build { features: &["plant-no-epoch"], object: "edgeloop-no-epoch.o", ..EDGELOOP },
    Build { features: &["plant-slow"], object: "edgeloop-slow.o", ..EDGELOOP },
    Build { features: &["plant-slow", "plant-no-revision"], object: "edgeloop-no-revision.o", ..EDGELOOP },
    Build { features: &["plant-mark-alone"], object: "edgeloop-mark-alone.o", ..EDGELOOP },
    Build { features: &["plant-mapped-by-third-word"], object: "edgeloop-third-word.o", ..EDGELOOP },
    Build { features: &["plant-connected-first"], object: "edgeloop-connected-first.o", ..EDGELOOP },
    Build {
        features: &["plant-record-after-rewrite"],
        object: "edgeloop-record-after-rewrite.o",
        ..EDGELOOP
    },
    Build { features: &["plant-skip-on-misses"], object: "edgeloop-skip-on-misses.o", ..EDGELOOP },
    Build { features: &["plant-newest-shown"], object: "edgeloop-newest-shown.o", ..EDGELOOP },
    Build { features: &["plant-affinity-left"], object: "edgeloop-affinity-left.o", ..EDGELOOP },
    Build { features: &["plant-affinity-slot"], object: "edgeloop-affinity-slot.o", ..EDGELOOP },
    Build { features: &["plant-affinity-forever"], object: "edgeloop-affinity-forever.o", ..EDGELOOP },
];
/// From this one on they are built beside the others, after [`WITHOUT_LOG`]; the others after [`LOGGING`] and [`EDGELOOP`].
const BESIDE: usize = 7;
const REFERENCE: Build =
    Build { folder: "tests/reference-ebpf", binary: "reference-ebpf", features: &[], object: "reference.o" };

/// Whether the crate of the reference shapes is here.
pub(crate) fn has_reference() -> bool {
    shell::root().join(REFERENCE.folder).is_dir()
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { planted, reference, without_log } = *arguments;
    let mut wanted = vec![LOGGING, EDGELOOP];
    // One build keeps hardly more than one processor busy, so that there are two at a time, each in a folder of its own.
    let (here, beside) = if planted { PLANTED.split_at(BESIDE) } else { Default::default() };
    wanted.extend_from_slice(here);
    if reference {
        wanted.push(REFERENCE);
    }
    let compiler = Compiler::get()?;
    let (root, target) = (shell::root(), target());
    let build_beside = || {
        if without_log {
            // Paths in it are replaced by others: in one place with the ordinary object both would be built again each time.
            let source = without_log::source()?;
            build(&source, &[WITHOUT_LOG], &compiler, &target, &source.join("target"))?;
        }
        build(&root, beside, &compiler, &target, &target.join("beside"))
    };
    std::thread::scope(|scope| {
        let beside = scope.spawn(build_beside);
        let built = build(&root, &wanted, &compiler, &target, &target);
        built.and(beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Builds the kernel object of the tree at `source` elsewhere, into the folder `into`.
pub(crate) fn object_of(source: &Path, compiler: &Compiler, into: &Path) -> Result<()> {
    build(source, &[EDGELOOP], compiler, into, &target())
}

/// What compiles and links for the kernel.
pub(crate) struct Compiler {
    toolchain: Toolchain,
    linker: Linker,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, bpf-linker {}", self.toolchain, linker::VERSION)
    }
}

/// Where the objects are put.
fn target() -> PathBuf {
    shell::root().join("lb-ebpf/target")
}

/// Builds from the tree at `source` in the folder `target`, and puts the objects into the folder `into`.
fn build(source: &Path, wanted: &[Build], compiler: &Compiler, into: &Path, target: &Path) -> Result<()> {
    for folder in [target, into] {
        std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    }
    let _lock = cache::lock(&target.join("build.lock"))?;
    for build in wanted {
        let built = compile(source, build, compiler, target)?;
        let object = into.join(build.object);
        let size = object::finish(&built, &object, &compiler.linker.llvm_strip)?;
        eprintln!("{}: {size} bytes, built with {}", object.display(), compiler.toolchain);
    }
    Ok(())
}

impl Compiler {
    /// After the packages that it lacks were installed.
    pub(crate) fn get() -> Result<Self> {
        let mut missing = Vec::new();
        let found = toolchain::find()?;
        if found.is_none() {
            missing.push(toolchain::PACKAGES);
        }
        if !linker::has_llvm() {
            missing.push(linker::PACKAGES);
        }
        packages::install(&missing)?;
        let toolchain = match found {
            Some(found) => found,
            None => toolchain::find()?
                .context("the packages are installed, but no rustc builds for the kernel")?,
        };
        Ok(Self { toolchain, linker: linker::get()? })
    }
}

/// Compiles one crate for the kernel, and gives the file that came out.
fn compile(source: &Path, build: &Build, compiler: &Compiler, target: &Path) -> Result<PathBuf> {
    let mut cargo = compiler.toolchain.cargo();
    cargo
        .current_dir(source.join(build.folder))
        .args(["build", "--release", "--locked", "--target", toolchain::TARGET, "--bin", build.binary])
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &compiler.linker.program)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(source));
    if !build.features.is_empty() {
        cargo.args(["--features", &build.features.join(",")]);
    }
    shell::run(&mut cargo)?;
    Ok(target.join(toolchain::TARGET).join("release").join(build.binary))
}

/// Debug information becomes BTF, without which the maps cannot be made; it names files, which
/// are to read the same wherever they were built. `v2` is the newest instruction set that every
/// kernel since 5.10 accepts.
fn rustflags(source: &Path) -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.map(|home| format!("--remap-path-prefix={}=cargo", home.display()));
    let flags = [
        r#"--cfg=bpf_target_arch="x86_64""#.to_string(),
        "-Cdebuginfo=2".to_string(),
        "-Clink-arg=--btf".to_string(),
        "-Ctarget-cpu=v2".to_string(),
        format!("--remap-path-prefix={}=edgeloop", source.display()),
    ];
    flags.into_iter().chain(home).collect::<Vec<_>>().join("\u{1f}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_planted_bug_of_the_programs_is_in_an_object_of_its_own_name() {
        let manifest = std::fs::read_to_string(shell::root().join("lb-ebpf/Cargo.toml")).unwrap();
        let features = manifest.lines().filter(|line| line.starts_with("plant-"));
        let features: BTreeSet<&str> = features.filter_map(|line| line.split_whitespace().next()).collect();
        let built: BTreeSet<&str> = PLANTED.iter().flat_map(|build| build.features).copied().collect();
        assert_eq!(built, features);
        let names: BTreeSet<&str> = PLANTED.iter().map(|build| build.object).collect();
        assert_eq!(names.len(), PLANTED.len());
        assert!(!names.contains(EDGELOOP.object), "it would be embedded in the agent");
    }
}

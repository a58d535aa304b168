//! `cargo xtask image`: the agent as an image that holds nothing else.

mod compare;
mod compile;
mod oci;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{build_ebpf, shell};
use oci::{Image, Packed, pack};

/// The program alone takes at most this; the image holds it packed.
const AT_MOST: u64 = 12 << 20;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The processor that it is for.
    #[arg(long, value_enum, default_value_t)]
    arch: Arch,
    /// Where the archive goes, instead of `target/image/edgeloop-VERSION-ARCH.tar`.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run `plan` on the tutorial with it, under qemu where it is for another processor, and compare the answer with
    /// this machine's own agent's.
    #[arg(long)]
    compare: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arch {
    #[default]
    Amd64,
    Arm64,
}

impl Arch {
    /// As images name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// What passes the archive of [`build`] to programs.
pub(crate) const VARIABLE: &str = "EDGELOOP_IMAGE";

struct Built {
    file: PathBuf,
    packed: Packed,
    /// Of the program, in bytes.
    size: u64,
    program: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { arch, output, compare } = arguments;
    let Built { file, packed, size, program } = make(*arch, output.clone())?;
    writeln!(
        std::io::stdout(),
        "{}: {:.1} MB, of which the program takes {:.1} MB unpacked\n{} {}",
        file.display(),
        packed.archive.len() as f64 / 1e6,
        size as f64 / 1e6,
        oci::NAME,
        packed.digest,
    )
    .context("could not say where it is")?;
    if *compare {
        let nodes = compare::plans(*arch, &program)?;
        writeln!(
            std::io::stdout(),
            "Its plan of examples/tutorial is this machine's own, for all {nodes} nodes",
        )
        .context("could not say how it compares")?;
    }
    Ok(())
}

/// Makes the image for this kind of processor, and gives the archive's path.
pub(crate) fn build() -> Result<PathBuf> {
    Ok(make(Arch::default(), None)?.file)
}

fn make(arch: Arch, output: Option<PathBuf>) -> Result<Built> {
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    let program = compile::program(arch)?;
    let bytes = fs::read(&program).with_context(|| format!("could not read {}", program.display()))?;
    let size = bytes.len() as u64;
    anyhow::ensure!(
        size <= AT_MOST,
        "the program has {size} bytes, {AT_MOST} are the most: see what it has grown by (`cargo bloat`)"
    );
    let version = env!("CARGO_PKG_VERSION");
    let file =
        output.unwrap_or_else(|| compile::folder().join(format!("edgeloop-{version}-{}.tar", arch.name())));
    let image = Image {
        arch: arch.name(),
        version,
        revision: commit("%H"),
        seconds: commit("%ct").and_then(|seconds| seconds.parse().ok()).unwrap_or(0),
        program: bytes,
        license: fs::read(shell::root().join("LICENSE")).context("could not read LICENSE")?,
    };
    let packed = pack(&image)?;
    fs::write(&file, &packed.archive).with_context(|| format!("could not write {}", file.display()))?;
    Ok(Built { file, packed, size, program })
}

/// Of the checkout's newest commit; nothing without git.
fn commit(format: &str) -> Option<String> {
    let mut git = shell::clean("git");
    git.current_dir(shell::root()).args(["log", "-1", "--no-show-signature", &format!("--format={format}")]);
    shell::output(&mut git).ok()
}

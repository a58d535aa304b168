//! `cargo xtask vm`: tests on another kernel, in an emulated machine.

mod arch;
mod cpio;
mod disk;
mod guest;
mod job;
mod kernels;
mod qemu;
mod tier;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use crate::build_ebpf;
use crate::machine;
use crate::shell;
use crate::test::{self, Binary, Counts};
use arch::Arch;
use disk::Disks;
use guest::Guest;
use job::Job;
use kernels::{Booted, Kernel};
use qemu::{Bounds, Machine, Qemu};

pub(crate) use tier::check;

/// In MiB: for tests that have 10,000 Services, and twice what is unpacked into memory.
const MEMORY: u32 = 2048;
/// The same with the programs of a control plane, which run, too.
const MEMORY_OF_CLUSTERS: u32 = 4096;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    kernel: Kernel,
    /// Another processor is emulated: that shows what programs do, not in which order memory is seen.
    #[arg(long, default_value = "amd64")]
    arch: Arch,
    /// Seconds until the machine is switched off.
    #[arg(long, value_name = "N", default_value_t = 3600)]
    seconds: u32,
    /// Services of the machine that reboots, in the tier `vm`.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(3..=60_000))]
    services: u32,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a tier of tests there.
    Test {
        tier: Tier,
        /// Passed on to the test binary, such as a part of a test's name.
        #[arg(last = true)]
        rest: Vec<String>,
    },
}

/// Those that need nothing of this machine but its kernel.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Kernel,
    Agent,
    /// With the programs of a control plane, and what kube-proxy writes to.
    Cluster,
    /// A machine that reboots, with nothing else on it.
    Vm,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { kernel, arch, seconds, services, verb: Verb::Test { tier, rest } } = arguments;
    if *arch == Arch::Arm64 {
        bail!("the tests are built for the processor of this machine alone: only --arch amd64 can run them");
    }
    let planted = *tier == Tier::Kernel;
    build_ebpf::run(&build_ebpf::Arguments { planted, ..build_ebpf::Arguments::default() })?;
    if *tier == Tier::Cluster {
        machine::install_proxy_tools()?;
    }
    let Some(binaries) = test::build()? else { bail!("the tests do not build: see above") };
    let jobs = tier.jobs(rest)?;
    let counts = Place::get(*kernel, *arch)?.run(
        &binaries,
        &jobs,
        Bounds { seconds: *seconds, services: *services },
    )?;
    Ok(test::say(&counts))
}

/// A kernel and what emulates a machine for it.
struct Place {
    kernel: Kernel,
    arch: Arch,
    booted: Booted,
    qemu: Qemu,
    disks: Disks,
}

impl Place {
    /// Fetches what is not in the cache.
    fn get(kernel: Kernel, arch: Arch) -> Result<Self> {
        if std::env::consts::ARCH != "x86_64" {
            bail!("machines are emulated on x86-64 alone");
        }
        let disks = Disks::get()?;
        Ok(Self { kernel, arch, booted: kernel.get(arch)?, qemu: Qemu::get(arch)?, disks })
    }

    fn run(&self, binaries: &[Binary], jobs: &[Job], bounds: Bounds) -> Result<Counts> {
        let name = format!("{}-{}-{}", self.kernel.name(), self.arch.name(), std::process::id());
        let folder = shell::built("vm")?.join(name);
        let done = self.run_in(&folder, binaries, jobs, bounds);
        std::fs::remove_dir_all(&folder).with_context(|| format!("could not remove {}", folder.display()))?;
        done
    }

    fn run_in(
        &self,
        folder: &std::path::Path,
        binaries: &[Binary],
        jobs: &[Job],
        bounds: Bounds,
    ) -> Result<Counts> {
        let mut guest = Guest::new(&self.booted, folder)?;
        job::fill(&mut guest, &self.booted, binaries, jobs)?;
        let initramfs = guest.write()?;
        let disk = self.disks.make(folder)?;
        let mut counts = Counts::default();
        for boot in job::boots(jobs) {
            let has_cluster = jobs.iter().any(|job| job.needs_cluster());
            let memory = if has_cluster { MEMORY_OF_CLUSTERS } else { MEMORY };
            let kernel = self.booted.image.as_path();
            let machine = Machine { kernel, initramfs: &initramfs, disk: &disk, boot, memory, bounds };
            let ended = self.qemu.run(&machine, |line| counts.read(line))?;
            if ended != Some(0) && counts.failed.is_empty() {
                let how = ended.map_or_else(|| "no result".to_owned(), |code| format!("exit code {code}"));
                counts.failed.push(format!("tests on Linux {}, boot {boot}: {how}", self.kernel.name()));
            }
        }
        Ok(counts)
    }
}

impl Tier {
    const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Agent => "agent",
            Self::Cluster => "cluster",
            Self::Vm => "vm",
        }
    }

    /// What runs in which boot.
    fn jobs(self, rest: &[String]) -> Result<Vec<Job>> {
        let job = |boot, arguments| Job { boot, tier: self.name(), arguments };
        match self {
            Self::Kernel | Self::Agent | Self::Cluster => Ok(vec![job(1, rest.to_vec())]),
            Self::Vm if rest.is_empty() => {
                Ok((1..).zip(tier::BOOTS).map(|(boot, part)| job(boot, vec![part.to_owned()])).collect())
            }
            Self::Vm => bail!("tests of one boot need what those of the boot before left: name none"),
        }
    }
}

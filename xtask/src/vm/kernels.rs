//! The kernels that a machine can be booted with, and the modules of each that tests need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};

use super::arch::Arch;
use crate::debian::{self, Package, Wanted};
use crate::shell;

/// As Debian has them, each the newest of its release.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Debian 11: the oldest that Edgeloop promises to run on.
    #[value(name = "5.10")]
    V5_10,
    /// Debian 12.
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12 with backports.
    #[value(name = "6.12")]
    V6_12,
    /// 6.12 with `PREEMPT_RT`.
    Rt,
}

/// What tests need that is a module: pods hang on a bridge, sockets are listed and ended, a disk outlives a reboot.
const MODULES: [&str; 10] = [
    "veth",
    "bridge",
    "dummy",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "virtio_pci",
    "virtio_blk",
    // ext4 asks for it by another name than its own.
    "crc32c_generic",
    "ext4",
];

/// What kube-proxy writes to in all of its modes, by `iptables` over nftables. Loaded for the tier `cluster` alone.
const NETFILTER: [&str; 31] = [
    "nf_conntrack",
    "nf_conntrack_netlink",
    "nf_nat",
    "nf_tables",
    "nft_chain_nat",
    "nft_compat",
    "nft_ct",
    "nft_fib_ipv4",
    "nft_fib_ipv6",
    "nft_masq",
    "nft_nat",
    "nft_numgen",
    "nft_reject_ipv4",
    "nft_reject_ipv6",
    "ipt_REJECT",
    "ip6t_REJECT",
    "xt_MASQUERADE",
    "xt_addrtype",
    "xt_comment",
    "xt_conntrack",
    "xt_mark",
    "xt_nat",
    "xt_set",
    "xt_statistic",
    "xt_tcpudp",
    "ip_set_bitmap_port",
    "ip_set_hash_ip",
    "ip_set_hash_ipport",
    "ip_set_hash_ipportip",
    "ip_set_hash_ipportnet",
    "ip_vs_rr",
];

/// What boots.
pub(crate) struct Booted {
    pub(crate) image: PathBuf,
    /// In the order of loading.
    pub(crate) modules: Vec<PathBuf>,
    /// To be loaded after those, where kube-proxy is to run.
    pub(crate) netfilter: Vec<PathBuf>,
    pub(crate) busybox: PathBuf,
}

impl Kernel {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Rt => "rt",
        }
    }

    const fn suites(self) -> &'static [&'static str] {
        match self {
            Self::V5_10 => &["bullseye"],
            Self::V6_1 => &["bookworm"],
            Self::V6_12 | Self::Rt => &["bookworm-backports", "bookworm"],
        }
    }

    const fn package(self, arch: Arch) -> &'static str {
        match (self, arch) {
            (Self::Rt, Arch::Amd64) => "linux-image-rt-amd64",
            (Self::Rt, Arch::Arm64) => "linux-image-rt-arm64",
            (Self::V5_10 | Self::V6_1 | Self::V6_12, Arch::Amd64) => "linux-image-cloud-amd64",
            (Self::V5_10 | Self::V6_1 | Self::V6_12, Arch::Arm64) => "linux-image-cloud-arm64",
        }
    }

    pub(crate) fn get(self, arch: Arch) -> Result<Booted> {
        let modules: Vec<&str> = MODULES.into_iter().chain(NETFILTER).collect();
        let packages = [Package::Newest(self.package(arch)), Package::Single("busybox-static")];
        let wanted = Wanted {
            name: format!("linux-{}", self.name()),
            arch: arch.name(),
            suites: self.suites(),
            packages: &packages,
            kept: &modules,
        };
        let kept = debian::kept(&debian::get(&wanted, keep)?);
        Ok(Booted {
            image: kept.join("vmlinuz"),
            modules: files_in(&kept.join("modules"))?,
            netfilter: files_in(&kept.join("netfilter"))?,
            busybox: kept.join("busybox"),
        })
    }
}

/// The kernel, busybox, and the modules with those that they need, named in the order of loading.
fn keep(unpacked: &Path, kept: &Path) -> Result<()> {
    let boot = files_in(&unpacked.join("boot"))?;
    for kind in ["vmlinuz", "config"] {
        let begins = format!("{kind}-");
        let file = boot.iter().find(|file| name_of(file).starts_with(&begins));
        copy(file.with_context(|| format!("the package has no {kind}"))?, &kept.join(kind))?;
    }
    copy(&unpacked.join("bin/busybox"), &kept.join("busybox"))?;

    let all = modules_below(&unpacked.join("lib/modules"))?;
    let mut loaded = BTreeSet::new();
    for (folder, names) in [("modules", MODULES.as_slice()), ("netfilter", &NETFILTER)] {
        let folder = kept.join(folder);
        fs::create_dir(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        for name in names {
            load(name, &all, &folder, &mut loaded)?;
        }
    }
    Ok(())
}

/// Writes a module after those that it depends on. What is no module is built in, or this kernel does not have it.
fn load(name: &str, all: &[PathBuf], folder: &Path, loaded: &mut BTreeSet<String>) -> Result<()> {
    if !loaded.insert(name.to_owned()) {
        return Ok(());
    }
    let Some(file) = all.iter().find(|file| module_of(file) == name) else { return Ok(()) };
    let bytes = plain(file)?;
    for needed in depends(&bytes).with_context(|| format!("could not read {}", file.display()))? {
        load(&needed, all, folder, loaded)?;
    }
    let number = files_in(folder)?.len();
    let into = folder.join(format!("{number:02}-{name}.ko"));
    fs::write(&into, bytes).with_context(|| format!("could not write {}", into.display()))
}

/// A module as the kernel takes it from any loader.
fn plain(file: &Path) -> Result<Vec<u8>> {
    let mut xz = shell::clean("xz");
    if file.extension().is_none_or(|extension| extension != "xz") {
        return fs::read(file).with_context(|| format!("could not read {}", file.display()));
    }
    let output = xz.arg("-dc").arg(file).output().context("could not start xz")?;
    if !output.status.success() {
        bail!("xz cannot read {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// The names after `depends=` in the module's own description.
fn depends(bytes: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(bytes)?;
    let section = file.section_by_name(".modinfo").context("no section .modinfo")?;
    let facts = String::from_utf8_lossy(section.data()?).into_owned();
    let names = facts.split('\0').find_map(|fact| fact.strip_prefix("depends=")).unwrap_or_default();
    Ok(names.split(',').filter(|name| !name.is_empty()).map(normal).collect())
}

/// Files are named with dashes or underscores.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn module_of(file: &Path) -> String {
    normal(name_of(file).split(".ko").next().unwrap_or_default())
}

fn modules_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in files_in(folder)? {
        if entry.is_dir() && !entry.is_symlink() {
            found.extend(modules_below(&entry)?);
        } else if name_of(&entry).contains(".ko") {
            found.push(entry);
        }
    }
    Ok(found)
}

/// What lies in a folder, by name.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        found.push(entry.with_context(|| format!("could not read {}", folder.display()))?.path());
    }
    found.sort();
    Ok(found)
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("could not copy {}", from.display()))?;
    Ok(())
}

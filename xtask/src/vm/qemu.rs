//! An emulator of Debian's, and one run of a machine in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::arch::Arch;
use super::guest;
use crate::debian::{self, Package, Wanted};
use crate::{shell, test};

/// QEMU 10: version 7.2, which is in Debian 12 itself, crashes Linux 6.12 now and then.
const SUITES: &[&str] = &["bookworm-backports", "bookworm"];
/// The loader that comes with it.
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
const DATA: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// How often a machine is started that goes without a result.
const STARTS: u32 = 3;

pub(crate) struct Qemu {
    folder: PathBuf,
    arch: Arch,
}

/// What is run in it.
pub(crate) struct Machine<'a> {
    pub(crate) kernel: &'a Path,
    pub(crate) initramfs: &'a Path,
    /// Its first one.
    pub(crate) disk: &'a Path,
    /// Which boot it is, from 1 on.
    pub(crate) boot: u32,
    pub(crate) memory: u32,
    pub(crate) bounds: Bounds,
}

/// What its tests are given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Until it is switched off.
    pub(crate) seconds: u32,
    /// Services of the machine that reboots.
    pub(crate) services: u32,
}

impl Qemu {
    pub(crate) fn get(arch: Arch) -> Result<Self> {
        let packages = [Package::Whole(arch.emulator())];
        let kept = [LOADER, arch.qemu()];
        let name = "qemu".to_owned();
        let wanted = Wanted { name, arch: "amd64", suites: SUITES, packages: &packages, kept: &kept };
        let keep = |unpacked: &Path, kept: &Path| {
            let program = format!("usr/bin/{}", arch.qemu());
            for part in LIBRARIES.iter().chain(&DATA).copied().chain([LOADER, &program]) {
                let (from, to) = (unpacked.join(part), kept.join(part));
                if from.exists() {
                    let made = || format!("could not make {}", to.display());
                    fs::create_dir_all(to.parent().with_context(made)?).with_context(made)?;
                    // A link to a library has its place beside it; the loader's is elsewhere.
                    let done =
                        if part == LOADER { fs::copy(&from, &to).map(drop) } else { fs::rename(&from, &to) };
                    done.with_context(made)?;
                }
            }
            Ok(())
        };
        Ok(Self { folder: debian::kept(&debian::get(&wanted, keep)?), arch })
    }

    /// Starts the machine, hands on each line that it writes, and gives how its tests ended.
    ///
    /// A machine that goes without having said so is started again: then the guest or the emulator crashed.
    pub(crate) fn run(&self, machine: &Machine<'_>, mut each: impl FnMut(&str)) -> Result<Option<i32>> {
        for _ in 0..STARTS {
            let mut ended = None;
            let status = test::lines_of(&mut self.command(machine), |line| {
                let line = line.trim_end_matches('\r');
                ended = guest::ended(line).or(ended);
                each(line);
            })?;
            if ended.is_some() || status.code() == Some(TIMED_OUT) {
                return Ok(ended);
            }
            eprintln!("The machine went without a result ({status}); starting it again");
        }
        Ok(None)
    }

    fn command(&self, machine: &Machine<'_>) -> Command {
        let libraries: Vec<String> =
            LIBRARIES.iter().map(|part| self.folder.join(part).display().to_string()).collect();
        let mut command = shell::clean("timeout");
        command.args(["--kill-after=5", &machine.bounds.seconds.to_string()]);
        command.arg(self.folder.join(LOADER)).args(["--library-path", &libraries.join(":")]);
        command.arg(self.folder.join("usr/bin").join(self.arch.qemu()));
        command.env("QEMU_MODULE_DIR", self.folder.join(LIBRARIES[1]).join("qemu"));
        for part in DATA {
            command.arg("-L").arg(self.folder.join(part));
        }
        command.args(self.arch.machine()).args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"]);
        command.args(["-m", &machine.memory.to_string()]);
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-no-reboot",
        ]);
        command.arg("-kernel").arg(machine.kernel).arg("-initrd").arg(machine.initramfs);
        let drive = format!("if=none,id=disk,format=raw,file={}", machine.disk.display());
        command.args(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk"]);
        let (console, boot, services) = (self.arch.console(), machine.boot, machine.bounds.services);
        if boot > 1 {
            command.args(["-rtc", WITHOUT_A_CLOCK]);
        }
        // On a machine that does much else, the kernel takes the timer for broken.
        let rest = "quiet panic=-1 mitigations=off tsc=reliable no_timer_check";
        command.args(["-append", &format!("console={console} {rest} BOOT={boot} SERVICES={services}")]);
        command.stdin(std::process::Stdio::null());
        command
    }
}

/// After a reboot the machine takes it for 1970, as boards do whose clock has no battery.
const WITHOUT_A_CLOCK: &str = "base=1970-01-01T00:00:00";

/// How `timeout` ends when the time was over.
const TIMED_OUT: i32 = 124;

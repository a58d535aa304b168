//! What a machine boots into: busybox, our programs, and the libraries that these need.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::Tree;
use super::kernels::Booted;
use crate::shell;

/// The checkout in the guest. Programs find each other from where they lie in it.
pub(crate) const CHECKOUT: &str = "/edgeloop";
/// Begins the line of the guest that says how its tests ended.
const ENDED: &str = "edgeloop-vm: ended ";

/// The first process. Tests get the file systems that a host has. The kernel hands on what is set on its command line, such as
/// which boot of the machine this is, and how many Services there are to be.
///
/// The power goes without a word to the disk: what a program did not have written is lost.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /busybox
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/busybox HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
dmesg -n 1
for module in /modules/*.ko /netfilter/*.ko; do if [ -f $module ]; then insmod $module; fi; done
ip link set lo up
mkdir -p /var/lib
if [ -b /dev/vda ]; then mount -t ext4 /dev/vda /var/lib; fi
echo \"Linux $(uname -r) on $(uname -m), boot $BOOT\"

sh /run-tests-$BOOT </dev/null 2>&1
echo \"edgeloop-vm: ended $?\"
poweroff -n -f
";

pub(crate) struct Guest {
    tree: Tree,
    /// For files that are made for the guest alone.
    folder: PathBuf,
}

impl Guest {
    pub(crate) fn new(booted: &Booted, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let mut tree = Tree::default();
        for empty in ["proc", "sys", "dev", "tmp", "run", "busybox", "mnt", "root"] {
            tree.folder(empty);
        }
        tree.text("/init", INIT.to_owned());
        tree.file("/bin/busybox", &booted.busybox);
        tree.link("/bin/sh", "busybox");
        for module in &booted.modules {
            tree.file(Path::new("/modules").join(module.file_name().unwrap_or_default()), module);
        }
        tree.folder("netfilter");
        // By this a program finds the checkout that it lies in.
        tree.text(Path::new(CHECKOUT).join("xtask/Cargo.toml"), String::new());
        tree.folder(Path::new(CHECKOUT).join("tests"));
        Ok(Self { tree, folder: folder.to_path_buf() })
    }

    /// Loads the modules that kube-proxy writes to.
    pub(crate) fn netfilter(&mut self, booted: &Booted) {
        for module in &booted.netfilter {
            self.tree.file(Path::new("/netfilter").join(module.file_name().unwrap_or_default()), module);
        }
    }

    /// All files of a folder of this machine, at their place, with the libraries that these need.
    pub(crate) fn folder(&mut self, folder: &Path) -> Result<()> {
        let read = || format!("could not read {}", folder.display());
        for entry in fs::read_dir(folder).with_context(read)? {
            let file = entry.with_context(read)?.path();
            self.tree.file(&file, &file);
            self.libraries(&file)?;
        }
        Ok(())
    }

    /// A program of this machine, under this name.
    pub(crate) fn tool(&mut self, name: &str, program: &Path) -> Result<()> {
        self.file(&Path::new("/usr/bin").join(name), program)
    }

    /// A program of this machine, at any place.
    pub(crate) fn file(&mut self, at: &Path, program: &Path) -> Result<()> {
        self.tree.file(at, program);
        self.libraries(program)
    }

    /// A file of this checkout, at its place there.
    pub(crate) fn ours(&mut self, file: &Path) {
        let place = file.strip_prefix(shell::root()).unwrap_or(file);
        self.tree.file(Path::new(CHECKOUT).join(place), file);
    }

    /// A program of ours, below the guest's checkout at `place`: without its symbols, which are most of it.
    pub(crate) fn program(&mut self, program: &Path, place: &str) -> Result<()> {
        let name = program.file_name().unwrap_or_default();
        let stripped = self.folder.join(name);
        shell::run(shell::clean("strip").arg("-o").arg(&stripped).arg(program))?;
        self.tree.file(Path::new(CHECKOUT).join(place), &stripped);
        self.libraries(program)
    }

    /// What the guest does in this boot before it goes off.
    pub(crate) fn script(&mut self, boot: u32, script: String) {
        self.tree.text(format!("/run-tests-{boot}"), script);
    }

    /// Writes the archive to start from.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let file = self.folder.join("initramfs");
        self.tree.write(&file)?;
        Ok(file)
    }

    /// Whatever `ldd` lists with a path; a static program has none.
    fn libraries(&mut self, program: &Path) -> Result<()> {
        let output = shell::clean("ldd").arg(program).output().context("could not start ldd")?;
        for library in String::from_utf8_lossy(&output.stdout).lines().filter_map(path_in) {
            self.tree.file(&library, &library);
        }
        Ok(())
    }
}

/// Reads `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn path_in(line: &str) -> Option<PathBuf> {
    line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
}

/// A word as the shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Reads the line that says how the tests ended.
pub(crate) fn ended(line: &str) -> Option<i32> {
    line.strip_prefix(ENDED)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_says() {
        for (line, path) in [
            (
                "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)",
                Some("/lib/x86_64-linux-gnu/libc.so.6"),
            ),
            ("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)", Some("/lib64/ld-linux-x86-64.so.2")),
            ("\tlinux-vdso.so.1 (0x00007ffd)", None),
            ("\tlibgone.so => not found", None),
        ] {
            assert_eq!(path_in(line), path.map(PathBuf::from), "{line}");
        }
    }

    #[test]
    fn the_last_line_says_how_the_tests_ended() {
        assert_eq!(ended("edgeloop-vm: ended 101"), Some(101));
        assert_eq!(ended("test it ... ok"), None);
    }
}

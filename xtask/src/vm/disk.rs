//! The disk of a machine, which outlives its reboots.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell;

/// For a state that is saved, some times over. Of the file here, only what was written takes room.
const BYTES: u64 = 64 << 20;

/// What makes disks.
pub(crate) struct Disks {
    mkfs: PathBuf,
}

impl Disks {
    pub(crate) fn get() -> Result<Self> {
        let found = shell::programs("mkfs.ext4").into_iter().next();
        Ok(Self { mkfs: found.context("the program mkfs.ext4 is missing here: install e2fsprogs")? })
    }

    /// A new one in this folder, with an empty file system.
    pub(crate) fn make(&self, folder: &Path) -> Result<PathBuf> {
        let disk = folder.join("disk");
        let made = || format!("could not make {}", disk.display());
        File::create(&disk).with_context(made)?.set_len(BYTES).with_context(made)?;
        shell::output(shell::clean(&self.mkfs).args(["-q", "-F"]).arg(&disk))?;
        Ok(disk)
    }
}

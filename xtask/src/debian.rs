//! Packages of Debian that are unpacked into the cache and installed nowhere, whatever release this machine has.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{cache, shell};

/// Changes when what is kept of the same packages does.
const FORMAT: u32 = 1;
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Packages from some suites, and what is kept of them.
#[derive(Hash)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: String,
    pub(crate) arch: &'static str,
    /// The first one is preferred.
    pub(crate) suites: &'static [&'static str],
    pub(crate) packages: &'a [Package],
    /// What `keep` of [`get`] goes by.
    pub(crate) kept: &'a [&'static str],
}

#[derive(Clone, Copy, Hash)]
pub(crate) enum Package {
    /// With everything that it depends on: it then needs nothing of this machine but a kernel.
    Whole(&'static str),
    /// Alone.
    Single(&'static str),
    /// What the package depends on first, alone: the newest kernel, of which the package is the name for all versions.
    Newest(&'static str),
}

/// The folder that `keep` filled from the unpacked packages; what is in the cache is fetched no more.
pub(crate) fn get(wanted: &Wanted<'_>, keep: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache::tools()?;
    let mut hasher = DefaultHasher::new();
    (FORMAT, wanted).hash(&mut hasher);
    let folder = cache.join(format!("vm-{}-{}-{:016x}", wanted.name, wanted.arch, hasher.finish()));
    if folder.is_dir() {
        return Ok(folder);
    }
    let _lock = cache::lock(&cache.join("vm.lock"))?;
    if !folder.is_dir() {
        let mirror = mirror()?;
        eprintln!(
            "Fetching {} for {} from {mirror}, once, into {}",
            wanted.name,
            wanted.arch,
            folder.display()
        );
        cache::install(&folder, |partial| {
            let apt = Apt::new(&partial.join("apt"), wanted, &mirror)?;
            let (unpacked, kept) = (partial.join("unpacked"), partial.join("kept"));
            for made in [&unpacked, &kept] {
                fs::create_dir(made).with_context(|| format!("could not make {}", made.display()))?;
            }
            apt.download(wanted.packages)?;
            apt.unpack(&unpacked)?;
            keep(&unpacked, &kept)?;
            for spent in [&apt.folder, &unpacked] {
                fs::remove_dir_all(spent).with_context(|| format!("could not remove {}", spent.display()))?;
            }
            Ok(())
        })?;
    }
    Ok(folder)
}

/// What [`get`] kept lies here.
pub(crate) fn kept(folder: &Path) -> PathBuf {
    folder.join("kept")
}

/// The mirror that this machine's own packages come from.
fn mirror() -> Result<String> {
    ensure!(
        !shell::programs("apt-get").is_empty(),
        "kernels come as packages of Debian, and there is no apt-get here"
    );
    let known = shell::output(shell::clean("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let found = known.lines().find(|uri| uri.trim_end_matches('/').ends_with("/debian"));
    let found =
        found.context("kernels come as packages of Debian, and apt-get knows no mirror of it here")?;
    Ok(found.trim_end_matches('/').to_owned())
}

/// apt with lists, a cache and a state of its own, in which no package is installed.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path, wanted: &Wanted<'_>, mirror: &str) -> Result<Self> {
        let made = || format!("could not make {}", folder.display());
        for part in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(part)).with_context(made)?;
        }
        fs::write(folder.join("status"), "").with_context(made)?;
        let signed =
            if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
        let sources: String =
            wanted.suites.iter().map(|suite| format!("deb {signed}{mirror} {suite} main\n")).collect();
        fs::write(folder.join("sources.list"), sources).with_context(made)?;
        let at = folder.display();
        let preferred = wanted.suites.first().context("no suite")?;
        let arch = wanted.arch;
        let settings = format!(
            "Dir::Etc::SourceList \"{at}/sources.list\";\nDir::Etc::SourceParts \"-\";\n\
             Dir::State::Lists \"{at}/lists\";\nDir::State::status \"{at}/status\";\n\
             Dir::Cache \"{at}\";\nDir::Cache::archives \"{at}/archives\";\n\
             APT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\n\
             APT::Default-Release \"{preferred}\";\nAPT::Sandbox::User \"root\";\n\
             APT::Install-Recommends \"false\";\nAcquire::Languages \"none\";\nAcquire::Retries \"3\";\n\
             Acquire::http::Timeout \"30\";\nAcquire::https::Timeout \"30\";\nDebug::NoLocking \"1\";\n"
        );
        fs::write(folder.join("apt.conf"), settings).with_context(made)?;
        let apt = Self { folder: folder.to_path_buf() };
        let update = apt.command("apt-get").args(["-q", "--error-on=any", "update"]).output();
        let update = update.context("could not start apt-get")?;
        if !update.status.success() {
            bail!(
                "apt-get cannot read the lists of {mirror}: {}",
                String::from_utf8_lossy(&update.stderr).trim()
            );
        }
        Ok(apt)
    }

    fn download(&self, packages: &[Package]) -> Result<()> {
        for package in packages {
            match package {
                Package::Whole(name) => self.fetch(&["install", "-y", "--download-only", name])?,
                Package::Single(name) => self.fetch(&["download", name])?,
                Package::Newest(name) => self.fetch(&["download", &self.first_dependency(name)?])?,
            }
        }
        Ok(())
    }

    fn fetch(&self, arguments: &[&str]) -> Result<()> {
        let mut apt_get = self.command("apt-get");
        apt_get.arg("-q").args(arguments).current_dir(self.folder.join("archives"));
        shell::output(&mut apt_get).map(drop)
    }

    fn first_dependency(&self, name: &str) -> Result<String> {
        let said = shell::output(self.command("apt-cache").args(["depends", name]))?;
        let first = said.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        first.map(str::to_owned).with_context(|| format!("{name} depends on no package"))
    }

    fn unpack(&self, into: &Path) -> Result<()> {
        let archives = self.folder.join("archives");
        let read = || format!("could not read {}", archives.display());
        for entry in fs::read_dir(&archives).with_context(read)? {
            let archive = entry.with_context(read)?.path();
            if archive.extension().is_some_and(|extension| extension == "deb") {
                shell::run(shell::clean("dpkg-deb").arg("-x").arg(&archive).arg(into))?;
            }
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = shell::clean(program);
        command.env("APT_CONFIG", self.folder.join("apt.conf")).env("DEBIAN_FRONTEND", "noninteractive");
        command.stdin(std::process::Stdio::null());
        command
    }
}

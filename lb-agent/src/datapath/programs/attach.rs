//! Links: made once, pinned, and from then on only pointed at newer programs.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::pin::PinError;
use aya::programs::links::{FdLink, LinkError};
use aya::programs::{CgroupAttachMode, ProgramError};

use lb_common::hook::Hook;

use super::load::{LoadError, Programs};
use crate::datapath::cgroup::Cgroup;
use crate::datapath::sys;

#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error(transparent)]
    Program(#[from] LoadError),
    #[error("could not attach at {hook} of {}", cgroup.display())]
    Attach {
        hook: &'static str,
        cgroup: PathBuf,
        #[source]
        source: Box<ProgramError>,
    },
    #[error("could not hold the link of {hook}")]
    Link {
        hook: &'static str,
        #[source]
        source: Box<LinkError>,
    },
    #[error("could not pin the link of {hook} at {}", path.display())]
    Pin {
        hook: &'static str,
        path: PathBuf,
        #[source]
        source: Box<PinError>,
    },
    #[error("could not put the new program behind the link at {}", path.display())]
    Update {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A hook that our program runs at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    pub hook: &'static str,
    pub program_id: u32,
    /// Zero once the cgroup is gone.
    pub cgroup_id: u64,
    /// Programs that run before ours: their rewrite would hide the cluster IP from us. `None`
    /// where the kernel does not tell.
    pub before: Option<Vec<u32>>,
}

/// Attaches `programs` at `cgroup`, or puts them behind the links that are there already, without
/// a moment in which none is attached.
///
/// # Errors
/// When the kernel refuses a program at its hook, or the pin. What was attached stays.
pub fn attach(programs: &mut Programs, pin_root: &Path, cgroup: &Cgroup) -> Result<(), AttachError> {
    for hook in Hook::in_use() {
        let path = pin_root.join(hook.name());
        match pinned(&path).filter(|(_, info)| info.cgroup_id == cgroup.id) {
            Some((link, _)) => {
                let program = programs.at(hook)?;
                let fd = program.fd().map_err(|source| failed(hook, cgroup, source))?;
                sys::link_update(link.as_fd(), fd.as_fd())
                    .map_err(|source| AttachError::Update { path, source })?;
            }
            None => create(programs, hook, cgroup, &path)?,
        }
    }
    Ok(())
}

/// What is attached under `pin_root` now, read from the pins alone. `cgroup` is asked for the
/// programs that run before ours.
#[must_use]
pub fn attached(pin_root: &Path, cgroup: Option<&Cgroup>) -> Vec<Attached> {
    let links = Hook::in_use().filter_map(|hook| Some((hook, pinned(&pin_root.join(hook.name()))?.1)));
    links
        .map(|(hook, info)| Attached {
            hook: hook.name(),
            program_id: info.prog_id,
            cgroup_id: info.cgroup_id,
            before: cgroup.filter(|cgroup| cgroup.id == info.cgroup_id).and_then(|cgroup| {
                let running = sys::effective_programs(cgroup.file.as_fd(), hook.attach_type()).ok()?;
                Some(running.into_iter().take_while(|id| *id != info.prog_id).collect())
            }),
        })
        .collect()
}

/// Makes a new link and pins it in the place of an old one, which belongs to another cgroup or to
/// one that is gone.
fn create(programs: &mut Programs, hook: Hook, cgroup: &Cgroup, path: &Path) -> Result<(), AttachError> {
    let program = programs.at(hook)?;
    // With links aya's "Single" is no flag at all, and the kernel runs several programs side by side.
    let id = program
        .attach(&cgroup.file, CgroupAttachMode::Single)
        .map_err(|source| failed(hook, cgroup, source))?;
    let link = program.take_link(id).map_err(|source| failed(hook, cgroup, source))?;
    let link = FdLink::try_from(link)
        .map_err(|source| AttachError::Link { hook: hook.name(), source: Box::new(source) })?;
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(AttachError::Update { path: path.to_owned(), source: error });
    }
    let pin = link.pin(path);
    pin.map(drop).map_err(|source| AttachError::Pin {
        hook: hook.name(),
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn pinned(path: &Path) -> Option<(OwnedFd, sys::LinkInfo)> {
    let link = sys::get_pinned(path).ok()?;
    let info = sys::link_info(link.as_fd()).ok()?;
    Some((link, info))
}

fn failed(hook: Hook, cgroup: &Cgroup, source: ProgramError) -> AttachError {
    AttachError::Attach { hook: hook.name(), cgroup: cgroup.path.clone(), source: Box::new(source) }
}

//! Opening the maps: taking over those that are in use, or making new ones and changing over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::plan::{Capacity, Maps, Mirror, ReadError, Sizes};

use super::cgroup::{Cgroup, CgroupError};
use super::cleanup::{RemoveError, remove_folder, remove_other_generations, remove_other_links};
use super::lock::{self, Lock, LockError};
use super::maps::bpf::Bpf;
use super::maps::pinned::{self, OpenError, PinnedMaps};
use super::pins::with_suffix;
use super::programs::attach::attached;
use super::programs::links::{AttachError, Damage, Links};
use super::programs::load::{Features, LoadError, Programs, load};

#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Remove(#[from] RemoveError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("could not put the folder {} in its place", from.display())]
    Rename {
        from: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What happened to the pins and links of a running agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The pin root was removed, and the lock with it.
    PinRoot {
        path: PathBuf,
    },
    Link(Damage),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PinRoot { path } => write!(f, "the pin root {} was removed", path.display()),
            Self::Link(damage) => damage.fmt(f),
        }
    }
}

/// The programs of this agent over the maps of one pin root.
#[derive(Debug)]
pub struct Datapath {
    lock: Lock,
    cgroup: Cgroup,
    object: &'static [u8],
    machine: Features,
    programs: Option<Programs>,
    links: Option<Links>,
    /// The maps in hand lie in `v1-new` and have yet to take the place of `v1`.
    fresh: bool,
}

impl Datapath {
    #[must_use]
    pub const fn new(lock: Lock, cgroup: Cgroup, object: &'static [u8]) -> Self {
        let machine = Features::THIS;
        Self { lock, cgroup, object, machine, programs: None, links: None, fresh: false }
    }

    /// As if this were another machine: for tests of what other machines run.
    #[must_use]
    pub const fn on(mut self, machine: Features) -> Self {
        self.machine = machine;
        self
    }

    #[must_use]
    pub const fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    fn pin_root(&self) -> &Path {
        self.lock.pin_root()
    }

    /// Whether refusals come as ECONNREFUSED by `bpf_set_retval`; `None` before the programs are loaded.
    #[must_use]
    pub fn can_set_errno(&self) -> Option<bool> {
        self.programs.as_ref().map(Programs::can_set_errno)
    }

    /// What happened to pins and links since they were made. Cheap enough for every second.
    #[must_use]
    pub fn trouble(&self) -> Vec<Trouble> {
        let pin_root =
            (!self.lock.is_current()).then(|| Trouble::PinRoot { path: self.pin_root().to_owned() });
        let damage = self.links.as_ref().map(Links::damage).unwrap_or_default();
        pin_root.into_iter().chain(damage.into_iter().map(Trouble::Link)).collect()
    }

    /// Makes up for all of it.
    ///
    /// # Errors
    /// When something cannot be made again. What is left goes on.
    pub fn repair(&mut self, trouble: &[Trouble]) -> Result<(), TakeoverError> {
        if !self.lock.is_current() {
            self.lock = lock::acquire(self.pin_root())?;
        }
        let Some(links) = &mut self.links else { return Ok(()) };
        let damage: Vec<Damage> = trouble
            .iter()
            .filter_map(|trouble| match trouble {
                Trouble::Link(damage) => Some(*damage),
                Trouble::PinRoot { .. } => None,
            })
            .collect();
        if damage.iter().any(|damage| matches!(damage, Damage::Detached { .. })) {
            self.cgroup = self.cgroup.reopened()?;
        }
        Ok(links.repair(&damage, &self.cgroup)?)
    }

    /// The programs of others that run before ours, by hook.
    #[must_use]
    pub fn before_ours(&self) -> Vec<(&'static str, Vec<u32>)> {
        let attached = attached(self.pin_root(), Some(&self.cgroup)).into_iter();
        let before = attached.filter_map(|hook| Some((hook.hook, hook.before?)));
        before.filter(|(_, programs)| !programs.is_empty()).collect()
    }

    /// Opens maps with room for `need`: those that are pinned, if they are this layout's and large
    /// enough, else new and empty ones, beside the old. Nothing that runs changes before
    /// [`attach`](Self::attach).
    ///
    /// # Errors
    /// When the kernel refuses a map or a program.
    pub fn open(&mut self, need: Capacity, sizes: Sizes) -> Result<(Bpf, Mirror), TakeoverError> {
        self.open_if(need, sizes, |capacity| sizes.accepts(capacity, need))
    }

    /// The same, but maps that are pinned will do in any size: they may hold what nobody else
    /// knows.
    ///
    /// # Errors
    /// When the kernel refuses a map or a program.
    pub fn open_in_any_size(&mut self, need: Capacity, sizes: Sizes) -> Result<(Bpf, Mirror), TakeoverError> {
        self.open_if(need, sizes, |_| true)
    }

    fn open_if(
        &mut self,
        need: Capacity,
        sizes: Sizes,
        will_do: impl FnOnce(Capacity) -> bool,
    ) -> Result<(Bpf, Mirror), TakeoverError> {
        let current = pinned::folder(self.pin_root());
        let usable = match PinnedMaps::open(&current) {
            Ok(maps) => will_do(maps.capacity()),
            Err(OpenError::Absent { .. } | OpenError::Foreign { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if usable {
            self.fresh = false;
            remove_folder(&self.new_folder(), &mut Vec::new())?;
            return self.take_over(&current);
        }
        self.renew(sizes.fresh(need), self.first_unused_id())
    }

    /// Opens new, empty maps of `capacity`, beside those that are in use. `next_id` is the first
    /// service id that was never used within this boot.
    ///
    /// # Errors
    /// When the kernel refuses a map or a program.
    pub fn renew(&mut self, capacity: Capacity, next_id: u32) -> Result<(Bpf, Mirror), TakeoverError> {
        // What an earlier start left half done. Programs that run hold their maps with or without a pin.
        let new = self.new_folder();
        remove_folder(&new, &mut Vec::new())?;
        match make(self.object, self.machine, &new, capacity, next_id) {
            Ok((programs, maps, mirror)) => {
                self.programs = Some(programs);
                self.fresh = true;
                Ok((maps, mirror))
            }
            Err(error) => {
                remove_folder(&new, &mut Vec::new())?;
                Err(error)
            }
        }
    }

    /// Puts the programs into effect, in place of older ones without a moment in between; then new
    /// maps take the place of the old ones under their name. A start that is killed before the end
    /// leaves programs that work; the next one begins anew.
    ///
    /// # Errors
    /// When the kernel refuses; what ran before goes on.
    pub fn attach(&mut self) -> Result<(), TakeoverError> {
        let Some(programs) = &self.programs else { return Ok(()) };
        if self.links.is_none() {
            self.links = Some(Links::open(self.lock.pin_root(), &self.cgroup));
        }
        let Some(links) = &mut self.links else { return Ok(()) };
        links.put(programs, &self.cgroup)?;
        if self.fresh {
            let (current, new) = (pinned::folder(self.pin_root()), self.new_folder());
            let old = with_suffix(&current, "-old");
            remove_folder(&old, &mut Vec::new())?;
            if current.is_dir() {
                rename(&current, &old)?;
            }
            rename(&new, &current)?;
            self.fresh = false;
        }
        for path in remove_other_links(self.pin_root())? {
            tracing::info!(path = %path.display(), "removed a link that this version does not use");
        }
        remove_other_generations(self.pin_root())?;
        Ok(())
    }

    /// Past every service id that the maps of this boot promised, also those of a start that was
    /// killed before they had their name.
    fn first_unused_id(&self) -> u32 {
        let current = pinned::folder(self.pin_root());
        let folders = [with_suffix(&current, "-new"), with_suffix(&current, "-old"), current];
        folders.iter().filter_map(|folder| PinnedMaps::next_service_id(folder)).max().unwrap_or(1)
    }

    fn take_over(&mut self, folder: &Path) -> Result<(Bpf, Mirror), TakeoverError> {
        let mut maps = Bpf::open(folder)?;
        self.programs = Some(load(self.object, folder, maps.capacity(), self.machine)?);
        let observed = maps.dump()?;
        if let Err(error) = maps.repair(&observed) {
            tracing::warn!(%error, "could not repair the Bloom filter; the next audit tries again");
        }
        let mirror = Mirror::adopt(&observed, maps.capacity());
        Ok((maps, mirror))
    }

    fn new_folder(&self) -> PathBuf {
        with_suffix(&pinned::folder(self.pin_root()), "-new")
    }
}

fn make(
    object: &[u8],
    machine: Features,
    folder: &Path,
    capacity: Capacity,
    next_id: u32,
) -> Result<(Programs, Bpf, Mirror), TakeoverError> {
    let programs = load(object, folder, capacity, machine)?;
    let maps = Bpf::open(folder)?;
    let mirror = Mirror::new(maps.capacity(), next_id);
    Ok((programs, maps, mirror))
}

fn rename(from: &Path, to: &Path) -> Result<(), TakeoverError> {
    fs::rename(from, to).map_err(|source| TakeoverError::Rename { from: from.to_owned(), source })
}

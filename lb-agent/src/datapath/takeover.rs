//! Opening a generation of maps, and changing over from one to the next.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_common::hook::Hook;
use lb_common::layout::LAYOUT_VERSION;

use crate::plan::takeover::{GenerationName, Place, first_unused_id};
use crate::plan::{Capacity, MapOp, Maps, Mirror, Observed, ReadError, WriteError};

use super::cgroup::{Cgroup, CgroupError};
use super::cleanup::{RemoveError, remove_folder, remove_other_generations, remove_other_links};
use super::generation::{self, Findings, Pins};
use super::lock::{self, Lock, LockError};
use super::maps::bpf::Bpf;
use super::maps::pinned::{self, OpenError, folder_of};
use super::maps::staleness;
use super::programs::links::{AttachError, Damage, Links, Look};
use super::programs::load::{Features, LoadError, Programs, has_memory_for, load};
use super::sys;

#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
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
    #[error("could not pin maps and programs in {}", folder.display())]
    Pin {
        folder: PathBuf,
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
    /// Pins of maps or programs were removed.
    Pins {
        folder: PathBuf,
    },
    Link(Damage),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PinRoot { path } => write!(f, "the pin root {} was removed", path.display()),
            Self::Pins { folder } => {
                write!(f, "pins of maps or programs in {} were removed", folder.display())
            }
            Self::Link(damage) => damage.fmt(f),
        }
    }
}

/// A generation in hand: its programs are loaded, its pins held. Its maps are handed out with it.
#[derive(Debug)]
pub struct Generation {
    programs: Programs,
    pins: Pins,
}

impl Generation {
    #[must_use]
    pub const fn name(&self) -> GenerationName {
        self.pins.name
    }

    /// Whether refusals come as ECONNREFUSED by `bpf_set_retval`.
    #[must_use]
    pub const fn can_set_errno(&self) -> bool {
        self.programs.can_set_errno()
    }
}

/// A generation, its maps open for writing, and the mirror of what they hold.
#[derive(Debug)]
pub struct Opened {
    pub generation: Generation,
    pub maps: Bpf,
    pub mirror: Mirror,
}

/// The pin root, the cgroup, and the links between them.
#[derive(Debug)]
pub struct Datapath {
    lock: Lock,
    cgroup: Cgroup,
    object: &'static [u8],
    machine: Features,
    /// How old what the maps hold may be.
    max_stale: Option<Duration>,
    /// Open from the first attachment on.
    links: Option<Links>,
}

impl Datapath {
    #[must_use]
    pub const fn new(lock: Lock, cgroup: Cgroup, object: &'static [u8]) -> Self {
        Self { lock, cgroup, object, machine: Features::THIS, max_stale: None, links: None }
    }

    /// With what is asked of the programs; or as if this were another machine, for tests of what other machines run.
    #[must_use]
    pub const fn on(mut self, machine: Features) -> Self {
        self.machine = machine;
        self
    }

    /// The programs are to leave everything untouched once what the maps hold is older than this. It counts from now on, also
    /// for programs that run.
    #[must_use]
    pub fn for_at_most(mut self, max_stale: Option<Duration>) -> Self {
        self.max_stale = max_stale;
        if let Err(error) = staleness::allow(self.pin_root(), max_stale) {
            tracing::warn!(%error, "could not set --max-stale for the programs that run; the next ones will have it");
        }
        self
    }

    #[must_use]
    pub const fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    fn pin_root(&self) -> &Path {
        self.lock.pin_root()
    }

    /// What earlier agents left below the pin root.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find(&self) -> Result<Findings, TakeoverError> {
        Ok(generation::find(self.pin_root())?)
    }

    /// Goes on with a generation of this version, whatever its size. It gets its name if it has
    /// yet to; its programs are loaded anew, and attached by [`attach`](Self::attach).
    ///
    /// # Errors
    /// When the kernel refuses a program, or the maps cannot be read.
    pub fn adopt(&self, name: GenerationName) -> Result<Opened, TakeoverError> {
        let first_id = self.first_unused_id()?;
        let name = self.put_in_place(name)?;
        let folder = folder_of(self.pin_root(), name);
        let mut maps = Bpf::open(&folder)?;
        let programs = load(self.object, &folder, maps.capacity(), self.machine)?;
        let failed = |source| TakeoverError::Pin { folder: folder.clone(), source };
        generation::pin_next_programs(self.pin_root(), &folder, &programs).map_err(failed)?;
        let pins = Pins::hold(self.pin_root(), name, &programs).map_err(failed)?;
        promise(&mut maps, first_id)?;
        maps.allow(self.max_stale, true);
        let held = Observed { next_id: first_id, ..maps.dump()? };
        if let Err(error) = maps.repair(&held) {
            tracing::warn!(%error, "could not repair the Bloom filter; the next audit tries again");
        }
        let mut mirror = Mirror::adopt(&held, maps.capacity());
        mirror.cells = maps.cells()?;
        Ok(Opened { generation: Generation { programs, pins }, maps, mirror })
    }

    /// What a generation holds, as far as it can be read: for ids and slots to go on in the next.
    #[must_use]
    pub fn inheritance(&self, name: GenerationName) -> Option<Observed> {
        pinned::inheritance(&folder_of(self.pin_root(), name))
    }

    /// Makes a generation with empty maps besides those that are in use, in `v2-new`. Maps that are
    /// carried are those of `from`. Nothing that runs changes before [`attach`](Self::attach).
    ///
    /// # Errors
    /// When the kernel refuses a map or a program. Nothing is left then.
    pub fn make(&self, capacity: Capacity, from: Option<GenerationName>) -> Result<Opened, TakeoverError> {
        let name = GenerationName::current(LAYOUT_VERSION).at(Place::New);
        let made = self.make_in(name, capacity, from);
        if made.is_err() {
            self.discard(name)?;
        }
        made
    }

    fn make_in(
        &self,
        name: GenerationName,
        capacity: Capacity,
        from: Option<GenerationName>,
    ) -> Result<Opened, TakeoverError> {
        has_memory_for(capacity)?;
        let folder = folder_of(self.pin_root(), name);
        let failed = |source| TakeoverError::Pin { folder: folder.clone(), source };
        // All that is read of earlier ones comes before one of them is removed.
        let first_id = self.first_unused_id()?;
        let carried = generation::carried(self.pin_root(), from).map_err(failed)?;
        // What an earlier start left half done. Programs that run hold their maps with or without a pin.
        remove_folder(&folder, &mut Vec::new())?;
        fs::create_dir(&folder).map_err(failed)?;
        for (spec, map) in &carried {
            sys::pin(map.as_fd(), &folder.join(spec.pin)).map_err(failed)?;
        }
        let programs = load(self.object, &folder, capacity, self.machine)?;
        generation::pin_programs(&folder, &programs).map_err(failed)?;
        let pins = Pins::hold(self.pin_root(), name, &programs).map_err(failed)?;
        let mut maps = Bpf::open(&folder)?;
        promise(&mut maps, first_id)?;
        maps.allow(self.max_stale, from.is_some_and(staleness::is_kept_by));
        let mut mirror = Mirror::new(maps.capacity(), first_id);
        mirror.cells = maps.cells()?;
        Ok(Opened { generation: Generation { programs, pins }, maps, mirror })
    }

    /// Removes what [`make`](Self::make) made, when it is not to be used.
    ///
    /// # Errors
    /// When a pin cannot be removed.
    pub fn discard(&self, name: GenerationName) -> Result<(), TakeoverError> {
        Ok(remove_folder(&folder_of(self.pin_root(), name), &mut Vec::new())?)
    }

    /// Puts the programs of `generation` into effect, in place of others without a moment in
    /// between, readers first.
    ///
    /// # Errors
    /// When the kernel refuses; then what ran before runs again.
    pub fn attach(&mut self, generation: &Generation) -> Result<(), TakeoverError> {
        let pin_root = self.lock.pin_root();
        let links = self.links.get_or_insert_with(|| Links::open(pin_root, &self.cgroup));
        links.put(&generation.programs, &self.cgroup)?;
        links.go_first(&self.cgroup);
        Ok(())
    }

    /// After [`attach`](Self::attach): the generation takes its name, and what others left goes. It
    /// can fail anywhere, or be killed, and be repeated.
    ///
    /// # Errors
    /// When a pin cannot be moved or removed. What is attached serves all the same.
    pub fn settle(&self, generation: &mut Generation) -> Result<(), TakeoverError> {
        let pins = &mut generation.pins;
        pins.name = self.put_in_place(pins.name)?;
        let folder = folder_of(self.pin_root(), pins.name);
        generation::settle_programs(&folder).map_err(|source| TakeoverError::Pin { folder, source })?;
        for path in remove_other_links(self.pin_root())? {
            tracing::info!(path = %path.display(), "removed a link that this version does not use");
        }
        remove_other_generations(self.pin_root())?;
        Ok(())
    }

    /// Gives a generation the name of the one in use, where nothing else is.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn take_name(&self, generation: &mut Generation) -> Result<(), TakeoverError> {
        generation.pins.name = self.put_in_place(generation.pins.name)?;
        Ok(())
    }

    /// Gives a generation the name of the one in use. Another one that has it is put aside, and
    /// one that was put aside before is removed.
    fn put_in_place(&self, name: GenerationName) -> Result<GenerationName, TakeoverError> {
        let current = name.at(Place::Current);
        if name == current {
            return Ok(current);
        }
        let [from, to] = [name, current].map(|name| folder_of(self.pin_root(), name));
        if to.is_dir() {
            let old = folder_of(self.pin_root(), name.at(Place::Old));
            remove_folder(&old, &mut Vec::new())?;
            rename(&to, &old)?;
        } else {
            // A pin has no business there.
            super::pins::remove_file(&to)
                .map_err(|source| TakeoverError::Rename { from: to.clone(), source })?;
        }
        rename(&from, &to)?;
        Ok(current)
    }

    /// The programs of others that run before ours, by hook.
    #[must_use]
    pub fn before_ours(&self) -> Vec<(Hook, Vec<u32>)> {
        self.links.as_ref().map(|links| links.before_ours(&self.cgroup)).unwrap_or_default()
    }

    /// What happened to pins and links since they were made, and the programs of others that run before ours, by hook.
    /// Cheap enough for every second.
    #[must_use]
    pub fn look(&self, generation: &Generation) -> (Vec<Trouble>, Vec<(Hook, Vec<u32>)>) {
        let path = self.pin_root();
        let pin_root = (!self.lock.is_current()).then(|| Trouble::PinRoot { path: path.to_owned() });
        let pins = &generation.pins;
        let pins = pins.is_damaged(path).then(|| Trouble::Pins { folder: folder_of(path, pins.name) });
        let Look { damage, before_ours } =
            self.links.as_ref().map(|links| links.look(&self.cgroup)).unwrap_or_default();
        let trouble = pin_root.into_iter().chain(pins).chain(damage.into_iter().map(Trouble::Link));
        (trouble.collect(), before_ours)
    }

    /// Makes up for all of it.
    ///
    /// # Errors
    /// When something cannot be made again. What is left goes on.
    pub fn repair(&mut self, generation: &Generation, trouble: &[Trouble]) -> Result<(), TakeoverError> {
        if !self.lock.is_current() {
            self.lock = lock::acquire(self.pin_root())?;
        }
        let pins = &generation.pins;
        let folder = folder_of(self.pin_root(), pins.name);
        pins.restore(self.pin_root()).map_err(|source| TakeoverError::Pin { folder, source })?;
        let Some(links) = &mut self.links else { return Ok(()) };
        let damage: Vec<Damage> = trouble
            .iter()
            .filter_map(|trouble| match trouble {
                Trouble::Link(damage) => Some(*damage),
                Trouble::PinRoot { .. } | Trouble::Pins { .. } => None,
            })
            .collect();
        if damage.iter().any(|damage| matches!(damage, Damage::Detached { .. })) {
            self.cgroup = self.cgroup.reopened()?;
        }
        Ok(links.repair(&damage, &self.cgroup)?)
    }

    /// Past every service id that maps of this boot promised, of whatever version, also those of a
    /// start that was killed before they had their name.
    fn first_unused_id(&self) -> Result<u32, TakeoverError> {
        let failed = |source| OpenError::Syscall { path: self.pin_root().to_owned(), source };
        let names = pinned::generations(self.pin_root()).map_err(failed)?.into_iter();
        let known = names.filter_map(|name| pinned::unused_id(&folder_of(self.pin_root(), name)));
        Ok(first_unused_id(known))
    }
}

/// Writes the first unused id into the maps, so that it outlives the folders that it was read from.
fn promise(maps: &mut Bpf, first_id: u32) -> Result<(), WriteError> {
    if maps.next_id() == first_id { Ok(()) } else { maps.write(&MapOp::NextId(first_id)) }
}

fn rename(from: &Path, to: &Path) -> Result<(), TakeoverError> {
    fs::rename(from, to).map_err(|source| TakeoverError::Rename { from: from.to_owned(), source })
}

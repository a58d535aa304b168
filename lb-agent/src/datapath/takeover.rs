//! Opening the maps: taking over those that are in use, or making new ones and changing over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lb_common::hook::Hook;

use crate::plan::{Capacity, Maps, Mirror, ReadError, Sizes};

use super::cgroup::Cgroup;
use super::cleanup::{RemoveError, remove_folder, remove_others};
use super::maps::bpf::Bpf;
use super::maps::pinned::{self, OpenError, PinnedMaps};
use super::programs::attach::{AttachError, attach, attached};
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
    #[error("could not put the folder {} in its place", from.display())]
    Rename {
        from: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The programs of this agent over the maps of one pin root.
#[derive(Debug)]
pub struct Datapath {
    pin_root: PathBuf,
    cgroup: Cgroup,
    object: &'static [u8],
    machine: Features,
    programs: Option<Programs>,
    /// The maps in hand lie in `v1-new` and have yet to take the place of `v1`.
    fresh: bool,
}

impl Datapath {
    #[must_use]
    pub fn new(pin_root: &Path, cgroup: Cgroup, object: &'static [u8]) -> Self {
        let machine = Features::THIS;
        Self { pin_root: pin_root.to_owned(), cgroup, object, machine, programs: None, fresh: false }
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

    /// Whether refusals come as ECONNREFUSED by `bpf_set_retval`; `None` before the programs are loaded.
    #[must_use]
    pub fn can_set_errno(&self) -> Option<bool> {
        self.programs.as_ref().map(Programs::can_set_errno)
    }

    /// Whether our programs run at every hook of the cgroup, as the pins tell.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        let attached = attached(&self.pin_root, None);
        attached.len() == Hook::in_use().count()
            && attached.iter().all(|hook| hook.cgroup_id == self.cgroup.id)
    }

    /// The programs of others that run before ours, by hook.
    #[must_use]
    pub fn before_ours(&self) -> Vec<(&'static str, Vec<u32>)> {
        let attached = attached(&self.pin_root, Some(&self.cgroup)).into_iter();
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
        let current = pinned::folder(&self.pin_root);
        let usable = match PinnedMaps::open(&current) {
            Ok(maps) => will_do(maps.capacity()),
            Err(OpenError::Absent { .. } | OpenError::Foreign { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if usable {
            self.fresh = false;
            remove_folder(&self.new_folder())?;
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
        remove_folder(&new)?;
        match make(self.object, self.machine, &new, capacity, next_id) {
            Ok((programs, maps, mirror)) => {
                self.programs = Some(programs);
                self.fresh = true;
                Ok((maps, mirror))
            }
            Err(error) => {
                remove_folder(&new)?;
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
        let Some(programs) = self.programs.as_mut() else { return Ok(()) };
        attach(programs, &self.pin_root, &self.cgroup)?;
        if self.fresh {
            let (current, new) = (pinned::folder(&self.pin_root), self.new_folder());
            let old = with_suffix(&current, "-old");
            remove_folder(&old)?;
            if current.is_dir() {
                rename(&current, &old)?;
            }
            rename(&new, &current)?;
            self.fresh = false;
        }
        remove_others(&self.pin_root)?;
        Ok(())
    }

    /// Past every service id that the maps of this boot promised, also those of a start that was
    /// killed before they had their name.
    fn first_unused_id(&self) -> u32 {
        let current = pinned::folder(&self.pin_root);
        let folders = [with_suffix(&current, "-new"), with_suffix(&current, "-old"), current];
        folders.iter().filter_map(|folder| PinnedMaps::next_service_id(folder)).max().unwrap_or(1)
    }

    fn take_over(&mut self, folder: &Path) -> Result<(Bpf, Mirror), TakeoverError> {
        let mut maps = Bpf::open(folder)?;
        self.programs = Some(load(self.object, folder, maps.capacity(), self.machine)?);
        let mirror = Mirror::adopt(&maps.dump()?, maps.capacity());
        Ok((maps, mirror))
    }

    fn new_folder(&self) -> PathBuf {
        with_suffix(&pinned::folder(&self.pin_root), "-new")
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

fn with_suffix(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<(), TakeoverError> {
    fs::rename(from, to).map_err(|source| TakeoverError::Rename { from: from.to_owned(), source })
}

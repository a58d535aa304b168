//! Generations of maps with the programs over them: found below a pin root, opened, made.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lb_common::hook::Hook;
use lb_common::layout::{AFFINITY, CATALOGUE, LAYOUT_VERSION, Life, MapSpec};

use crate::plan::takeover::{Contents, Found, GenerationName, Pinned, Takeover, takeover};
use crate::plants::{self, Plant};

use super::maps::map;
use super::maps::pinned::{OpenError, PinnedMaps, folder_of, generations};
use super::pins::{Settled, pin_over, remove_file, with_suffix};
use super::programs::attach::pinned_links;
use super::programs::load::{Program, Programs};
use super::sys::{self, Object};

/// Programs are pinned as `prog_` and their hook's name.
const PROGRAM: &str = "prog_";

/// What lies below a pin root.
#[derive(Debug)]
pub struct Findings {
    pub generations: Vec<Found>,
    /// How many links are attached.
    pub links: usize,
}

impl Findings {
    #[must_use]
    pub fn takeover(&self) -> Takeover {
        takeover(LAYOUT_VERSION, &self.generations, self.links)
    }
}

/// Looks at every generation and every link. Nothing is changed.
///
/// # Errors
/// When the pin root cannot be read.
pub fn find(pin_root: &Path) -> Result<Findings, OpenError> {
    let failed = |source| OpenError::Syscall { path: pin_root.to_owned(), source };
    let links = pinned_links(pin_root);
    let running: Vec<u32> =
        links.iter().filter(|link| link.info.cgroup_id != 0).map(|link| link.info.prog_id).collect();
    let mut found = Vec::new();
    for name in generations(pin_root).map_err(failed)? {
        let folder = folder_of(pin_root, name);
        let contents = match PinnedMaps::open(&folder) {
            Ok(maps) => Contents::Whole(maps.capacity()),
            Err(OpenError::Absent { .. } | OpenError::Foreign { .. }) => Contents::Unusable,
            // Another version's may be whatever it likes.
            Err(_) if name.version != LAYOUT_VERSION => Contents::Unusable,
            Err(error) => return Err(error),
        };
        found.push(Found { name, contents, programs: programs_in(&folder, &running) });
    }
    Ok(Findings { generations: found, links: running.len() })
}

fn programs_in(folder: &Path, running: &[u32]) -> Pinned {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let programs =
        entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PROGRAM.as_bytes()));
    let ids: BTreeSet<u32> = programs.filter_map(|entry| Some(pinned_program(&entry.path())?.1)).collect();
    if ids.is_empty() {
        return Pinned::Nothing;
    }
    Pinned::Programs { running: running.iter().filter(|id| ids.contains(id)).count() }
}

/// The program pinned at `path`, and its id.
fn pinned_program(path: &Path) -> Option<(OwnedFd, u32)> {
    let fd = sys::get_pinned(path).ok()?;
    if sys::object(fd.as_fd()).ok()? != Object::Program {
        return None;
    }
    let id = sys::program_info(fd.as_fd()).ok()?.id;
    Some((fd, id))
}

/// The program of this id, by whatever pin in a generation's folder, or by its id alone.
pub(super) fn program_of_id(pin_root: &Path, hook: Hook, id: u32) -> Option<Arc<Program>> {
    let folders = generations(pin_root).ok()?.into_iter().map(|name| folder_of(pin_root, name));
    let pins = folders.flat_map(|folder| {
        let pin = folder.join(program_pin(hook));
        [with_suffix(&pin, NEXT), pin]
    });
    let pinned = pins.filter_map(|pin| pinned_program(&pin)).find(|(_, found)| *found == id);
    // It takes CAP_SYS_ADMIN.
    let fd = pinned.map(|(fd, _)| fd).or_else(|| sys::program_by_id(id).ok())?;
    Program::new(hook, fd).ok().map(Arc::new)
}

/// The end of the name of a program that is to take another one's place.
const NEXT: &str = "-new";

fn program_pin(hook: Hook) -> String {
    format!("{PROGRAM}{}", hook.name())
}

/// The pins of one generation, each with what it stands for, so that they can be made again.
#[derive(Debug)]
pub(super) struct Pins {
    pub(super) name: GenerationName,
    pins: Vec<(String, OwnedFd)>,
    settled: Settled,
}

impl Pins {
    /// Holds the maps pinned in the generation's folder, and `programs`.
    pub(super) fn hold(pin_root: &Path, name: GenerationName, programs: &Programs) -> io::Result<Self> {
        let folder = folder_of(pin_root, name);
        let mut pins = Vec::new();
        for spec in &CATALOGUE {
            pins.push((spec.pin.to_owned(), sys::get_pinned(&folder.join(spec.pin))?));
        }
        for program in programs.iter() {
            pins.push((program_pin(program.hook), program.as_fd().try_clone_to_owned()?));
        }
        Ok(Self { name, pins, settled: Settled::default() })
    }

    /// Whether one is missing.
    pub(super) fn is_damaged(&self, pin_root: &Path) -> bool {
        let folder = folder_of(pin_root, self.name);
        let is_there = |name: &String| fs::symlink_metadata(folder.join(name)).is_ok();
        !self.settled.holds(&folder, || self.pins.iter().all(|(name, _)| is_there(name)))
    }

    /// Pins again what is missing.
    pub(super) fn restore(&self, pin_root: &Path) -> io::Result<()> {
        let folder = folder_of(pin_root, self.name);
        fs::create_dir_all(&folder)?;
        for (name, object) in &self.pins {
            let path = folder.join(name);
            if fs::symlink_metadata(&path).is_err() {
                sys::pin(object.as_fd(), &path)?;
            }
        }
        Ok(())
    }
}

/// Pins the programs of a generation that is being made.
pub(super) fn pin_programs(folder: &Path, programs: &Programs) -> io::Result<()> {
    programs.iter().try_for_each(|program| pin_over(program.as_fd(), &folder.join(program_pin(program.hook))))
}

/// Pins programs that are to take the place of those in `folder`, besides them: until the links have
/// moved either may run.
pub(super) fn pin_next_programs(pin_root: &Path, folder: &Path, programs: &Programs) -> io::Result<()> {
    let links = pinned_links(pin_root);
    for program in programs.iter() {
        let pin = folder.join(program_pin(program.hook));
        let next = with_suffix(&pin, NEXT);
        // Left by a start that was killed here. It may be the one that runs.
        let left = pinned_program(&next).map(|(_, id)| id);
        if links.iter().any(|link| Some(link.info.prog_id) == left) {
            fs::rename(&next, &pin)?;
        }
        remove_file(&next)?;
        sys::pin(program.as_fd(), &next)?;
    }
    Ok(())
}

/// The links have moved to the programs that [`pin_next_programs`] pinned, if it did.
pub(super) fn settle_programs(folder: &Path) -> io::Result<()> {
    for hook in Hook::ALL {
        let pin = folder.join(program_pin(hook));
        let next = with_suffix(&pin, NEXT);
        match fs::rename(&next, &pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The maps that go on in the next generation, from `first` where it has them, else from whichever
/// generation does, those of this version before others.
pub(super) fn carried(
    pin_root: &Path,
    first: Option<GenerationName>,
) -> io::Result<Vec<(&'static MapSpec, OwnedFd)>> {
    let names: Vec<GenerationName> = first.into_iter().chain(generations(pin_root)?).collect();
    let folders: Vec<PathBuf> = names.into_iter().map(|name| folder_of(pin_root, name)).collect();
    let is_lost = |spec: &MapSpec| spec.pin == AFFINITY.pin && plants::has(Plant::AffinityNotCarried);
    let carried = CATALOGUE.iter().filter(|spec| spec.life == Life::Carried && !is_lost(spec));
    let found = carried.filter_map(|spec| {
        let map = folders.iter().find_map(|folder| map::open_as(folder, spec).ok()?)?;
        Some((spec, map.0))
    });
    Ok(found.collect())
}

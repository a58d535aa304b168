//! The writer's links: made once, pinned, held, and from then on only pointed at other programs.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lb_common::hook::Hook;

use super::attach::{PinnedLink, pinned_link};
use super::load::{Program, Programs};
use crate::datapath::cgroup::Cgroup;
use crate::datapath::generation::program_of_id;
use crate::datapath::pins::{Settled, pin_over};
use crate::datapath::sys;
use crate::plants::{self, Plant};

#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("could not attach at {} of {}", hook.name(), cgroup.display())]
    Attach {
        hook: Hook,
        cgroup: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not pin the link of {} at {}", hook.name(), path.display())]
    Pin {
        hook: Hook,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not put another program behind the link of {}", hook.name())]
    Update {
        hook: Hook,
        #[source]
        source: io::Error,
    },
}

/// What happened to a link of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is off its hook, or its cgroup is gone: nothing is forwarded there.
    Detached { hook: Hook },
    /// Another process put another program behind it.
    OtherProgram { hook: Hook, program_id: u32 },
    /// Its pin was taken away: it would go with this process.
    Unpinned { hook: Hook },
}

impl Damage {
    const fn hook(self) -> Hook {
        match self {
            Self::Detached { hook } | Self::OtherProgram { hook, .. } | Self::Unpinned { hook } => hook,
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hook = self.hook().name();
        match self {
            Self::Detached { .. } => write!(f, "the link of {hook} was detached, or its cgroup removed"),
            Self::OtherProgram { program_id, .. } => {
                write!(f, "another program, id {program_id}, was put behind the link of {hook}")
            }
            Self::Unpinned { .. } => write!(f, "the pin of the link of {hook} was removed"),
        }
    }
}

/// What a look at the links found.
#[derive(Debug, Default)]
pub struct Look {
    /// What happened to them since the last look.
    pub damage: Vec<Damage>,
    /// The programs of others that run before ours, by hook.
    pub before_ours: Vec<(Hook, Vec<u32>)>,
}

/// The links below one pin root. They are held open, so that a pin which is taken away takes no
/// program with it.
#[derive(Debug)]
pub struct Links {
    pin_root: PathBuf,
    /// In the order of attaching.
    held: Vec<Held>,
    settled: Settled,
}

#[derive(Debug)]
struct Held {
    hook: Hook,
    link: OwnedFd,
    /// The inode of its pin.
    pin: u64,
    /// What runs there; `None` while that is a program of an earlier agent that cannot be opened.
    program: Option<Arc<Program>>,
}

impl Links {
    /// The links of an earlier agent at this cgroup.
    #[must_use]
    pub fn open(pin_root: &Path, cgroup: &Cgroup) -> Self {
        let found = |hook: Hook| {
            let found = pinned_link(&pin_root.join(hook.name()))?;
            let is_ours = found.info.cgroup_id == cgroup.id && found.info.attach_type == hook.attach_type();
            // Only to be put back if a change fails.
            let program = program_of_id(pin_root, hook, found.info.prog_id);
            is_ours.then_some(Held { hook, program, link: found.link, pin: found.inode })
        };
        let held = Hook::ALL.into_iter().filter_map(found).collect();
        Self { pin_root: pin_root.to_owned(), held, settled: Settled::default() }
    }

    /// Puts `programs` into effect at `cgroup`, readers first, each without a moment in which none
    /// is attached.
    ///
    /// # Errors
    /// When the kernel refuses one. Then the links that had moved run again what they ran before,
    /// as far as that is in hand, and those that were made are gone.
    pub fn put(&mut self, programs: &Programs, cgroup: &Cgroup) -> Result<(), AttachError> {
        let mut moved = Vec::new();
        let mut made = Vec::new();
        let mut programs: Vec<&Arc<Program>> = programs.iter().collect();
        if plants::has(Plant::ReadersLast) {
            programs.reverse();
        }
        for program in programs {
            let hook = program.hook;
            let before = self.held.iter().find(|held| held.hook == hook).map(|held| held.program.clone());
            plants::linger_if(Plant::ReadersLast);
            if let Err(error) = self.put_one(program, cgroup) {
                self.roll_back(moved);
                self.remove(&made);
                return Err(error);
            }
            match before {
                Some(before) => moved.extend(before),
                None => made.push(hook),
            }
        }
        Ok(())
    }

    /// Looks at the links: one system call a hook while all is well, and one for their pins.
    #[must_use]
    pub fn look(&self, cgroup: &Cgroup) -> Look {
        let is_unpinned = |held: &Held| held.is_unpinned(&self.pin_root);
        let are_pinned = self.settled.holds(&self.pin_root, || !self.held.iter().any(is_unpinned));
        let mut look = Look::default();
        for held in &self.held {
            let hook = held.hook;
            let before = held.before(cgroup);
            // Where our program runs, by its link or by one that another process made, nothing is amiss for connections.
            let damage = if before.is_some() { None } else { held.damage() };
            let unpinned = || (!are_pinned && is_unpinned(held)).then_some(Damage::Unpinned { hook });
            look.damage.extend(damage.or_else(unpinned));
            look.before_ours.extend(before.filter(|before| !before.is_empty()).map(|before| (hook, before)));
        }
        look
    }

    /// Makes up for `damage`.
    ///
    /// # Errors
    /// When the kernel refuses. The rest is tried all the same.
    pub fn repair(&mut self, damage: &[Damage], cgroup: &Cgroup) -> Result<(), AttachError> {
        let mut result = Ok(());
        for hook in Hook::ALL.into_iter().filter(|hook| damage.iter().any(|damage| damage.hook() == *hook)) {
            let repaired = self.repair_one(hook, cgroup);
            result = result.and(repaired);
        }
        result
    }

    /// The programs of others that run before ours, by hook.
    #[must_use]
    pub fn before_ours(&self, cgroup: &Cgroup) -> Vec<(Hook, Vec<u32>)> {
        let before = |held: &Held| Some((held.hook, held.before(cgroup)?));
        self.held.iter().filter_map(before).filter(|(_, before)| !before.is_empty()).collect()
    }

    /// Puts links before those of others, where the kernel can. For as long as it takes to pin one, our program runs twice
    /// there: the second time it finds what the first has written, which is no Service.
    pub fn go_first(&mut self, cgroup: &Cgroup) {
        for (hook, _) in self.before_ours(cgroup) {
            let Some(held) = self.held.iter_mut().find(|held| held.hook == hook) else { continue };
            if let Err(error) = held.go_first(cgroup, &self.pin_root) {
                tracing::debug!(hook = hook.name(), %error, "this kernel does not put our program first");
            }
        }
    }

    fn repair_one(&mut self, hook: Hook, cgroup: &Cgroup) -> Result<(), AttachError> {
        let Some(at) = self.held.iter().position(|held| held.hook == hook) else { return Ok(()) };
        if let Some(program) = self.held[at].program.clone() {
            self.put_one(&program, cgroup)?;
        }
        let held = &mut self.held[at];
        if held.is_unpinned(&self.pin_root) {
            held.pin = pin(&held.link, hook, &self.pin_root)?;
        }
        Ok(())
    }

    fn put_one(&mut self, program: &Arc<Program>, cgroup: &Cgroup) -> Result<(), AttachError> {
        let hook = program.hook;
        let known = self.held.iter_mut().find(|held| held.hook == hook);
        if let Some(held) = known
            && sys::link_info(held.link.as_fd()).is_ok_and(|info| info.cgroup_id == cgroup.id)
        {
            sys::link_update(held.link.as_fd(), program.as_fd())
                .map_err(|source| AttachError::Update { hook, source })?;
            held.program = Some(Arc::clone(program));
            return Ok(());
        }
        let made = create(program, cgroup, &self.pin_root)?;
        self.held.retain(|held| held.hook != hook);
        self.held.push(made);
        self.held.sort_by_key(|held| held.hook);
        Ok(())
    }

    fn roll_back(&mut self, moved: Vec<Arc<Program>>) {
        for program in moved.into_iter().rev() {
            let Some(held) = self.held.iter_mut().find(|held| held.hook == program.hook) else { continue };
            if let Err(error) = sys::link_update(held.link.as_fd(), program.as_fd()) {
                // The other maps are complete, if not for long. The next look finds another program
                // behind the link than is expected, and puts this one back.
                tracing::warn!(hook = held.hook.name(), %error, "could not put the earlier program back");
            }
            held.program = Some(program);
        }
    }

    /// Takes links off their hooks. Their programs would go on over maps that no agent writes.
    fn remove(&mut self, made: &[Hook]) {
        let (made, kept) =
            std::mem::take(&mut self.held).into_iter().partition(|held| made.contains(&held.hook));
        self.held = kept;
        let made: Vec<Held> = made;
        for held in made.into_iter().rev() {
            let removed = sys::link_detach(held.link.as_fd());
            let removed = removed.and_then(|()| fs::remove_file(self.pin_root.join(held.hook.name())));
            if let Err(error) = removed {
                tracing::warn!(hook = held.hook.name(), %error, "could not take a new link off its hook");
            }
        }
    }
}

impl Held {
    /// The programs that run before ours; `None` where the kernel does not say, or ours does not run.
    fn before(&self, cgroup: &Cgroup) -> Option<Vec<u32>> {
        let ours = self.program.as_ref()?.id;
        let running = sys::effective_programs(cgroup.file.as_fd(), self.hook.attach_type()).ok()?;
        let place = running.iter().position(|id| *id == ours)?;
        Some(running[..place].to_vec())
    }

    fn go_first(&mut self, cgroup: &Cgroup, pin_root: &Path) -> io::Result<()> {
        let Some(program) = &self.program else { return Ok(()) };
        let (hook, cgroup) = (self.hook, cgroup.file.as_fd());
        let link = sys::link_create_first(program.as_fd(), cgroup, hook.attach_type())?;
        self.pin = pin(&link, hook, pin_root).map_err(io::Error::other)?;
        sys::link_detach(self.link.as_fd())?;
        self.link = link;
        Ok(())
    }

    /// But for its pin.
    fn damage(&self) -> Option<Damage> {
        let hook = self.hook;
        let Ok(info) = sys::link_info(self.link.as_fd()) else { return Some(Damage::Detached { hook }) };
        if info.cgroup_id == 0 {
            return Some(Damage::Detached { hook });
        }
        let is_other = self.program.as_ref().is_some_and(|program| program.id != info.prog_id);
        is_other.then_some(Damage::OtherProgram { hook, program_id: info.prog_id })
    }

    fn is_unpinned(&self, pin_root: &Path) -> bool {
        let found = fs::symlink_metadata(pin_root.join(self.hook.name()));
        found.map_or(true, |found| found.ino() != self.pin)
    }
}

/// Makes a link and pins it in the place of an old one, which belongs to another cgroup or to one
/// that is gone.
fn create(program: &Arc<Program>, cgroup: &Cgroup, pin_root: &Path) -> Result<Held, AttachError> {
    let hook = program.hook;
    let folder = cgroup.file.as_fd();
    // Not every kernel can put a program before others.
    let link = sys::link_create_first(program.as_fd(), folder, hook.attach_type())
        .or_else(|_| sys::link_create(program.as_fd(), folder, hook.attach_type()))
        .map_err(|source| AttachError::Attach { hook, cgroup: cgroup.path.clone(), source })?;
    let old = pinned_link(&pin_root.join(hook.name()));
    let pin = pin(&link, hook, pin_root)?;
    if let Some(PinnedLink { link, info, .. }) = old
        && info.cgroup_id != 0
        && let Err(error) = sys::link_detach(link.as_fd())
    {
        tracing::warn!(hook = hook.name(), %error, "could not detach the link of another cgroup");
    }
    Ok(Held { hook, link, pin, program: Some(Arc::clone(program)) })
}

/// Pins a link in the place of whatever lies there. Returns the inode of the pin.
fn pin(link: &OwnedFd, hook: Hook, pin_root: &Path) -> Result<u64, AttachError> {
    let path = pin_root.join(hook.name());
    let pinned = pin_over(link.as_fd(), &path).and_then(|()| fs::symlink_metadata(&path));
    pinned.map(|found| found.ino()).map_err(|source| AttachError::Pin { hook, path, source })
}

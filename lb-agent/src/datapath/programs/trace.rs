//! Programs that record what they decide, in the place of those that run, for as long as someone listens.
//!
//! The kernel can put an extension in the place of a function of a loaded program. Link, pin and program behind the link stay as
//! they are, and with the last descriptor of the extension it is gone: also when this process is killed (docs/design/0033).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::maps::{MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::{CgroupSockAddr, Extension, ProgramError, ProgramInfo, loaded_programs};
use aya::{Ebpf, EbpfError, EbpfLoader};
use lb_common::hook::Hook;
use lb_common::layout::CATALOGUE;
use lb_common::outcome::Outcome;
use lb_common::trace::Decision;

use super::attach::pinned_link;
use super::constants::Constants;
use super::load::{OBJECT, log_object};

/// Where something is decided.
const HOOKS: [Hook; 4] = [Hook::Sendmsg6, Hook::Sendmsg4, Hook::Connect6, Hook::Connect4];
/// The ring of the log in the same object, which stays empty: one page.
const LOG_RING: (&str, u32) = ("AYA_LOGS", 4096);
const RING: &str = "DECISIONS";
const LOST: &str = "LOST_DECISIONS";

#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error(
        "this lb-agent was built without programs that can be traced: build it by `cargo xtask build-ebpf` and cargo"
    )]
    NotBuilt,
    #[error("no program of Edgeloop is attached by {}: start `lb-agent run`, or name another folder with --pin-root", pin_root.display())]
    NothingAttached { pin_root: PathBuf },
    #[error("could not ask the kernel about the program at {} (it takes root on the node)", hook.name())]
    Info {
        hook: Hook,
        #[source]
        source: io::Error,
    },
    #[error(
        "the program at {} is not of this lb-agent ({}): use the one that runs as the agent; one that was started with --program-log \
         says what it does in its log and cannot be traced besides", hook.name(), env!("CARGO_PKG_VERSION")
    )]
    OfAnotherBuild { hook: Hook },
    #[error("could not load the program at {} of this lb-agent to compare it with the one that runs (it takes root on the node)", hook.name())]
    Compare {
        hook: Hook,
        #[source]
        source: Box<ProgramError>,
    },
    #[error("could not load programs that record what they decide (it takes root on the node)")]
    Load(#[source] Box<EbpfError>),
    #[error(
        "the kernel does not put a program that records in the place of the one at {}: it takes root on the node, Linux 5.10 on x86-64 \
         or 6.0 on arm64, and a machine whose policy does not forbid extensions of programs", hook.name()
    )]
    Refused {
        hook: Hook,
        #[source]
        source: Box<ProgramError>,
    },
    #[error("another process records at {} already: one `lb-agent trace` listens at a time", hook.name())]
    Busy { hook: Hook },
    #[error("could not open the ring buffer of the programs")]
    Ring(#[source] MapError),
}

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// Also calls to no Service.
    pub all: bool,
    /// Bytes of the ring buffer: a power of two, of a page at least.
    pub ring: u32,
}

/// Programs that record, until this is dropped.
pub struct Trace {
    pin_root: PathBuf,
    /// Which program runs behind the link of each hook.
    behind: BTreeMap<Hook, u32>,
    ring: RingBuf<MapData>,
    lost: PerCpuArray<MapData, u64>,
    /// Holds the programs, and with them their links.
    _object: Ebpf,
}

impl Trace {
    /// Puts programs that record in the place of those that run below `pin_root`, over the maps in `folder`.
    ///
    /// # Errors
    /// When none runs, one is of another build, the kernel cannot do it, or another process does it already.
    pub fn start(pin_root: &Path, folder: &Path, listen: Listen) -> Result<Self, TraceError> {
        let behind = behind(pin_root);
        if behind.is_empty() {
            return Err(TraceError::NothingAttached { pin_root: pin_root.to_owned() });
        }
        let running = programs(&behind)?;
        let names = names(&running)?;
        let Some((hook, first)) = running.first_key_value() else {
            return Err(TraceError::NothingAttached { pin_root: pin_root.to_owned() });
        };
        let constants = Constants::of(first).map_err(|source| TraceError::Info { hook: *hook, source })?;
        let mut object = load(folder, constants, listen, names.values().copied())?;
        for (hook, program) in &running {
            prepare(&mut object, *hook, names[hook], program)?;
        }
        for hook in running.keys() {
            attach(&mut object, *hook, names[hook])?;
        }
        let map = |object: &mut Ebpf, name: &str| {
            object.take_map(name).ok_or(MapError::InvalidName { name: name.to_owned() })
        };
        let ring = map(&mut object, RING).and_then(RingBuf::try_from).map_err(TraceError::Ring)?;
        let lost = map(&mut object, LOST).and_then(PerCpuArray::try_from).map_err(TraceError::Ring)?;
        Ok(Self { pin_root: pin_root.to_owned(), behind, ring, lost, _object: object })
    }

    /// Whether the programs that run are still those in whose place others record.
    #[must_use]
    pub fn is_current(&self) -> bool {
        behind(&self.pin_root) == self.behind
    }

    /// Waits until there is a record, as long as this at most.
    pub fn wait(&self, at_most: Duration) {
        let milliseconds = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
        let mut poll = libc::pollfd { fd: self.ring.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which is ours, of a descriptor that is open.
        unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    }

    /// The next record, if there is one. What is no record is passed over.
    pub fn take(&mut self) -> Option<(Decision, Hook, Outcome)> {
        while let Some(bytes) = self.ring.next() {
            if let Some(record) = Decision::read(&bytes) {
                return Some(record);
            }
        }
        None
    }

    /// How many records found no room since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.get(&0, 0).map(|copies| copies.iter().sum()).unwrap_or_default()
    }
}

/// The programs behind the links below `pin_root`.
fn behind(pin_root: &Path) -> BTreeMap<Hook, u32> {
    let links =
        HOOKS.into_iter().filter_map(|hook| Some((hook, pinned_link(&pin_root.join(hook.name()))?.info)));
    links.filter(|(_, info)| info.cgroup_id != 0).map(|(hook, info)| (hook, info.prog_id)).collect()
}

fn programs(behind: &BTreeMap<Hook, u32>) -> Result<BTreeMap<Hook, ProgramInfo>, TraceError> {
    let mut found = BTreeMap::new();
    // One that ends meanwhile is an error of its own, and not of ours.
    for program in loaded_programs().filter_map(Result::ok) {
        if let Some((hook, _)) = behind.iter().find(|(_, id)| **id == program.id()) {
            found.insert(*hook, program);
        }
    }
    match behind.keys().find(|hook| !found.contains_key(hook)) {
        Some(hook) => {
            let source = io::Error::new(io::ErrorKind::NotFound, "it is not shown");
            Err(TraceError::Info { hook: *hook, source })
        }
        None => Ok(found),
    }
}

/// What the running programs are called in the object, after a look whether they are those of this build: what records decides in
/// their place, and must decide as they do. Those of this build are loaded for that, over maps of their own, and go at once.
fn names(running: &BTreeMap<Hook, ProgramInfo>) -> Result<BTreeMap<Hook, &'static str>, TraceError> {
    let mut object =
        EbpfLoader::new().btf(None).load(OBJECT).map_err(|source| TraceError::Load(Box::new(source)))?;
    let mut names = BTreeMap::new();
    for (hook, program) in running {
        let other = TraceError::OfAnotherBuild { hook: *hook };
        let Some(name) = hook.programs().iter().find(|known| program.name_as_str() == Some(known)) else {
            return Err(other);
        };
        let tag = tag(&mut object, name)
            .map_err(|source| TraceError::Compare { hook: *hook, source: Box::new(source) })?;
        if tag != program.tag() {
            return Err(other);
        }
        names.insert(*hook, *name);
    }
    Ok(names)
}

/// The kernel's hash over the instructions of a program of the object.
fn tag(object: &mut Ebpf, name: &str) -> Result<u64, ProgramError> {
    let program: &mut CgroupSockAddr = object.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
    program.load()?;
    let tag = program.info()?.tag();
    program.unload()?;
    Ok(tag)
}

fn load(
    folder: &Path,
    constants: Constants,
    listen: Listen,
    extensions: impl Iterator<Item = &'static str>,
) -> Result<Ebpf, TraceError> {
    let Constants { loads_reorder, replaces, tcp_peername } = constants;
    let traces = if listen.all { 2_u8 } else { 1 };
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader.override_global("LOADS_REORDER", &loads_reorder, true);
    loader.override_global("REPLACES", &replaces, true).override_global("TCP_PEERNAME", &tcp_peername, true);
    loader.override_global("TRACES", &traces, true);
    // Maps that are pinned are used as they are, whatever their size.
    for spec in &CATALOGUE {
        loader.map_pin_path(spec.symbol, folder.join(spec.pin));
    }
    loader.map_max_entries(LOG_RING.0, LOG_RING.1).map_max_entries(RING, listen.ring);
    for name in extensions {
        loader.extension(name);
    }
    loader
        .load(log_object().ok_or(TraceError::NotBuilt)?)
        .map_err(|source| TraceError::Load(Box::new(source)))
}

fn extension<'o>(object: &'o mut Ebpf, name: &str) -> Result<&'o mut Extension, ProgramError> {
    // The object has a program of each of these names, or `load` would have failed.
    object.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}

fn prepare(object: &mut Ebpf, hook: Hook, name: &str, program: &ProgramInfo) -> Result<(), TraceError> {
    let mut load = || extension(object, name)?.load(program.fd()?, name);
    load().map_err(|source| TraceError::Refused { hook, source: Box::new(source) })
}

fn attach(object: &mut Ebpf, hook: Hook, name: &str) -> Result<(), TraceError> {
    let attached = extension(object, name).and_then(Extension::attach);
    match attached {
        Ok(_held_by_the_program) => Ok(()),
        Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EBUSY) => {
            Err(TraceError::Busy { hook })
        }
        Err(source) => Err(TraceError::Refused { hook, source: Box::new(source) }),
    }
}

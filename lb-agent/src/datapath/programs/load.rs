//! The kernel object: maps created or reused by name, programs loaded in the variant that loads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::programs::{CgroupSockAddr, ProgramError};
use aya::{Ebpf, EbpfError, EbpfLoader};
use lb_common::layout::{BACKENDS4, CATALOGUE, MapSpec, NAMES, SERVICES4};

use crate::plan::Capacity;

#[cfg(not(edgeloop_object))]
compile_error!("the kernel object is missing: run `cargo xtask build-ebpf` first");

/// The kernel object that this agent was built with.
#[cfg(edgeloop_object)]
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/edgeloop.o"));

/// A place in the kernel where a program of ours runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The link is pinned under this name; it is also what status calls the hook.
    pub name: &'static str,
    /// The program that refuses with `bpf_set_retval`.
    pub program: &'static str,
    /// The one for kernels that lack it.
    pub old_program: &'static str,
    /// As in `enum bpf_attach_type`.
    pub(super) attach_type: u32,
}

/// Every hook, in the order of attaching.
pub const HOOKS: [Hook; 2] = [
    Hook { name: "connect6", program: "lb_connect6", old_program: "lb_connect6_old", attach_type: 11 },
    Hook { name: "connect4", program: "lb_connect4", old_program: "lb_connect4_old", attach_type: 10 },
];

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("could not make the folder {} for the maps", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not create the maps in {} (it takes root, or CAP_BPF and CAP_NET_ADMIN)", path.display())]
    Maps {
        path: PathBuf,
        #[source]
        source: Box<EbpfError>,
    },
    #[error("the kernel object has no program {name}: it was built from another version")]
    Missing { name: &'static str },
    #[error("the kernel refuses program {name}")]
    Program {
        name: &'static str,
        #[source]
        source: Box<ProgramError>,
    },
}

/// What the programs may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The processor reorders loads: the programs fence theirs.
    pub loads_reorder: bool,
    /// Whether the variants with `bpf_set_retval` are tried before those without.
    pub may_set_errno: bool,
}

impl Features {
    /// The one we run on. Whether it has `bpf_set_retval` shows when the programs are loaded.
    pub const THIS: Self = Self { loads_reorder: cfg!(not(target_arch = "x86_64")), may_set_errno: true };
}

/// The programs of one object, loaded, bound to the maps in one folder.
#[derive(Debug)]
pub struct Programs {
    object: Ebpf,
    /// Whether refusals come as ECONNREFUSED from `bpf_set_retval`.
    pub can_set_errno: bool,
}

/// Creates the maps that `folder` lacks, in the sizes given, and loads the programs over them.
///
/// The caller has checked maps that exist: aya uses whatever it finds there.
///
/// # Errors
/// When the kernel refuses a map, or both variants of a program.
pub fn load(
    object: &[u8],
    folder: &Path,
    capacity: Capacity,
    machine: Features,
) -> Result<Programs, LoadError> {
    fs::create_dir_all(folder).map_err(|source| LoadError::Folder { path: folder.to_owned(), source })?;
    let reorders = u8::from(machine.loads_reorder);
    let mut loader = EbpfLoader::new();
    // Nothing here is relocated against the running kernel, and parsing its BTF takes most of the time.
    loader.btf(None).override_global("LOADS_REORDER", &reorders, true);
    for spec in &CATALOGUE {
        loader.map_pin_path(spec.symbol, folder.join(spec.pin));
        if let Some(entries) = entries(spec, capacity) {
            loader.map_max_entries(spec.symbol, entries);
        }
    }
    let mut object = loader
        .load(object)
        .map_err(|source| LoadError::Maps { path: folder.to_owned(), source: Box::new(source) })?;
    let new = |object: &mut Ebpf| HOOKS.iter().try_for_each(|hook| load_program(object, hook.program));
    let can_set_errno = machine.may_set_errno && new(&mut object).is_ok();
    if !can_set_errno {
        HOOKS.iter().try_for_each(|hook| load_program(&mut object, hook.old_program))?;
    }
    Ok(Programs { object, can_set_errno })
}

impl Programs {
    /// The program for `hook`, in the variant that was loaded.
    pub(super) fn at(&mut self, hook: &Hook) -> Result<&mut CgroupSockAddr, LoadError> {
        let name = if self.can_set_errno { hook.program } else { hook.old_program };
        program(&mut self.object, name)
    }
}

fn entries(spec: &MapSpec, capacity: Capacity) -> Option<u32> {
    if spec.max_entries.is_some() {
        None
    } else if spec.pin == BACKENDS4.pin {
        Some(capacity.backends)
    } else {
        debug_assert!(spec.pin == SERVICES4.pin || spec.pin == NAMES.pin, "{spec:?} has a size of its own");
        Some(capacity.frontends)
    }
}

fn load_program(object: &mut Ebpf, name: &'static str) -> Result<(), LoadError> {
    let program = program(object, name)?;
    program.load().map_err(|source| LoadError::Program { name, source: Box::new(source) })
}

fn program<'o>(object: &'o mut Ebpf, name: &'static str) -> Result<&'o mut CgroupSockAddr, LoadError> {
    let program = object.program_mut(name).ok_or(LoadError::Missing { name })?;
    program.try_into().map_err(|_wrong_type: ProgramError| LoadError::Missing { name })
}

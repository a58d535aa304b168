//! The kernel object: maps created or reused by name, programs loaded in the variant that loads.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use aya::programs::{CgroupSockAddr, ProgramError};
use aya::{Ebpf, EbpfError, EbpfLoader};
use flate2::bufread::GzDecoder;
use lb_common::hook::Hook;
use lb_common::layout::{CATALOGUE, MapSpec, Size, Width};

use crate::datapath::memory::{Demand, Left, Limits, RESERVE, megabytes};
use crate::datapath::rights::Held;
use crate::datapath::sys;
use crate::model::{Mode, TcpPeername};
use crate::plan::Capacity;

use super::log::{LogError, ProgramLog};

#[cfg(not(edgeloop_object))]
compile_error!("the kernel object is missing: run `cargo xtask build-ebpf` first");

/// The kernel object that this agent was built with.
#[cfg(edgeloop_object)]
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/edgeloop.o"));

/// The same with programs that say what they do with each call; `None` where that was not built.
#[must_use]
pub fn log_object() -> Option<&'static [u8]> {
    static UNPACKED: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
        let mut object = Vec::new();
        GzDecoder::new(PACKED_LOG_OBJECT?).read_to_end(&mut object).ok()?;
        Some(object)
    });
    UNPACKED.as_deref()
}

#[cfg(edgeloop_log_object)]
static PACKED_LOG_OBJECT: Option<&[u8]> =
    Some(include_bytes!(concat!(env!("OUT_DIR"), "/edgeloop-log.o.gz")));
#[cfg(not(edgeloop_log_object))]
static PACKED_LOG_OBJECT: Option<&[u8]> = None;

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
    #[error(
        "no memory for {what}: maps for {} service ports, {} backends of IPv4 and {} of IPv6 take {} when they are made and {} when they \
         are full{}; raise the memory limit of the agent, or lower --max-services and --max-backends",
        capacity.frontends, capacity.backends.v4, capacity.backends.v6,
        megabytes(Demand::of(*capacity).at_once), megabytes(Demand::of(*capacity).full),
        left.map(|left| format!(", and {left}")).unwrap_or_default()
    )]
    NoMemory { what: &'static str, capacity: Capacity, left: Option<Left> },
    #[error("the kernel object has no program {name}: it was built from another version")]
    Missing { name: &'static str },
    #[error("the kernel refuses program {name}: {}", in_short(error))]
    Program { name: &'static str, error: Box<ProgramError> },
    #[error("could not read what the programs say")]
    Log(#[from] LogError),
    #[error("could not ask the kernel about program {name}")]
    Info {
        name: &'static str,
        #[source]
        source: io::Error,
    },
}

impl LoadError {
    /// Whether the kernel's verifier refused a program, as it does where it lacks a helper: EINVAL.
    fn is_of_the_verifier(&self) -> bool {
        let Self::Program { error, .. } = self else { return false };
        matches!(&**error, ProgramError::LoadError { io_error, .. } if io_error.raw_os_error() == Some(libc::EINVAL))
    }
}

impl LoadError {
    /// The same, with what it takes, where a program was refused for lack of memory.
    fn or_no_memory(self, capacity: Capacity) -> Self {
        if let Self::Program { name, error } = &self
            && is_out_of_memory(&**error)
        {
            return Self::NoMemory { what: name, capacity, left: Limits::own().left() };
        }
        self
    }
}

/// Whether the kernel says ENOMEM, however deep that lies.
fn is_out_of_memory(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if code == Some(libc::ENOMEM) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn in_short(error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else { return error.to_string() };
    let is_guarded = Held::by_this_process().is_some_and(|held| !held.has_perfmon());
    reason(io_error, &verifier_log.to_string(), is_guarded)
}

const PERFMON: &str = "; kernels before 6.17 refuse the programs to a process without CAP_PERFMON: grant it (in the chart: securityContext.perfmon)";

/// The verifier says everything that it went through: why it refused stands at the end, before its statistics.
/// `is_guarded`: the process lacks CAP_PERFMON, which may be the reason behind that one.
fn reason(error: &io::Error, log: &str, is_guarded: bool) -> String {
    let is_statistics = |line: &str| {
        ["processed ", "verification time ", "stack depth "].iter().any(|begin| line.starts_with(begin))
    };
    let last = log.lines().map(str::trim).rfind(|line| !line.is_empty() && !is_statistics(line));
    let hint = if is_guarded { PERFMON } else { "" };
    // Without a word of the verifier it was not asked.
    last.map_or_else(|| error.to_string(), |last| format!("{error}; the verifier says: {last}{hint}"))
}

/// What the programs may rely on, and what is asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The processor reorders loads: the programs fence theirs.
    pub loads_reorder: bool,
    /// Whether the variants with `bpf_set_retval` are tried before those without.
    pub may_set_errno: bool,
    pub mode: Mode,
    pub tcp_peername: TcpPeername,
}

impl Features {
    /// The one we run on, nothing asked. Whether it has `bpf_set_retval` shows when the programs are loaded.
    pub const THIS: Self = Self {
        loads_reorder: cfg!(not(target_arch = "x86_64")),
        may_set_errno: true,
        mode: Mode::Beside,
        tcp_peername: TcpPeername::Backend,
    };
}

/// A program in the kernel, for its hook.
#[derive(Debug)]
pub struct Program {
    pub hook: Hook,
    pub id: u32,
    fd: OwnedFd,
}

impl Program {
    /// # Errors
    /// When the kernel does not describe it.
    pub(in crate::datapath) fn new(hook: Hook, fd: OwnedFd) -> io::Result<Self> {
        let id = sys::program_info(fd.as_fd())?.id;
        Ok(Self { hook, id, fd })
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The programs of one object, loaded, bound to the maps in one folder.
#[derive(Debug)]
pub struct Programs {
    /// One for each hook in use, in the order of attaching.
    loaded: Vec<Arc<Program>>,
    can_set_errno: bool,
    /// Reads what they say, if they say anything.
    _log: Option<ProgramLog>,
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
    load_into(object, Some(folder), capacity, machine)
}

/// Whether there is memory for new maps, and for the agent besides: the kernel refuses a map in time, but the page that
/// the agent touches next would end it.
///
/// # Errors
/// When there is not.
pub fn has_memory_for(capacity: Capacity) -> Result<(), LoadError> {
    match Limits::own().left() {
        Some(left) if left.left < Demand::of(capacity).at_once + RESERVE => {
            Err(LoadError::NoMemory { what: "the maps", capacity, left: Some(left) })
        }
        Some(_) | None => Ok(()),
    }
}

/// The same over maps that are not pinned and go with the programs: whether this kernel takes them.
///
/// # Errors
/// As [`load`].
pub fn try_out(object: &[u8], machine: Features) -> Result<Programs, LoadError> {
    load_into(object, None, Capacity::of(1, 1), machine)
}

fn load_into(
    object: &[u8],
    folder: Option<&Path>,
    capacity: Capacity,
    machine: Features,
) -> Result<Programs, LoadError> {
    let reorders = u8::from(machine.loads_reorder);
    let replaces = u8::from(machine.mode == Mode::Replace);
    let peername = u8::from(machine.tcp_peername == TcpPeername::Dialled);
    let mut loader = EbpfLoader::new();
    // Nothing here is relocated against the running kernel, and parsing its BTF takes most of the time.
    loader.btf(None).override_global("LOADS_REORDER", &reorders, true);
    loader.override_global("REPLACES", &replaces, true).override_global("TCP_PEERNAME", &peername, true);
    // Only the object with lines for each call has it.
    loader.override_global("LOGS", &1_u8, false);
    for spec in &CATALOGUE {
        if let Some(folder) = folder {
            loader.map_pin_path(spec.symbol, folder.join(spec.pin));
        }
        if let Some(elements) = elements(spec, capacity) {
            loader.map_max_entries(spec.symbol, elements);
        }
    }
    let place = folder.unwrap_or(Path::new("memory"));
    let mut object = loader.load(object).map_err(|source| {
        if is_out_of_memory(&source) {
            return LoadError::NoMemory { what: "the maps", capacity, left: Limits::own().left() };
        }
        LoadError::Maps { path: place.to_owned(), source: Box::new(source) }
    })?;
    let mut programs =
        Programs { loaded: Vec::new(), can_set_errno: true, _log: ProgramLog::of(&mut object)? };
    for hook in Hook::ALL {
        let name = load_best(&mut object, hook, machine).map_err(|error| error.or_no_memory(capacity))?;
        let fd = descriptor(&mut object, name)?;
        let program = Program::new(hook, fd).map_err(|source| LoadError::Info { name, source })?;
        programs.loaded.push(Arc::new(program));
        programs.can_set_errno &= hook.programs().first() == Some(&name);
    }
    Ok(programs)
}

impl Programs {
    /// Whether refusals come as ECONNREFUSED from `bpf_set_retval`, at every hook.
    #[must_use]
    pub const fn can_set_errno(&self) -> bool {
        self.can_set_errno
    }

    /// In the order of attaching.
    pub(in crate::datapath) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Program>> {
        self.loaded.iter()
    }
}

/// Loads the best program of `hook` that this kernel takes. Only a kernel that does not know a
/// helper is a reason for the next one: without memory, say, the next would refuse connections in
/// another way for no reason.
fn load_best(object: &mut Ebpf, hook: Hook, machine: Features) -> Result<&'static str, LoadError> {
    let programs = hook.programs();
    let first = usize::from(!machine.may_set_errno).min(programs.len().saturating_sub(1));
    let mut refused = LoadError::Missing { name: hook.name() };
    for name in &programs[first..] {
        match load_program(object, name) {
            Ok(()) => return Ok(name),
            Err(error) if error.is_of_the_verifier() => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

const fn elements(spec: &MapSpec, capacity: Capacity) -> Option<u32> {
    match spec.size {
        Size::Fixed(_) | Size::PerSocket => None,
        Size::ByFrontends => Some(capacity.frontends),
        Size::ByBackends(Width::V4) => Some(capacity.backends.v4),
        Size::ByBackends(Width::V6) => Some(capacity.backends.v6),
    }
}

fn load_program(object: &mut Ebpf, name: &'static str) -> Result<(), LoadError> {
    let program = program(object, name)?;
    program.load().map_err(|error| LoadError::Program { name, error: Box::new(error) })
}

fn descriptor(object: &mut Ebpf, name: &'static str) -> Result<OwnedFd, LoadError> {
    let fd = program(object, name)?.fd();
    let fd = fd.map_err(|error| LoadError::Program { name, error: Box::new(error) })?;
    fd.as_fd().try_clone_to_owned().map_err(|source| LoadError::Info { name, source })
}

fn program<'o>(object: &'o mut Ebpf, name: &'static str) -> Result<&'o mut CgroupSockAddr, LoadError> {
    let program = object.program_mut(name).ok_or(LoadError::Missing { name })?;
    program.try_into().map_err(|_wrong_type: ProgramError| LoadError::Missing { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lack_of_memory_is_found_however_deep_it_lies() {
        let of = |code| io::Error::from_raw_os_error(code);
        let map = |code| {
            let error = aya::maps::MapError::CreateError { name: "SERVICES4".to_owned(), io_error: of(code) };
            EbpfError::MapError(error)
        };
        assert!(is_out_of_memory(&map(libc::ENOMEM)) && !is_out_of_memory(&map(libc::EPERM)));
        assert!(is_out_of_memory(&of(libc::ENOMEM)) && !is_out_of_memory(&io::Error::other("ENOMEM")));
    }

    #[test]
    fn of_a_long_verifier_log_the_reason_is_shown() {
        for (log, says) in [
            (
                "0: R1=ctx() R10=fp0\n440: (0f) r0 += r1\nR0 tried to add from different maps\nverification time 7 usec\nstack depth 224+0\nprocessed 990 insns (limit 1000000)\n",
                "refused; the verifier says: R0 tried to add from different maps",
            ),
            ("", "refused"),
        ] {
            let reason = |is_guarded| reason(&io::Error::other("refused"), log, is_guarded);
            assert_eq!(reason(false), says);
            assert_eq!(
                reason(true),
                if log.is_empty() { says.to_owned() } else { format!("{says}{PERFMON}") }
            );
        }
    }
}

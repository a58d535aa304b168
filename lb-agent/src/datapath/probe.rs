//! What this kernel offers, tried without leaving a trace: programs are loaded and dropped.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use lb_common::hook::Hook;

use super::cgroup::Cgroup;
use super::programs::load::{Features, LoadError, OBJECT, try_out};
use super::sys;
use crate::shown::shown;

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPFFS: i64 = 0xcafe_4a11;

/// A helper of the kernel that changes what Edgeloop can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helper {
    /// Refuses with ECONNREFUSED. Linux 5.18.
    SetRetval,
    /// Tells sockets apart. Linux 4.12, at these hooks 4.18.
    SocketCookie,
}

impl Helper {
    pub const ALL: [Self; 2] = [Self::SetRetval, Self::SocketCookie];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SetRetval => "bpf_set_retval",
            Self::SocketCookie => "bpf_get_socket_cookie",
        }
    }

    /// Its number in `enum bpf_func_id`.
    const fn number(self) -> i32 {
        match self {
            Self::SetRetval => 187,
            Self::SocketCookie => 46,
        }
    }
}

/// Whether programs of this hook load.
///
/// # Errors
/// As `BPF_PROG_LOAD`: EINVAL for a hook that this kernel does not know, EPERM without the right.
pub fn hook(hook: Hook) -> io::Result<()> {
    sys::load_program(&[set(0, 1), EXIT], hook.attach_type()).map(drop)
}

/// Whether a program at `connect4` may call this helper.
///
/// # Errors
/// As [`hook`].
pub fn helper(helper: Helper) -> io::Result<()> {
    // `bpf_set_retval` takes a number, `bpf_get_socket_cookie` what the program was given in this register.
    let argument = match helper {
        Helper::SetRetval => Some(set(1, -libc::ECONNREFUSED)),
        Helper::SocketCookie => None,
    };
    let instructions: Vec<u64> =
        argument.into_iter().chain([instruction(0x85, 0, helper.number()), set(0, 1), EXIT]).collect();
    sys::load_program(&instructions, Hook::Connect4.attach_type()).map(drop)
}

/// Loads the agent's own programs. Whether they refuse with ECONNREFUSED.
///
/// # Errors
/// When the kernel refuses a map or a program.
pub fn programs() -> Result<bool, LoadError> {
    Ok(try_out(OBJECT, Features::THIS)?.can_set_errno())
}

/// A program at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub id: u32,
    /// `None` where the kernel does not show it: that takes CAP_SYS_ADMIN.
    pub name: Option<String>,
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} (id {})", shown(name), self.id),
            None => write!(f, "id {}", self.id),
        }
    }
}

/// The program of this id, with its name where the kernel shows that.
#[must_use]
pub fn program(id: u32) -> Running {
    Running { id, name: name(id) }
}

/// Whether this kernel can attach our programs before those of others.
///
/// # Errors
/// When it takes no program.
pub fn can_be_first() -> io::Result<bool> {
    let attach_type = Hook::Connect4.attach_type();
    let program = sys::load_program(&[set(0, 1), EXIT], attach_type)?;
    Ok(sys::can_be_first(program.as_fd(), attach_type))
}

/// The programs that run at a hook of `cgroup`, in order.
///
/// # Errors
/// When the kernel does not say.
pub fn running(cgroup: &Cgroup, hook: Hook) -> io::Result<Vec<Running>> {
    let ids = sys::effective_programs(cgroup.file.as_fd(), hook.attach_type())?;
    Ok(ids.into_iter().map(program).collect())
}

fn name(id: u32) -> Option<String> {
    let program = sys::program_by_id(id).ok()?;
    let name = sys::named_program_info(program.as_fd()).ok()?.name;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Some(String::from_utf8_lossy(&name[..end]).into_owned())
}

/// Whether a bpf file system is mounted at `path`.
///
/// # Errors
/// When it cannot be opened.
pub fn is_bpffs(path: &Path) -> io::Result<bool> {
    Ok(sys::filesystem(&File::open(path)?)? == BPFFS)
}

/// `exit`.
const EXIT: u64 = instruction(0x95, 0, 0);

/// `register = value`.
const fn set(register: u8, value: i32) -> u64 {
    instruction(0xb7, register, value)
}

/// As `struct bpf_insn` lies in memory, with one register and one number.
const fn instruction(opcode: u8, register: u8, value: i32) -> u64 {
    let [a, b, c, d] = value.to_ne_bytes();
    u64::from_ne_bytes([opcode, register, 0, 0, a, b, c, d])
}

//! What all connected UDP sockets of this machine remember, by one walk over the storages: an iterator of the kernel (Linux 5.9),
//! which takes CAP_PERFMON and the kernel's BTF. It shows in which network namespace each socket is, and not which socket it is.

use std::fs;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};

use bytemuck::{Pod, Zeroable};
use lb_common::layout;

use super::memory::{Memories, translation};
use crate::datapath::btf::{Btf, Malformed};
use crate::datapath::instructions::{
    EXIT, STACK, Width, add, call, copy, load, set, skip_if, skip_unless, store,
};
use crate::datapath::sys;
use crate::model::Translation;

const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// What the kernel calls the iterator.
const FUNCTION: &str = "bpf_iter_bpf_sk_storage_map";
/// Of `enum bpf_func_id`.
const SEQ_WRITE: i32 = 127;
const IPPROTO_UDP: i32 = 17;
/// The state of a UDP socket that is connected.
const ESTABLISHED: i32 = 1;

/// Why there is no iterator.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    #[error("the kernel has no description of its types at {TYPES}")]
    NoTypes(#[source] io::Error),
    #[error("the description of the kernel's types at {TYPES} is not as it is documented")]
    Types,
    #[error("the kernel has no iterator over socket storages, or not the members that it is to read")]
    Lacking,
    #[error("the kernel does not take the iterator (CAP_PERFMON)")]
    Load(#[source] io::Error),
    #[error("the kernel does not run the iterator")]
    Run(#[source] io::Error),
}

/// One socket that is connected: where it is, to what, and by which translation it was once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The number of its network namespace.
    pub namespace: u64,
    /// The same as the translation's backend, unless it was connected elsewhere since.
    pub peer: SocketAddr,
    pub translation: Translation,
}

/// The iterator, loaded.
#[derive(Debug)]
pub struct Walker(OwnedFd);

/// What the iterator writes for each socket.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Record {
    namespace: u32,
    family: u16,
    port: [u8; 2],
    translation: layout::Translation,
    /// The peer, by its family.
    v6: [u8; 16],
    v4: [u8; 4],
    zero: u32,
}

const RECORD: usize = size_of::<Record>();

/// Where the kernel has what is read.
#[derive(Clone, Copy, Debug)]
struct Offsets {
    /// Of a socket.
    protocol: i16,
    state: i16,
    namespace: i16,
    family: i16,
    peer_port: i16,
    peer4: i16,
    /// `None` in a kernel without IPv6.
    peer6: Option<i16>,
    /// Of a network namespace.
    number: i16,
}

impl Walker {
    /// Loads the iterator.
    ///
    /// # Errors
    /// When the kernel has none, or this process may not.
    pub fn load() -> Result<Self, WalkError> {
        let bytes = fs::read(TYPES).map_err(WalkError::NoTypes)?;
        let types = Btf::parse(&bytes).map_err(|Malformed| WalkError::Types)?;
        let function = types.function(FUNCTION).ok_or(WalkError::Lacking)?;
        let offsets = Offsets::of(&types).ok_or(WalkError::Lacking)?;
        sys::load_iterator(&program(offsets), function).map(Self).map_err(WalkError::Load)
    }

    /// Walks over the storages of `memories`.
    ///
    /// # Errors
    /// When the kernel does not.
    pub fn walk(&self, memories: &Memories) -> Result<Vec<Walked>, WalkError> {
        self.read(memories).map_err(WalkError::Run)
    }

    fn read(&self, memories: &Memories) -> io::Result<Vec<Walked>> {
        let link = sys::link_iterator(self.0.as_fd(), memories.connected_fd())?;
        let mut file = sys::iterate(link.as_fd())?;
        let (mut found, mut buffer, mut held) = (Vec::new(), vec![0; RECORD * 512], 0);
        loop {
            // A read may end within a record.
            let length = match file.read(&mut buffer[held..]) {
                Ok(0) => return Ok(found),
                Ok(length) => length + held,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let whole = length - length % RECORD;
            let (records, _) = buffer[..whole].as_chunks::<RECORD>();
            found.extend(records.iter().filter_map(|record| walked(&bytemuck::pod_read_unaligned(record))));
            buffer.copy_within(whole..length, 0);
            held = length - whole;
        }
    }
}

fn walked(record: &Record) -> Option<Walked> {
    let Record { namespace, family, port, translation: held, v6, v4, zero: _ } = record;
    let ip = match i32::from(*family) {
        libc::AF_INET => Ipv4Addr::from(*v4).into(),
        libc::AF_INET6 => Ipv6Addr::from(*v6).to_canonical(),
        _ => return None,
    };
    let peer = SocketAddr::new(ip, u16::from_be_bytes(*port));
    Some(Walked { namespace: (*namespace).into(), peer, translation: translation(held)? })
}

impl Offsets {
    fn of(types: &Btf<'_>) -> Option<Self> {
        let offset = |name, path: &[&str]| i16::try_from(types.offset(name, path)?).ok();
        let common = |member| offset("sock", &["__sk_common", member]);
        Some(Self {
            protocol: offset("sock", &["sk_protocol"])?,
            state: common("skc_state")?,
            namespace: offset("sock", &["__sk_common", "skc_net", "net"])?,
            family: common("skc_family")?,
            peer_port: common("skc_dport")?,
            peer4: common("skc_daddr")?,
            peer6: common("skc_v6_daddr"),
            number: offset("net", &["ns", "inum"])?,
        })
    }
}

/// Writes a [`Record`] for each socket that is a connected one of UDP. It is given a `bpf_iter__bpf_sk_storage_map`.
fn program(offsets: Offsets) -> Vec<u64> {
    const AT: i16 = -(RECORD as i16);
    let Offsets { protocol, state, namespace, family, peer_port, peer4, peer6, number } = offsets;
    // From a socket, in register 2, or a value, in register 7.
    let member = |width, from, member, to| [load(width, 3, from, member), store(width, STACK, AT + to, 3)];
    let v6 = match peer6 {
        Some(at) => [member(Width::Double, 2, at, 48), member(Width::Double, 2, at + 8, 56)],
        None => [48, 56].map(|to| [set(3, 0), store(Width::Double, STACK, AT + to, 3)]),
    };
    let of_socket = [
        [load(Width::Double, 3, 2, namespace), load(Width::Word, 3, 3, number)],
        [store(Width::Word, STACK, AT, 3), set(3, 0)],
        // With the zero; the address comes after.
        [store(Width::Double, STACK, AT + 64, 3), set(3, 0)],
        member(Width::Half, 2, family, 4),
        member(Width::Half, 2, peer_port, 6),
        v6[0],
        v6[1],
        member(Width::Word, 2, peer4, 64),
    ];
    let translation = [0, 8, 16, 24, 32].map(|at| member(Width::Double, 7, at, 8 + at));
    let write = [
        // `meta->seq`
        load(Width::Double, 1, 6, 0),
        load(Width::Double, 1, 1, 0),
        copy(2, STACK),
        add(2, AT as i32),
        set(3, RECORD as i32),
        call(SEQ_WRITE),
    ];
    let write = [of_socket.as_flattened(), translation.as_flattened(), &write].concat();
    let past = write.len() as i16;
    let asks = [
        copy(6, 1),
        // The socket, and the value; both are missing at the end.
        load(Width::Double, 2, 6, 16),
        skip_if(2, 0, past + 6),
        load(Width::Double, 7, 6, 24),
        skip_if(7, 0, past + 4),
        load(Width::Half, 3, 2, protocol),
        skip_unless(3, IPPROTO_UDP, past + 2),
        load(Width::Byte, 3, 2, state),
        skip_unless(3, ESTABLISHED, past),
    ];
    [&asks[..], &write, &[set(0, 0), EXIT]].concat()
}

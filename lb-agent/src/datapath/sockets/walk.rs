//! What all connected UDP sockets of this machine remember, by one walk over the storages: an iterator of the kernel (Linux 5.9),
//! which takes CAP_PERFMON and the kernel's BTF. It shows in which network namespace each socket is, and not which socket it is.

use std::fs;
use std::io::{self, Read as _};
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

/// One socket that is connected: where it is, and by which translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The number of its network namespace.
    pub namespace: u64,
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
    zero: u32,
    translation: layout::Translation,
}

const RECORD: usize = size_of::<Record>();

/// Where the kernel has what is read.
#[derive(Clone, Copy, Debug)]
struct Offsets {
    /// Of a socket.
    protocol: i16,
    state: i16,
    namespace: i16,
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
    let translation = translation(&record.translation)?;
    Some(Walked { namespace: record.namespace.into(), translation })
}

impl Offsets {
    fn of(types: &Btf<'_>) -> Option<Self> {
        let offset = |name, path: &[&str]| i16::try_from(types.offset(name, path)?).ok();
        Some(Self {
            protocol: offset("sock", &["sk_protocol"])?,
            state: offset("sock", &["__sk_common", "skc_state"])?,
            namespace: offset("sock", &["__sk_common", "skc_net", "net"])?,
            number: offset("net", &["ns", "inum"])?,
        })
    }
}

/// Writes a [`Record`] for each socket that is a connected one of UDP. It is given a `bpf_iter__bpf_sk_storage_map`.
fn program(offsets: Offsets) -> Vec<u64> {
    const AT: i16 = -(RECORD as i16);
    const VALUE: i16 = AT + 8;
    let Offsets { protocol, state, namespace, number } = offsets;
    let write = [
        load(Width::Double, 3, 2, namespace),
        load(Width::Word, 3, 3, number),
        store(Width::Double, STACK, AT, 3),
        // The translation.
        load(Width::Double, 3, 7, 0),
        store(Width::Double, STACK, VALUE, 3),
        load(Width::Double, 3, 7, 8),
        store(Width::Double, STACK, VALUE + 8, 3),
        load(Width::Double, 3, 7, 16),
        store(Width::Double, STACK, VALUE + 16, 3),
        load(Width::Double, 3, 7, 24),
        store(Width::Double, STACK, VALUE + 24, 3),
        load(Width::Double, 3, 7, 32),
        store(Width::Double, STACK, VALUE + 32, 3),
        // `meta->seq`
        load(Width::Double, 1, 6, 0),
        load(Width::Double, 1, 1, 0),
        copy(2, STACK),
        add(2, AT as i32),
        set(3, RECORD as i32),
        call(SEQ_WRITE),
    ];
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

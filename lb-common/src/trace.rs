//! What a program says of one call while someone traces: a record in a ring buffer. It is no part of the layout of the pinned
//! maps: the programs that write it and the one that reads it come from one build.

use bytemuck::{Pod, Zeroable};

use crate::hook::Hook;
use crate::outcome::Outcome;

/// One decision.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Decision {
    /// Nanoseconds since the boot, also while the machine slept.
    pub at: u64,
    /// The id of the process's cgroup: the inode of its folder.
    pub cgroup: u64,
    pub thread: u32,
    pub process: u32,
    /// What the call dials after the program: IPv4 as `::ffff:a.b.c.d`.
    pub dials: [u8; 16],
    /// What it dialled before. Zero where [`how`](Self::how) is [`HOW_NOTHING`].
    pub dialled: [u8; 16],
    /// The service port's id and revision; zero where none was found.
    pub id: u32,
    pub revision: u32,
    /// In network order, as [`dialled_port`](Self::dialled_port).
    pub dials_port: [u8; 2],
    pub dialled_port: [u8; 2],
    /// At which place of [`LOOP`](crate::layout::LOOP) the backend counts.
    pub place: u16,
    /// As in IP headers.
    pub protocol: u8,
    /// A [`Hook`].
    pub hook: u8,
    /// An [`Outcome`].
    pub outcome: u8,
    /// One of `HOW_…`.
    pub how: u8,
    pub zero: [u8; 6],
}
wire!(Decision, 80);

/// No lookup was made, or there was no memory to keep what it found until the end of the call.
pub const HOW_NOTHING: u8 = 0;
/// A lookup was made, and nothing was chosen.
pub const HOW_LOOKED_UP: u8 = 1;
/// The backend was drawn at random.
pub const HOW_DRAWN: u8 = 2;
/// The backend is the first one of a client of a Service with session affinity.
pub const HOW_FIRST: u8 = 3;
/// The client had this backend before: session affinity.
pub const HOW_AFFINITY: u8 = 4;
/// The UDP socket had this backend before.
pub const HOW_SOCKET: u8 = 5;

/// What is kept of a call until it ends. The value of a map that is there while someone traces.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Begun {
    pub dialled: [u64; 2],
    pub id: u32,
    pub revision: u32,
    pub dialled_port: u16,
    pub place: u16,
    /// One of `HOW_…`.
    pub how: u32,
}
wire!(Begun, 32);

impl Decision {
    /// A record as it lies in the ring buffer; `None` for bytes of something else.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<(Self, Hook, Outcome)> {
        let record: Self = bytemuck::try_pod_read_unaligned(bytes).ok()?;
        let hook = Hook::ALL.get(usize::from(record.hook))?;
        let outcome = Outcome::ALL.get(usize::from(record.outcome))?;
        Some((record, *hook, *outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_is_not_read_as_one() {
        let record = Decision { hook: 7, outcome: 3, id: 9, ..Decision::default() };
        let bytes = bytemuck::bytes_of(&record);
        assert_eq!(Decision::read(bytes), Some((record, Hook::Connect4, Outcome::NoBackends)));
        for length in (0..bytes.len()).chain([bytes.len() + 1]) {
            assert_eq!(Decision::read(&[bytes, &[0]].concat()[..length]), None, "{length} bytes");
        }
        for (hook, outcome) in [(8, 0), (0, 11), (255, 255)] {
            let record = Decision { hook, outcome, ..record };
            assert_eq!(Decision::read(bytemuck::bytes_of(&record)), None, "hook {hook}, outcome {outcome}");
        }
    }
}

//! What is remembered of single sockets.

use bytemuck::{Pod, Zeroable};

use super::{Life, MapKind, MapSpec, NO_PREALLOC, Size};

/// The agent's own sockets: [`AgentSocket`] by socket. The agent enters each of them before it
/// connects, and the kernel forgets it with the socket. A mark alone would not do: every process
/// with CAP_NET_RAW can set one.
pub const AGENT_SOCKETS: MapSpec = MapSpec {
    pin: "agent_sockets",
    symbol: "AGENT_SOCKETS",
    kind: MapKind::SocketStorage,
    key_size: 4,
    value_size: size_of::<AgentSocket>() as u32,
    flags: NO_PREALLOC,
    size: Size::PerSocket,
    life: Life::Carried,
};

/// Says by being there that a socket is the agent's. Value of [`AGENT_SOCKETS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct AgentSocket {
    /// The agent's process.
    pub pid: u32,
    pub zero: u32,
}
wire!(AgentSocket, 8);

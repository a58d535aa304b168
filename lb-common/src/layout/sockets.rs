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

/// What each connected UDP socket is connected to: [`Translation`] by socket. A record of its own: most sockets need
/// no other, and the kernel sets its memory to zero first.
pub const CONNECTED: MapSpec = MapSpec {
    pin: "connected",
    symbol: "CONNECTED",
    kind: MapKind::SocketStorage,
    key_size: 4,
    value_size: size_of::<Translation>() as u32,
    flags: NO_PREALLOC,
    size: Size::PerSocket,
    life: Life::Carried,
};

/// What else a UDP socket has dialled lately: [`Recent`] by socket.
pub const RECENT: MapSpec = MapSpec {
    pin: "recent",
    symbol: "RECENT",
    kind: MapKind::SocketStorage,
    key_size: 4,
    value_size: size_of::<Recent>() as u32,
    flags: NO_PREALLOC,
    size: Size::PerSocket,
    life: Life::Carried,
};

/// A service port that a socket dialled, and the backend that it was given. Of both families: an IPv4 address
/// is `::ffff:a.b.c.d`, since what `sendmsg4` writes `recvmsg6` reads. Value of [`CONNECTED`]; all zero is no translation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Translation {
    pub service: [u8; 16],
    pub backend: [u8; 16],
    pub service_port: [u8; 2],
    pub backend_port: [u8; 2],
    /// Where the backend was in its set: looked at first.
    pub slot: u16,
    pub zero: u16,
}
wire!(Translation, 40);

/// How many translations are remembered of a socket, besides the one that it is connected by.
pub const RECENT_TRANSLATIONS: usize = 8;

/// The translations that a socket was given lately, the newest first. Value of [`RECENT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Recent {
    pub translations: [Translation; RECENT_TRANSLATIONS],
}
wire!(Recent, 320);

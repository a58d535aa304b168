//! Who remembers which translation: the UDP sockets that do, as a value. Pure.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Frontend, Memory, Process, Protocol, Translation, UdpEnd};
use crate::plan::{Held, Observed};
use crate::shown::shown;

/// The answer of `lb-agent sockets`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketsView {
    pub pin_root: String,
    pub sockets: Vec<SocketView>,
    /// UDP sockets that could not be asked what they remember.
    pub not_asked: NotAsked,
    pub namespaces: NamespacesView,
}

/// How many sockets are not known to remember anything or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotAsked {
    /// No process that can be seen from here has them open.
    pub without_process: usize,
    /// A process has them that this one may not trace.
    pub not_allowed: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespacesView {
    /// Network namespaces whose sockets are shown.
    pub looked_into: usize,
    /// Those whose sockets are not.
    pub left_out: Vec<LeftOut>,
    /// Processes whose network namespace this one may not ask for.
    pub unknown_processes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    pub namespace: u64,
    /// A process in it.
    pub pid: i32,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketView {
    /// The number of its network namespace, as `lsns` and `/proc/PID/ns/net` have it.
    pub namespace: u64,
    /// Those that have it open, as far as they can be seen from here.
    pub processes: Vec<ProcessView>,
    pub local: String,
    /// What it is connected to, as the kernel has it: a backend, where a Service was dialled.
    pub peer: Option<String>,
    /// Names the socket for as long as the machine runs.
    pub cookie: u64,
    pub translations: Vec<TranslationView>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ProcessView {
    pub pid: i32,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TranslationView {
    pub how: How,
    /// What the socket dialled.
    pub dialled: String,
    /// `NAMESPACE/NAME` of the Service that has this address now; `null` where none has it.
    pub service: Option<String>,
    pub port_name: Option<String>,
    /// What stands for it on this socket.
    pub backend: String,
    pub backend_is: BackendIs,
}

/// How a socket came to remember a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It is connected by it.
    Connected,
    /// It was, and is not connected to this backend any more.
    Disconnected,
    /// It sent to the Service, or is or was connected to it.
    Recent,
}

impl How {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Recent => "recent",
        }
    }
}

/// What a remembered backend is to the Service now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendIs {
    /// In its set.
    Serving,
    /// Not in its set any more.
    Left,
    /// No Service has the address that was dialled.
    Unknown,
}

/// A socket that remembers something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembering {
    pub namespace: u64,
    pub end: UdpEnd,
    pub memory: Memory,
    pub processes: Vec<Process>,
}

/// The sockets as they are shown: by namespace, local address and cookie.
#[must_use]
pub fn sockets(mut found: Vec<Remembering>, observed: &Observed) -> Vec<SocketView> {
    found.sort_by_key(|found| (found.namespace, found.end.local, found.end.cookie));
    found.iter().map(|found| socket(found, observed)).collect()
}

fn socket(found: &Remembering, observed: &Observed) -> SocketView {
    let Remembering { namespace, end: UdpEnd { local, peer, cookie, .. }, memory, processes } = found;
    let process = |Process { pid, name, .. }: &Process| ProcessView { pid: *pid, name: shown(name) };
    let how = |connected: &Translation| {
        if *peer == Some(connected.backend) { How::Connected } else { How::Disconnected }
    };
    let connected = memory.connected.iter().map(|connected| translation(how(connected), connected, observed));
    let recent = memory.recent.iter().map(|recent| translation(How::Recent, recent, observed));
    SocketView {
        namespace: *namespace,
        processes: processes.iter().map(process).collect(),
        local: local.to_string(),
        peer: peer.map(|peer| peer.to_string()),
        cookie: *cookie,
        translations: connected.chain(recent).collect(),
    }
}

fn translation(how: How, translation: &Translation, observed: &Observed) -> TranslationView {
    let Translation { dialled, backend } = *translation;
    let held = observed.services.get(&Frontend { address: dialled, protocol: Protocol::Udp });
    let key = held.and_then(|held| observed.key(held.element.owner.id));
    let serves = |held: &Held| held.element.backends.iter().any(|one| SocketAddr::from(one) == backend);
    TranslationView {
        how,
        dialled: dialled.to_string(),
        service: key.map(|key| key.service.to_string()),
        port_name: key.map(|key| shown(&key.port_name)),
        backend: backend.to_string(),
        backend_is: match held {
            None => BackendIs::Unknown,
            Some(held) if serves(held) => BackendIs::Serving,
            Some(_) => BackendIs::Left,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn translation(dialled: &str, backend: &str) -> Translation {
        Translation { dialled: at(dialled), backend: at(backend) }
    }

    fn remembering(namespace: u64, cookie: u64, peer: Option<&str>, memory: Memory) -> Remembering {
        let end = UdpEnd { local: at("10.0.0.9:4000"), peer: peer.map(at), interface: 0, cookie, inode: 1 };
        Remembering { namespace, end, memory, processes: Vec::new() }
    }

    #[test]
    fn a_socket_is_connected_by_a_translation_while_its_peer_is_that_backend() {
        let memory =
            Memory { connected: Some(translation("10.96.0.10:53", "10.0.0.1:53")), recent: Vec::new() };
        for (shows, peer, how) in [
            ("its backend", Some("10.0.0.1:53"), How::Connected),
            ("another peer", Some("10.0.0.2:53"), How::Disconnected),
            ("another port", Some("10.0.0.1:54"), How::Disconnected),
            ("no peer", None, How::Disconnected),
        ] {
            let found = sockets(vec![remembering(1, 1, peer, memory.clone())], &Observed::default());
            assert_eq!(found[0].translations[0].how, how, "{shows}");
        }
    }

    #[test]
    fn the_connection_comes_before_what_is_recent_and_namespaces_are_together() {
        let memory = Memory {
            connected: Some(translation("10.96.0.10:53", "10.0.0.1:53")),
            recent: vec![
                translation("10.96.0.11:53", "10.0.0.2:53"),
                translation("10.96.0.12:53", "10.0.0.3:53"),
            ],
        };
        let found = [(2, 5), (1, 9), (2, 4)]
            .map(|(namespace, cookie)| remembering(namespace, cookie, None, memory.clone()));
        let views = sockets(found.into(), &Observed::default());
        let order: Vec<(u64, u64)> = views.iter().map(|view| (view.namespace, view.cookie)).collect();
        assert_eq!(order, [(1, 9), (2, 4), (2, 5)]);
        let dialled: Vec<&str> = views[0].translations.iter().map(|one| one.dialled.as_str()).collect();
        assert_eq!(dialled, ["10.96.0.10:53", "10.96.0.11:53", "10.96.0.12:53"]);
        assert!(views[0].translations.iter().all(|one| one.backend_is == BackendIs::Unknown));
    }
}

//! Made-up names and addresses in the place of real ones: the same for the same throughout a bundle. Pure.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::secrets::without_secrets;
use super::sentence::{is_of_name, run};

/// Every cluster has them.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// Services that every cluster has.
const SERVICES: [&str; 3] = ["kubernetes", "kube-dns", "coredns"];
/// Fields whose texts are words of ours, and never names.
const OUR_WORDS: [&str; 28] = [
    "backendIs",
    "effect",
    "family",
    "file",
    "hook",
    "how",
    "kind",
    "map",
    "mode",
    "nodeLabels",
    "origin",
    "outcome",
    "proof",
    "protocol",
    "reason",
    "refusesBy",
    "severity",
    "state",
    "version",
    "waitsFor",
    "within",
    "arch",
    "at",
    "mountPoint",
    "since",
    "what",
    "portName",
    "lastFailureAt",
];
/// What is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Namespace,
    Service,
    Slice,
    Node,
    Pod,
    Pool,
    /// The value of a label of a Node.
    Label,
    /// A process.
    Process,
    /// Of an API server.
    Host,
}

impl Kind {
    const fn label(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Service => "service",
            Self::Slice => "slice",
            Self::Node => "node",
            Self::Pod => "pod",
            Self::Pool => "pool",
            Self::Label => "label",
            Self::Process => "process",
            Self::Host => "host",
        }
    }

    /// Of the text in such a field; `None` for a field that holds no name.
    fn of_field(field: &str) -> Option<Self> {
        Some(match field {
            "namespace" => Self::Namespace,
            "service" => Self::Service,
            "slice" | "name" => Self::Slice,
            "node" => Self::Node,
            "pod" => Self::Pod,
            "pool" | "clientPool" | "backendPool" => Self::Pool,
            "process" => Self::Process,
            _ => return None,
        })
    }
}

/// What stands for what. `S` has a key of its own, so that a made-up name says nothing of the real one.
#[derive(Debug)]
pub(super) struct Names<S> {
    key: S,
    pub(super) names: HashMap<String, String>,
    addresses: HashMap<IpAddr, IpAddr>,
    used: HashSet<String>,
    used_addresses: HashSet<IpAddr>,
}

impl<S: BuildHasher> Names<S> {
    pub(super) fn new(key: S) -> Self {
        Self {
            key,
            names: HashMap::new(),
            addresses: HashMap::new(),
            used: HashSet::new(),
            used_addresses: HashSet::new(),
        }
    }

    /// Learns the names in a text that stands in such a field of JSON: sentences elsewhere may hold them too.
    pub(super) fn learn(&mut self, field: &str, text: &str) {
        if let Some(kind) = Kind::of_field(field) {
            drop(self.name(kind, text));
        }
        self.hosts(text);
    }

    /// Learns the hosts in the addresses of a text, since errors name them alone.
    pub(super) fn hosts(&mut self, text: &str) {
        for (at, _) in text.match_indices("://") {
            let host = &text[at + 3..];
            let host = &host
                [host.find('@').filter(|user| !host[..*user].contains('/')).map_or(0, |user| user + 1)..];
            let host = &host[..run(host, is_of_name)];
            let is_ours = host.contains("kubernetes.default") || host == "localhost";
            if !host.is_empty() && !is_ours && host.parse::<IpAddr>().is_err() {
                drop(self.one(Kind::Host, host));
            }
        }
    }

    /// The text that stands for `text` in such a field of JSON.
    pub(super) fn value(&mut self, field: &str, text: &str) -> String {
        if OUR_WORDS.contains(&field) {
            return text.to_owned();
        }
        match Kind::of_field(field) {
            Some(kind) => self.name(kind, text),
            None => self.text(text),
        }
    }

    /// A name, or two with a slash between them.
    fn name(&mut self, kind: Kind, text: &str) -> String {
        match text.split_once('/') {
            Some((namespace, name)) => {
                format!("{}/{}", self.one(Kind::Namespace, namespace), self.one(kind, name))
            }
            None => self.one(kind, text),
        }
    }

    pub(super) fn one(&mut self, kind: Kind, name: &str) -> String {
        let is_known = match kind {
            Kind::Namespace => NAMESPACES.contains(&name),
            Kind::Service => SERVICES.contains(&name),
            Kind::Slice | Kind::Node | Kind::Pod | Kind::Pool | Kind::Label | Kind::Process | Kind::Host => {
                false
            }
        };
        if name.is_empty() || is_known || self.used.contains(name) {
            return name.to_owned();
        }
        if let Ok(address) = name.parse() {
            return self.address(address).to_string();
        }
        if let Some(made_up) = self.names.get(name) {
            return made_up.clone();
        }
        let mut round = 0_u32;
        let made_up = loop {
            let number = self.key.hash_one((name, round)) & 0xff_ffff_ffff;
            let made_up = format!("{}-{number:010x}", kind.label());
            if self.used.insert(made_up.clone()) {
                break made_up;
            }
            round += 1;
        };
        self.names.insert(name.to_owned(), made_up.clone());
        made_up
    }

    /// Those that lead nowhere else, and those of the self-test, stay.
    pub(super) fn address(&mut self, real: IpAddr) -> IpAddr {
        let real = real.to_canonical();
        let self_test =
            [Ipv4Addr::new(192, 0, 2, 1).into(), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
        if real.is_loopback()
            || real.is_unspecified()
            || self_test.contains(&real)
            || self.used_addresses.contains(&real)
        {
            return real;
        }
        if let Some(made_up) = self.addresses.get(&real) {
            return *made_up;
        }
        let mut round = 0_u32;
        let made_up = loop {
            let number = self.key.hash_one((real, round));
            let made_up = match real {
                // 240.0.0.0/4, which no network has.
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(0xf000_0000 | (number as u32 >> 4))),
                // 2001:db8:ffff::/48, which is for documents.
                IpAddr::V6(_) => {
                    let low = u128::from(number);
                    IpAddr::V6(Ipv6Addr::from(0x2001_0db8_ffff_u128 << 80 | low))
                }
            };
            if self.used_addresses.insert(made_up) {
                break made_up;
            }
            round += 1;
        };
        self.addresses.insert(real, made_up);
        made_up
    }
}

/// A text without secrets, and, where `names` are to be hidden, with others in it.
pub(super) fn cleaned<S: BuildHasher>(
    names: Option<&mut Names<S>>,
    field: Option<&str>,
    text: &str,
) -> String {
    let text = without_secrets(text);
    match (names, field) {
        (None, _) => text,
        (Some(names), Some(field)) => names.value(field, &text),
        (Some(names), None) => names.text(&text),
    }
}

//! Flags and environment resolved into settled values.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::announce::node::NodeSigns;
use crate::model::{EndBy, First, TcpPeername};
use crate::plan::Sizes;
use crate::source::SourceConfig;
use crate::store::Rules;

/// The pin root where none is named.
pub const PIN_ROOT: &str = "/sys/fs/bpf/edgeloop";

/// Where the agent of a pin root answers.
const RUN_FOLDER: &str = "/run/edgeloop";

/// Where the agent of a pin root saves its state: what is there outlives a reboot.
const STATE_FOLDER: &str = "/var/lib/edgeloop";

/// Everything that `lb-agent run` was given, settled.
#[derive(Debug)]
pub struct Config {
    pub node: String,
    pub source: SourceConfig,
    pub rules: Rules,
    /// `None`: the root of the cgroup2 hierarchy.
    pub cgroup: Option<PathBuf>,
    pub pin_root: PathBuf,
    pub socket: PathBuf,
    pub writing: Writing,
    pub end_udp: EndUdp,
    /// What is made known on the agent's own Node.
    pub signs: NodeSigns,
    /// The kernel object whose programs are run.
    pub object: &'static [u8],
    /// Where health and metrics answer; nowhere unless given.
    pub http: Option<std::net::SocketAddr>,
    /// Where the state of an API server is saved; nowhere if `None`.
    pub saved_state: Option<PathBuf>,
    /// Where metrics answer besides, and nothing else does.
    pub metrics: Option<std::net::SocketAddr>,
}

/// What the writer of the maps was given.
#[derive(Clone, Copy, Debug)]
pub struct Writing {
    /// One that the host has, if it is known.
    pub node_address: Option<IpAddr>,
    pub sizes: Sizes,
    pub audit: Duration,
    /// How old what the maps hold may be; of any age without it.
    pub max_stale: Option<Duration>,
    pub tcp_peername: TcpPeername,
    pub first: First,
    /// Whether connections of the agent's own show that the programs do what the maps say.
    pub self_test: WithSelfTest,
}

/// Whether the agent tests itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithSelfTest {
    On,
    Off,
}

/// How UDP sockets end whose backend is admitted no more.
#[derive(Clone, Debug)]
pub struct EndUdp {
    pub by: EndBy,
    /// Where container runtimes keep network namespaces.
    pub namespaces: Vec<PathBuf>,
}

/// A folder of manifests, as `--source` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifests(pub PathBuf);

impl std::str::FromStr for Manifests {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", folder)) if !folder.is_empty() => Ok(Self(folder.into())),
            _ => Err("write it as file:FOLDER, the folder holding Kubernetes manifests".to_owned()),
        }
    }
}

/// Where the state is to be saved, as `--saved-state` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedState {
    Off,
    In(PathBuf),
}

impl std::str::FromStr for SavedState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            file if file.starts_with('/') && !file.ends_with('/') => Ok(Self::In(file.into())),
            _ => Err("name a file by its whole path, or write off".to_owned()),
        }
    }
}

impl SavedState {
    /// The file; each pin root has its own unless it is named.
    #[must_use]
    pub fn file(named: Option<Self>, pin_root: &Path) -> Option<PathBuf> {
        match named {
            Some(Self::Off) => None,
            Some(Self::In(file)) => Some(file),
            None => Some(Path::new(STATE_FOLDER).join(format!("{}.state.gz", name_of(pin_root)))),
        }
    }
}

/// The socket of the agent at `pin_root`, unless named: each pin root has its own.
#[must_use]
pub fn socket(named: Option<PathBuf>, pin_root: &Path) -> PathBuf {
    named.unwrap_or_else(|| Path::new(RUN_FOLDER).join(format!("{}.sock", name_of(pin_root))))
}

fn name_of(pin_root: &Path) -> String {
    pin_root.to_string_lossy().trim_matches('/').replace('/', "-")
}

//! Flags and environment resolved into settled values.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{First, TcpPeername};
use crate::plan::Sizes;
use crate::source::SourceConfig;
use crate::store::Rules;

/// The pin root where none is named.
pub const PIN_ROOT: &str = "/sys/fs/bpf/edgeloop";

/// Where the agent of a pin root answers.
const RUN_FOLDER: &str = "/run/edgeloop";

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
    /// The kernel object whose programs are run.
    pub object: &'static [u8],
    /// Where health and metrics answer; nowhere unless given.
    pub http: Option<std::net::SocketAddr>,
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

/// The socket of the agent at `pin_root`, unless named: each pin root has its own.
#[must_use]
pub fn socket(named: Option<PathBuf>, pin_root: &Path) -> PathBuf {
    named.unwrap_or_else(|| {
        let name = pin_root.to_string_lossy().trim_matches('/').replace('/', "-");
        Path::new(RUN_FOLDER).join(format!("{name}.sock"))
    })
}

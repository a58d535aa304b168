//! Flags that are one of several words.

use clap::ValueEnum;

use crate::model::{Dialect, Mode};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DialectArg {
    /// apps.kubeedge.io/service-topology: range-nodegroup keeps connections among the nodes of one node group, those with the
    /// same label apps.kubeedge.io/belonging-to
    #[value(name = "kubeedge")]
    KubeEdge,
    /// topologyKeys: a JSON list of node label keys; connections go to nodes that share the value of at least one of them
    #[value(name = "superedge")]
    SuperEdge,
}

impl From<DialectArg> for Dialect {
    fn from(dialect: DialectArg) -> Self {
        match dialect {
            DialectArg::KubeEdge => Self::KubeEdge,
            DialectArg::SuperEdge => Self::SuperEdge,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Run next to kube-proxy
    #[default]
    Beside,
    /// Run without it: a port that no Service has at a cluster IP is refused; the API server needs an address that is no
    /// Service's
    Replace,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Beside => Self::Beside,
            ModeArg::Replace => Self::Replace,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnInvalidTopology {
    /// Nothing: the Service is not filtered
    #[default]
    Unfiltered,
    /// Connections to it are refused
    Refuse,
}

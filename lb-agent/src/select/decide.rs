//! Both steps for one service port.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Health, Hints, ServicePortKey, Slice};

use super::places::Places;
use super::topology::Topology;

/// One endpoint of a service port, as all its slices together show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    pub backend: SocketAddr,
    pub health: Health,
    pub node: Option<&'a Arc<str>>,
    pub hints: Option<&'a Hints>,
}

//! What our maps weigh.

use anyhow::Result;
use edgeloop_tests::Site;
use serde::Serialize;

use super::calls::Population;
use super::ours;

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Weight {
    pub(crate) services: u32,
    pub(crate) endpoints: u32,
    /// Of kernel memory, all maps together.
    pub(crate) bytes: u64,
}

/// Publishes services with `each` endpoints on a node of their own, and weighs its maps.
pub(crate) fn weigh(site: &Site, services: u32, each: u32) -> Result<Weight> {
    let node = site.node(&format!("weight-{services}"))?;
    let _maps = ours::set_up(&node, Population::Tcp, services, each)?;
    Ok(Weight { services, endpoints: services * each, bytes: ours::memory(&node.pin_root())? })
}

//! What is made known on the agent's own Node, if it is asked for.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::announce::node::{self, Before, NodeSigns, Pace};
use crate::datapath::generation;
use crate::source::Source;
use crate::view::published::Published;

/// What serves before the agent does anything. What cannot be looked at counts as serving: the writer says what is
/// wrong with it.
fn before(pin_root: &Path) -> Before {
    match generation::find(pin_root) {
        Ok(found) if found.links == 0 => Before::Nothing,
        Ok(_) | Err(_) => Before::Programs,
    }
}

/// Starts the task, on the runtime that this is called on, before the writer does anything.
pub(super) fn start(
    source: &Source,
    node: &str,
    wanted: NodeSigns,
    published: watch::Receiver<Arc<Published>>,
    pin_root: &Path,
) -> Option<JoinSet<()>> {
    let client = source.api().filter(|_| !wanted.is_empty())?;
    Some(node::signs(client, node, wanted, published, before(pin_root), Pace::default()))
}

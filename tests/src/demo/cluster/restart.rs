//! The API server is killed while all clients dial, and comes back with news.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::cluster::Part;
use crate::demo::change::{Meanwhile, show};
use crate::demo::matrix::{Seen, settle};
use crate::demo::screen::Screen;
use crate::demo::table::draw_change;
use crate::demo::truth::{BACK, EDGE2, IN_BOTH, IN_HANGZHOU, IN_SHANGHAI, LONE, MOVED, NO_POOL, WORKER};

use super::stage::Stage;

const SERVICE: &str = "/api/v1/namespaces/default/services/svc-ud1";

pub(super) fn run(screen: &Screen, stage: &mut Stage, before: &Seen) -> Result<()> {
    screen.heading("6. The API server is killed while clients dial, and comes back")?;
    let on_worker = Meanwhile::begin(stage.cast(), WORKER)?;
    let on_edge = Meanwhile::begin(stage.cast(), EDGE2)?;
    stage.cluster.kill(Part::ApiServer)?;
    screen.line("SIGKILL: the kernel goes on with what it has")?;
    thread::sleep(Duration::from_secs(1));
    let started = Instant::now();
    stage.cluster.start(Part::ApiServer)?;
    stage.cluster.wait_until_ready()?;
    screen.measured(started.elapsed(), "until it is ready again")?;
    on_edge.end(screen, stage.cast(), IN_SHANGHAI, IN_SHANGHAI, "all stayed in shanghai")?;

    screen.act("Service svc-ud1", "`openyurt.io/nodepool, *` becomes `openyurt.io/nodepool`")?;
    let patch = json!({"metadata": {"annotations": {"openyurt.io/topologyKeys": "openyurt.io/nodepool"}}});
    let shown = show(stage.cast(), LONE, IN_BOTH, NO_POOL, || stage.merge(SERVICE, &patch))?;
    screen.measured(shown, "from the call's answer to the first refused connection on lone-node")?;
    let seen = settle(stage.cast(), &MOVED, &BACK)?;
    on_worker.end(screen, stage.cast(), IN_HANGZHOU, IN_HANGZHOU, "all stayed in hangzhou")?;
    draw_change(screen, stage.cast().pools(), before, &seen)
}

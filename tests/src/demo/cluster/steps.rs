//! API calls, and clients that show them: a pool scaled to zero and back, a fallback, a node that moves.

use anyhow::Result;
use serde_json::json;

use crate::demo::POOL;
use crate::demo::change::{Meanwhile, show};
use crate::demo::matrix::{Seen, settle};
use crate::demo::screen::Screen;
use crate::demo::table::draw_change;
use crate::demo::truth::{
    self, AT_FIRST, EDGE2, FALLBACK, HOME, IN_BOTH, IN_HANGZHOU, IN_SHANGHAI, MOVED, NO_POOL, SHANGHAI,
    UNREADY, WORKER, WORKER2,
};

use super::stage::Stage;

const WORKLOAD: &str = "/apis/apps.openyurt.io/v1beta1/namespaces/default/yurtappsets/united-deployment1";
const SERVICE: &str = "/api/v1/namespaces/default/services/svc-ud1";
const TOPOLOGY: &str = "openyurt.io/topologyKeys";

/// Runs them all in order, from [`AT_FIRST`] to [`MOVED`], which it gives as it was seen.
pub(super) fn run(screen: &Screen, stage: &Stage, at_first: &Seen) -> Result<Seen> {
    let empty = pool_is_scaled_to_zero(screen, stage, at_first)?;
    let fallback = annotation_allows_more(screen, stage, &empty)?;
    let home = pool_is_scaled_back(screen, stage, &fallback)?;
    node_moves(screen, stage, &home)
}

fn pool_is_scaled_to_zero(screen: &Screen, stage: &Stage, before: &Seen) -> Result<Seen> {
    screen.heading("2. shanghai is scaled to zero: its clients are refused, the others notice nothing")?;
    screen.act("YurtAppSet united-deployment1", "a tweak for the pool shanghai, `replicas: 0`")?;
    let loads = [Meanwhile::begin(stage.cast(), WORKER)?, Meanwhile::begin(stage.cast(), EDGE2)?];
    let shown = show(stage.cast(), WORKER2, IN_SHANGHAI, NO_POOL, || scale(stage, 0))?;
    screen.measured(
        shown,
        "from the call's answer, by way of four controllers, to the first refused connection",
    )?;
    let seen = settle(stage.cast(), &AT_FIRST, &UNREADY)?;
    for load in loads {
        load.end(screen, stage.cast(), IN_HANGZHOU, IN_HANGZHOU, "all stayed in hangzhou")?;
    }
    draw_change(screen, stage.cast().pools(), before, &seen)?;
    Ok(seen)
}

fn annotation_allows_more(screen: &Screen, stage: &Stage, before: &Seen) -> Result<Seen> {
    screen
        .heading("3. The annotation becomes `openyurt.io/nodepool, *`: the own pool first, else anywhere")?;
    screen.act("Service svc-ud1", "`openyurt.io/nodepool` becomes `openyurt.io/nodepool, *`")?;
    let patch = json!({"metadata": {"annotations": {TOPOLOGY: "openyurt.io/nodepool, *"}}});
    let shown = show(stage.cast(), WORKER2, NO_POOL, IN_HANGZHOU, || stage.merge(SERVICE, &patch))?;
    screen.measured(shown, "from the call's answer to the first answer from hangzhou on kind-worker2")?;
    let seen = settle(stage.cast(), &UNREADY, &FALLBACK)?;
    draw_change(screen, stage.cast().pools(), before, &seen)?;
    Ok(seen)
}

fn pool_is_scaled_back(screen: &Screen, stage: &Stage, before: &Seen) -> Result<Seen> {
    screen.line("")?;
    screen.act("YurtAppSet united-deployment1", "`replicas: 2` again: shanghai comes home")?;
    let load = Meanwhile::begin(stage.cast(), WORKER2)?;
    let shown = show(stage.cast(), WORKER2, IN_HANGZHOU, IN_SHANGHAI, || scale(stage, 2))?;
    screen.measured(
        shown,
        "from the call's answer, by way of five controllers, to the first answer from shanghai",
    )?;
    let seen = settle(stage.cast(), &FALLBACK, &HOME)?;
    load.end(screen, stage.cast(), IN_HANGZHOU, IN_SHANGHAI, "hangzhou answered, then shanghai")?;
    draw_change(screen, stage.cast().pools(), before, &seen)?;
    Ok(seen)
}

/// OpenYurt lets a node's pool label be taken away and set, and not changed. Between the two the node is in
/// no pool, and `*` allows for all.
fn node_moves(screen: &Screen, stage: &Stage, before: &Seen) -> Result<Seen> {
    screen.heading("4. edge-node2 moves from hangzhou to shanghai by its label, and its client with it")?;
    screen.act("Node edge-node2", "the pool's label is taken away, and set to shanghai")?;
    let load = Meanwhile::begin(stage.cast(), EDGE2)?;
    let shown = show(stage.cast(), EDGE2, IN_HANGZHOU, IN_SHANGHAI, || move_to(stage, EDGE2, SHANGHAI))?;
    screen
        .measured(shown, "from the second call's answer to the first answer from shanghai on edge-node2")?;
    let seen = settle_from(stage, &MOVED)?;
    load.end(screen, stage.cast(), IN_BOTH, IN_SHANGHAI, "hangzhou answered, then shanghai")?;
    draw_change(screen, stage.cast().pools(), before, &seen)?;
    Ok(seen)
}

/// Between its two labels the node's client may go anywhere, and its agent may be there still.
fn settle_from(stage: &Stage, truth: &truth::Truth) -> Result<Seen> {
    let mut between = HOME;
    between.service[2] = IN_BOTH;
    settle(stage.cast(), &between, truth)
}

fn scale(stage: &Stage, replicas: u32) -> Result<std::time::Duration> {
    let tweak = json!([{"pools": [SHANGHAI], "tweaks": {"replicas": replicas}}]);
    stage.merge(WORKLOAD, &json!({"spec": {"workload": {"workloadTweaks": tweak}}}))
}

pub(super) fn move_to(stage: &Stage, node: &str, pool: &str) -> Result<std::time::Duration> {
    let path = format!("/api/v1/nodes/{node}");
    stage.merge(&path, &json!({"metadata": {"labels": {POOL: null}}}))?;
    stage.merge(&path, &json!({"metadata": {"labels": {POOL: pool}}}))
}

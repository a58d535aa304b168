//! Files change, and clients show it: pods that become unready, a fallback, a way home, a node that moves.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cast::REFUSED;
use super::change::{Change, MOVES_TO_SHANGHAI, Meanwhile};
use super::matrix::{DIALS, Seen, settle};
use super::screen::{Screen, short};
use super::stage::Stage;
use super::table::draw_change;
use super::truth::{
    AT_FIRST, EDGE2, FALLBACK, HOME, IN_HANGZHOU, IN_SHANGHAI, MOVED, NO_POOL, SERVICE, UNREADY, WORKER,
    WORKER2,
};

/// A connection that has to wait for anything takes longer; one that is refused in the kernel, far less. The
/// median counts: on a busy machine some client stands in line for the processor.
const AT_ONCE: Duration = Duration::from_millis(20);

const SHANGHAI: &str = "endpointslices-shanghai.yaml";
const READY: &str = "ready: true\n      serving: true";
const NOT_READY: &str = "ready: false\n      serving: false";
const POOL_ONLY: &str = "openyurt.io/topologyKeys: openyurt.io/nodepool\n";
const POOL_FIRST: &str = "openyurt.io/topologyKeys: openyurt.io/nodepool, *\n";

/// Runs them all in order, from [`AT_FIRST`] to [`MOVED`].
pub(super) fn run(screen: &Screen, stage: &Stage, at_first: &Seen) -> Result<()> {
    let unready = pods_become_unready(screen, stage, at_first)?;
    let fallback = annotation_allows_more(screen, stage, &unready)?;
    let home = pods_return(screen, stage, &fallback)?;
    node_moves(screen, stage, &home)
}

fn pods_become_unready(screen: &Screen, stage: &Stage, before: &Seen) -> Result<Seen> {
    screen
        .heading("2. shanghai's pods become unready: its clients are refused, the others notice nothing")?;
    screen.act(SHANGHAI, "`ready: true` becomes `ready: false`, four times")?;
    let loads = [Meanwhile::begin(stage.cast(), WORKER)?, Meanwhile::begin(stage.cast(), EDGE2)?];
    let change = Change { file: SHANGHAI, old: READY, new: NOT_READY };
    let shown = change.show(stage, WORKER2, IN_SHANGHAI, NO_POOL)?;
    screen.measured(shown, "from the rename to the first refused connection on kind-worker2")?;

    let (median, longest) = time_to_refuse(stage)?;
    let text =
        format!("until a refused connect returns {REFUSED} (median of {DIALS}; longest {})", short(longest));
    screen.measured(median, &text)?;
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
    screen.act("service-svc-ud1.yaml", "`openyurt.io/nodepool` becomes `openyurt.io/nodepool, *`")?;
    let change = Change { file: "service-svc-ud1.yaml", old: POOL_ONLY, new: POOL_FIRST };
    let shown = change.show(stage, WORKER2, NO_POOL, IN_HANGZHOU)?;
    screen.measured(shown, "from the rename to the first answer from hangzhou on kind-worker2")?;

    let seen = settle(stage.cast(), &UNREADY, &FALLBACK)?;
    draw_change(screen, stage.cast().pools(), before, &seen)?;
    Ok(seen)
}

fn pods_return(screen: &Screen, stage: &Stage, before: &Seen) -> Result<Seen> {
    screen.line("")?;
    screen.act(SHANGHAI, "the pods return, `ready: true`: shanghai comes home")?;
    let load = Meanwhile::begin(stage.cast(), WORKER2)?;
    let change = Change { file: SHANGHAI, old: NOT_READY, new: READY };
    let shown = change.show(stage, WORKER2, IN_HANGZHOU, IN_SHANGHAI)?;
    screen.measured(shown, "from the rename to the first answer from shanghai on kind-worker2")?;

    let seen = settle(stage.cast(), &FALLBACK, &HOME)?;
    load.end(screen, stage.cast(), IN_HANGZHOU, IN_SHANGHAI, "hangzhou answered, then shanghai")?;
    draw_change(screen, stage.cast().pools(), before, &seen)?;
    Ok(seen)
}

fn node_moves(screen: &Screen, stage: &Stage, before: &Seen) -> Result<()> {
    screen.heading("4. edge-node2 moves from hangzhou to shanghai by its label, and its client with it")?;
    screen
        .act(MOVES_TO_SHANGHAI.file, "`desired-nodepool: hangzhou` becomes `desired-nodepool: shanghai`")?;
    let load = Meanwhile::begin(stage.cast(), EDGE2)?;
    let shown = MOVES_TO_SHANGHAI.show(stage, EDGE2, IN_HANGZHOU, IN_SHANGHAI)?;
    screen.measured(shown, "from the rename to the first answer from shanghai on edge-node2")?;

    let seen = settle(stage.cast(), &HOME, &MOVED)?;
    load.end(screen, stage.cast(), IN_HANGZHOU, IN_SHANGHAI, "hangzhou answered, then shanghai")?;
    draw_change(screen, stage.cast().pools(), before, &seen)
}

/// How long connects to a Service without backends take, which all have to be refused: the median, the longest.
fn time_to_refuse(stage: &Stage) -> Result<(Duration, Duration)> {
    let answers = stage.cast().client(WORKER2)?.dial(SERVICE.at, DIALS)?;
    if let Some(other) = answers.iter().find(|answer| !answer.failed_with(REFUSED)) {
        anyhow::bail!("a client on {WORKER2} was refused, and a later connection got {}", other.label());
    }
    let mut times: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    times.sort();
    let median = *times.get(times.len() / 2).context("nothing was dialled")?;
    let longest = *times.last().context("nothing was dialled")?;
    ensure!(median < AT_ONCE, "a refused connect takes {}, which is not at once", short(median));
    Ok((median, longest))
}

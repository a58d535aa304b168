//! A change to a file, and the time until a connection shows it.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{Answer, Load, LoadReport};

use super::cast::{Cast, Pools};
use super::matrix::{in_words, orphans};
use super::screen::{Screen, grouped};
use super::stage::Stage;
use super::truth::{self, SERVICE};

/// A change that does not show within this time is one that does not work.
const SOON: Duration = Duration::from_secs(20);

/// How long connections go on before and after what they go on beside.
const BREATH: Duration = Duration::from_millis(200);

/// Of them: a gap of some milliseconds would show.
const PER_SECOND: u32 = 500;

/// Replaces a text in a file, wherever it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) file: &'static str,
    pub(super) old: &'static str,
    pub(super) new: &'static str,
}

pub(super) const MOVES_TO_SHANGHAI: Change =
    Change { file: "node-edge-node2.yaml", old: "nodepool: hangzhou", new: "nodepool: shanghai" };

pub(super) const MOVES_BACK: Change =
    Change { file: "node-edge-node2.yaml", old: "nodepool: shanghai", new: "nodepool: hangzhou" };

impl Change {
    /// Makes the change while the client on `node` dials the annotated Service; see [`show`].
    pub(super) fn show(
        &self,
        stage: &Stage,
        node: &str,
        before: truth::Pools,
        after: truth::Pools,
    ) -> Result<Duration> {
        show(stage.cast(), node, before, after, || self.make(stage))
            .with_context(|| format!("while {} changed", self.file))
    }

    /// Returns the time just before the rename.
    pub(super) fn make(&self, stage: &Stage) -> Result<Duration> {
        stage.manifests.change(self.file, self.old, self.new)
    }
}

/// Makes a change while the client on `node` dials the annotated Service, and gives how long after the moment
/// that `act` returns the first connection ended that was answered as `after` says. Until then all are as
/// `before`.
pub(super) fn show(
    cast: &Cast,
    node: &str,
    before: truth::Pools,
    after: truth::Pools,
    act: impl FnOnce() -> Result<Duration>,
) -> Result<Duration> {
    let pools = cast.pools();
    let mut watch = cast.client(node)?.watch(SERVICE.at)?;
    let since = act()?;
    let mut stray = false;
    let shown = |answer: &Answer| {
        let (was, is) = (pools.answer(answer.label(), before), pools.answer(answer.label(), after));
        stray |= !was && !is;
        is || stray
    };
    let first = watch.first_since(since, shown, SOON);
    let first = first.with_context(|| format!("the change does not show on {node}"))?;
    ensure!(
        !stray,
        "a client on {node} that dials {} got {}, which was true neither before nor after",
        SERVICE.name,
        first.label()
    );
    Ok(first.ended().saturating_sub(since))
}

/// Connections to the annotated Service that go on while something changes.
pub(super) struct Meanwhile {
    load: Load,
    node: &'static str,
}

impl Meanwhile {
    pub(super) fn begin(cast: &Cast, node: &'static str) -> Result<Self> {
        let load = cast.client(node)?.dial_continuously(SERVICE.at, PER_SECOND, 2)?;
        thread::sleep(BREATH);
        Ok(Self { load, node })
    }

    /// None of them failed, and all were answered as `before` or `after` says.
    pub(super) fn end(
        self,
        screen: &Screen,
        cast: &Cast,
        before: truth::Pools,
        after: truth::Pools,
        what: &str,
    ) -> Result<()> {
        thread::sleep(BREATH);
        let report = self.load.stop()?;
        none_failed(cast.pools(), self.node, &report, before, after)?;
        let text = format!("connections from {} meanwhile: 0 failed, {what}", self.node);
        screen.counted(report.dialled(), &text)
    }
}

/// Of connections to the annotated Service that went on while what is true changed from `before` to `after`,
/// none failed, and all were answered as one of the two says.
pub(super) fn none_failed(
    pools: &Pools,
    node: &str,
    report: &LoadReport,
    before: truth::Pools,
    after: truth::Pools,
) -> Result<()> {
    if let Some(first) = report.failed.first() {
        let (failed, all) = (grouped(report.failed.len() as u64), grouped(report.dialled()));
        anyhow::bail!("{failed} of {all} connections from {node} failed, the first with {}", first.errno);
    }
    let allowed = [pools.labels_ever(before), pools.labels_ever(after)].concat();
    let orphans = orphans(&report.answered, &allowed);
    ensure!(
        orphans.is_empty(),
        "connections from {node} were answered from elsewhere: {}",
        in_words(&orphans)
    );
    ensure!(report.dialled() > 0, "no connection from {node} was made");
    Ok(())
}

//! The two sides, and what each has decided: as the kernel holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::ours::agent::in_kernel;

use super::ground::Ground;
use super::nft;

/// The endpoints of a Service, `ADDRESS:PORT`; none refuses.
pub(super) type Set = BTreeSet<String>;

/// By the Service's address. One that is not there is not known.
pub(super) type Decisions = BTreeMap<String, Set>;

/// Between two looks at our own maps. Theirs are looked at as fast as `nft` lists them.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
pub(super) enum Side {
    Ours,
    Theirs,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "Edgeloop",
            Self::Theirs => "yurthub and kube-proxy",
        }
    }
}

impl Ground {
    /// Everything that a side sends somewhere.
    pub(super) fn decisions(&self, side: Side) -> Result<Decisions> {
        match side {
            Side::Ours => {
                let services = in_kernel(&self.ours)?.services.into_iter();
                Ok(services.map(|of| (of.address, of.backends.into_iter().collect())).collect())
            }
            Side::Theirs => {
                let mut nft = self.cluster.command("nft");
                let output =
                    nft.args(["-j", "list", "table", "ip", "kube-proxy"]).stdin(Stdio::null()).output();
                let output = output.context("could not run `nft`: it is in the package nftables")?;
                let error = String::from_utf8_lossy(&output.stderr);
                if error.contains("No such file") {
                    return Ok(Decisions::new()); // it is about to make its table
                }
                ensure!(output.status.success(), "nft: {error}");
                nft::decisions(&String::from_utf8_lossy(&output.stdout))
            }
        }
    }

    /// What each side makes of one Service at the moment: ours, theirs.
    pub(super) fn decision(&self, service: &str) -> Result<[Option<Set>; 2]> {
        let of = |side| Ok::<_, anyhow::Error>(self.decisions(side)?.remove(service));
        Ok([of(Side::Ours)?, of(Side::Theirs)?])
    }

    /// When each of these Services was seen as wanted first; those that were not in time are missing.
    pub(super) fn watch(
        &self,
        side: Side,
        wanted: &Decisions,
        within: Duration,
    ) -> Result<BTreeMap<String, Instant>> {
        let give_up = Instant::now() + within;
        let mut seen = BTreeMap::new();
        while seen.len() < wanted.len() && Instant::now() < give_up {
            let now = self.decisions(side)?;
            let at = Instant::now();
            for (service, set) in wanted {
                if now.get(service) == Some(set) {
                    seen.entry(service.clone()).or_insert(at);
                }
            }
            thread::sleep(PAUSE);
        }
        Ok(seen)
    }

    /// Acts while both sides are watched. Gives what the act gave, and when each side was as wanted.
    pub(super) fn race<T: Send>(
        &self,
        wanted: [&Decisions; 2],
        within: [Duration; 2],
        act: impl FnOnce() -> Result<T> + Send,
    ) -> Result<(T, [BTreeMap<String, Instant>; 2])> {
        let [ours, theirs] = wanted;
        thread::scope(|scope| {
            let ours = scope.spawn(|| self.watch(Side::Ours, ours, within[0]));
            let theirs = scope.spawn(|| self.watch(Side::Theirs, theirs, within[1]));
            let done = act()?;
            let join = |watch: thread::ScopedJoinHandle<'_, Result<_>>| {
                watch.join().unwrap_or_else(|_panic| Err(anyhow!("a thread that watches panicked")))
            };
            Ok((done, [join(ours)?, join(theirs)?]))
        })
    }
}

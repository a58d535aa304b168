//! One pass: the sockets that are to end are found, and ended in the network namespace of each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::datapath::maps::pinned::folder;
use crate::datapath::sockets::{Asker, Memories, WalkError, Walked, Walker, may_enter};
use crate::host::namespaces;
use crate::model::{EndBy, PeersReport};
use crate::plan::admissions::Admissions;
use crate::shown::chain;

use super::PeersConfig;
use super::ending::{Asks, Done, judge};
use super::visit::Visit;

/// What passes are made with, and what became of sockets so far.
#[derive(Debug)]
pub(super) struct Passes {
    by: EndBy,
    folder: PathBuf,
    namespaces: Vec<PathBuf>,
    asks: Asks,
    /// `None` until it is tried for the first time, and where the kernel lacks it.
    walker: Option<Walker>,
    tools: Option<Tools>,
    report: PeersReport,
}

/// The pinned map, and the programs that ask for what it holds.
#[derive(Debug)]
struct Tools {
    map: u32,
    memories: Memories,
    asker: Asker,
}

impl Passes {
    pub(super) fn new(config: PeersConfig) -> Self {
        let PeersConfig { by, pin_root, namespaces, asks } = config;
        let folder = folder(&pin_root);
        Self { by, folder, namespaces, asks, walker: None, tools: None, report: PeersReport::default() }
    }

    /// What became of sockets so far.
    pub(super) const fn report(&self) -> &PeersReport {
        &self.report
    }

    pub(super) fn pass(&mut self, admissions: &Admissions) {
        if self.report.by.is_none() {
            self.choose();
        }
        let trouble = match self.try_pass(admissions) {
            Ok(done) => {
                self.report.ended.add(done.ended);
                self.report.left = done.left;
                done.trouble
            }
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(trouble) = trouble.as_ref().filter(|_| trouble != self.report.trouble) {
            tracing::warn!("UDP sockets whose backend is gone: {trouble}");
        }
        self.report.trouble = trouble;
    }

    /// How sockets are found from now on.
    fn choose(&mut self) {
        self.report.pods = may_enter();
        if self.by == EndBy::SockDiag {
            self.report.by = Some(EndBy::SockDiag);
            return;
        }
        self.report.by = Some(EndBy::Iterator);
        match Walker::load() {
            Ok(walker) => self.walker = Some(walker),
            Err(error) => self.do_without_iterator(&error),
        }
    }

    fn do_without_iterator(&mut self, error: &WalkError) {
        self.walker = None;
        self.report.no_iterator = Some(chain(error));
        if self.by == EndBy::Auto {
            self.report.by = Some(EndBy::SockDiag);
        }
    }

    fn try_pass(&mut self, admissions: &Admissions) -> anyhow::Result<Done> {
        self.open()?;
        let walked = match (&self.walker, &self.tools) {
            (Some(walker), Some(tools)) => Some(walker.walk(&tools.memories)),
            _ => None,
        };
        let walked = walked.transpose().unwrap_or_else(|error| {
            self.do_without_iterator(&error);
            None
        });
        let Some(tools) = &self.tools else { return Ok(Done::default()) };
        let own = namespaces::own()?;
        let (here, others) = match (walked, self.by) {
            (Some(walked), _) => {
                let mut found = find(walked, admissions);
                (found.remove(&own), Some(found))
            }
            (None, EndBy::Iterator) => return Ok(Done::default()),
            // It is not known where any are.
            (None, _) => (Some(0), None),
        };
        let visit = Visit { asker: &tools.asker, admissions, asks: self.asks };
        let mut done = here.map(|found| visit.here(found)).unwrap_or_default();
        let (of_others, namespaces_left) = visit.others(others, &self.namespaces, self.report.pods)?;
        done.add(of_others);
        self.report.namespaces_left = namespaces_left;
        Ok(done)
    }

    /// Opens the map of the generation in use. While another takes its place it has no name: the last one is the same map.
    fn open(&mut self) -> anyhow::Result<()> {
        let Ok(memories) = Memories::open(&self.folder) else { return Ok(()) };
        let map = memories.id()?;
        if self.tools.as_ref().is_none_or(|tools| tools.map != map) {
            let asker = Asker::load(&memories)?;
            self.tools = Some(Tools { map, memories, asker });
        }
        Ok(())
    }
}

/// How many sockets are to end, by network namespace.
#[must_use]
pub fn find(walked: Vec<Walked>, admissions: &Admissions) -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    for Walked { namespace, peer, translation } in walked {
        if judge(admissions, &translation, Some(peer)).is_some() {
            *found.entry(namespace).or_default() += 1;
        }
    }
    found
}

//! One pass: the sockets that are to end are found, and ended in the network namespace of each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::datapath::maps::pinned::folder;
use crate::datapath::sockets::{Answer, Asker, Door, Ended, ListError, Memories, Walker, Which, enter};
use crate::host::namespaces::{self, Opener};
use crate::model::{EndBy, PeersReport, Pods, UdpEnd};
use crate::plan::admissions::{Admissions, Verdict};
use crate::shown::chain;

use super::PeersConfig;

/// No further network namespace is entered after this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// What passes are made with, and what became of sockets so far.
#[derive(Debug)]
pub(super) struct Passes {
    by: EndBy,
    folder: PathBuf,
    namespaces: Vec<PathBuf>,
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

/// What was done in some network namespaces.
#[derive(Debug, Default)]
struct Done {
    ended: u64,
    left: u64,
    trouble: Option<String>,
}

impl Done {
    fn add(&mut self, other: Self) {
        self.ended += other.ended;
        self.left += other.left;
        self.trouble = self.trouble.take().or(other.trouble);
    }
}

impl Passes {
    pub(super) fn new(config: PeersConfig) -> Self {
        let PeersConfig { by, pin_root, namespaces } = config;
        let folder = folder(&pin_root);
        Self { by, folder, namespaces, walker: None, tools: None, report: PeersReport::default() }
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
                self.report.ended += done.ended;
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
        let loaded = if self.by == EndBy::SockDiag { None } else { Some(Walker::load()) };
        self.report.by = Some(match loaded {
            Some(Ok(walker)) => {
                self.walker = Some(walker);
                EndBy::Iterator
            }
            Some(Err(error)) => {
                self.report.no_iterator = Some(chain(&error));
                if self.by == EndBy::Iterator { EndBy::Iterator } else { EndBy::SockDiag }
            }
            None => EndBy::SockDiag,
        });
        self.report.pods = may_enter();
    }

    fn try_pass(&mut self, admissions: &Admissions) -> anyhow::Result<Done> {
        self.open()?;
        let Some(tools) = &self.tools else { return Ok(Done::default()) };
        let own = namespaces::own()?;
        let (mut here, others) = match (&self.walker, self.by) {
            (Some(walker), _) => {
                let mut found: BTreeMap<u64, u64> = BTreeMap::new();
                for walked in walker.walk(&tools.memories)? {
                    if admissions.judge(&walked.translation) == Verdict::Ends {
                        *found.entry(walked.namespace).or_default() += 1;
                    }
                }
                (found.remove(&own), Some(found))
            }
            (None, EndBy::Iterator) => return Ok(Done::default()),
            // It is not known where any are.
            (None, _) => (Some(0), None),
        };
        let mut done = Done::default();
        if here.take().is_some() {
            done.add(end_here(&tools.asker, admissions));
        }
        let (of_others, namespaces_left) =
            in_others(&tools.asker, admissions, others, &self.namespaces, self.report.pods)?;
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

/// Whether this process may enter network namespaces: it enters the one that it is in.
fn may_enter() -> Pods {
    let enter_own = || -> Result<(), ListError> {
        let own = File::open("/proc/thread-self/ns/net").map_err(ListError::Enter)?;
        enter(&own)
    };
    match std::thread::scope(|scope| scope.spawn(enter_own).join()) {
        Ok(Ok(())) => Pods::Entered,
        Ok(Err(ListError::MayNotEnter)) => Pods::NotAllowed,
        _ => Pods::Unknown,
    }
}

/// Goes through other network namespaces: those that were `found` to have sockets that are to end, with how many; or all. Returns
/// as well how many could not be looked into, where it is not known what is in them.
fn in_others(
    asker: &Asker,
    admissions: &Admissions,
    found: Option<BTreeMap<u64, u64>>,
    folders: &[PathBuf],
    pods: Pods,
) -> io::Result<(Done, u64)> {
    if found.as_ref().is_some_and(BTreeMap::is_empty) {
        return Ok(Default::default());
    }
    if pods == Pods::NotAllowed {
        return Ok(match found {
            Some(found) => (Done { left: found.values().sum(), ..Done::default() }, 0),
            None => (Done::default(), namespaces::others(folders)?.len() as u64),
        });
    }
    let openers = namespaces::others(folders)?;
    let visits: Vec<(u64, Option<&Opener>, u64)> = match &found {
        Some(found) => {
            found.iter().map(|(number, sockets)| (*number, openers.get(number), *sockets)).collect()
        }
        None => openers.iter().map(|(number, opener)| (*number, Some(opener), 0)).collect(),
    };
    // A thread of its own, since nothing brings it back from where it went.
    let visited = std::thread::scope(|scope| {
        let visit = || visit_all(asker, admissions, &visits);
        let thread = std::thread::Builder::new().name("peers-pods".to_owned()).spawn_scoped(scope, visit)?;
        thread.join().map_err(|_panic| io::Error::other("the thread that entered pods panicked"))
    });
    let (done, not_entered) = visited?;
    Ok((done, if found.is_some() { 0 } else { not_entered }))
}

fn visit_all(asker: &Asker, admissions: &Admissions, visits: &[(u64, Option<&Opener>, u64)]) -> (Done, u64) {
    let until = Instant::now() + PATIENCE;
    let (mut done, mut not_entered) = (Done::default(), 0);
    for (number, opener, sockets) in visits {
        let entered = match opener {
            Some(opener) if Instant::now() < until => visit(*number, opener),
            Some(_) => Err(format!("the others took {} s", PATIENCE.as_secs())),
            None => Err("no process that can be seen is in it, and no file keeps it".to_owned()),
        };
        match entered {
            Ok(()) => done.add(end_here(asker, admissions)),
            Err(why) => {
                not_entered += 1;
                let trouble = Some(format!("network namespace {number} could not be entered: {why}"));
                // Where it is not known that there are any, it may just have gone.
                let trouble = trouble.filter(|_| *sockets > 0);
                done.add(Done { left: *sockets, trouble, ended: 0 });
            }
        }
    }
    (done, not_entered)
}

fn visit(number: u64, opener: &Opener) -> Result<(), String> {
    let namespace = namespaces::open(number, opener).map_err(|error| error.to_string())?;
    enter(&namespace).map_err(|error| chain(&error))
}

/// Ends the sockets of the calling thread's network namespace that are to end. Each is asked just before: it may have been
/// connected elsewhere since it was found.
fn end_here(asker: &Asker, admissions: &Admissions) -> Done {
    let (mut done, mut left) = (Done::default(), 0);
    let ended = Door::open().and_then(|door| {
        for socket in door.list(Which::Connected)? {
            match end(&door, asker, admissions, &socket) {
                Ok(Some(Ended::Yes)) => done.ended += 1,
                Ok(Some(Ended::Gone) | None) => {}
                Err(error) => {
                    left += 1;
                    done.trouble = Some(trouble(&error));
                }
            }
        }
        Ok(())
    });
    if let Err(error) = ended {
        done.trouble = Some(chain(&error));
    }
    Done { left, ..done }
}

fn end(door: &Door, asker: &Asker, admissions: &Admissions, socket: &UdpEnd) -> io::Result<Option<Ended>> {
    match asker.ask(socket)? {
        // What it remembers may be of a connection that came to nothing.
        Answer::Connected(translation)
            if socket.peer == Some(translation.backend)
                && admissions.judge(&translation) == Verdict::Ends =>
        {
            door.end(socket).map(Some)
        }
        Answer::Connected(_) | Answer::Nothing | Answer::Gone | Answer::Changing => Ok(None),
    }
}

fn trouble(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => {
            "the kernel ends no sockets: it was built without CONFIG_INET_DIAG_DESTROY".to_owned()
        }
        Some(libc::EPERM) => "the kernel does not let this process end a socket (CAP_NET_ADMIN)".to_owned(),
        _ => format!("a socket could not be ended: {error}"),
    }
}

//! `lb-agent trace`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use lb_common::hook::Hook;
use lb_common::outcome::Outcome;
use lb_common::trace::Decision;

use crate::cli::print::trace::{header, line};
use crate::config::PIN_ROOT;
use crate::datapath::cgroup;
use crate::datapath::cgroup_index::CgroupIndex;
use crate::datapath::generation::find;
use crate::datapath::maps::pinned::{PinnedMaps, folder_of};
use crate::datapath::programs::trace::{Listen, Trace};
use crate::datapath::since_boot;
use crate::host::pod_logs::PodLogs;
use crate::plan::takeover::Takeover;
use crate::shown::shown;
use crate::view::json;
use crate::view::trace::{DecisionView, Meanings, PodView, Wanted, decision};

use super::Output;
use super::duration;
use super::signals::asked;

/// How long a sleep may last through an end that was asked for.
const PERIOD: Duration = Duration::from_millis(200);
/// From one look at which programs run, or what numbers mean, to the next.
const LOOK: Duration = Duration::from_secs(1);
/// Records between two looks at the time.
const ROUND: usize = 4096;
/// How often it is tried, a second apart, to go on after the programs were replaced.
const TRIES: u32 = 10;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
It takes root on the node, and costs nothing while it does not run. It shows calls to Services from the moment at which it says that \
it listens; one listens at a time.

Example: what the pod cart gets when it dials the Service web
  lb-agent trace --service default/web --pod shop/cart

Example: the next refusal on this node, at most a minute from now
  lb-agent trace --refused --count 1 --for 1m -o json | jq -r '.service + \" \" + .outcome'")]
pub struct Args {
    /// Only calls to this Service
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    service: Option<String>,
    /// Only calls of processes in this pod
    #[arg(long, value_name = "UID|[NAMESPACE/]NAME")]
    pod: Option<String>,
    /// Only calls that are refused
    #[arg(long, conflicts_with = "all")]
    refused: bool,
    /// Also calls to no Service, and those by which the agent tests itself
    #[arg(long)]
    all: bool,
    /// End after so many lines
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this long, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::time)]
    how_long: Option<Duration>,
    /// Memory for decisions that wait to be printed, in KiB: a power of two. What finds no room is counted
    #[arg(long, value_name = "KIB", default_value = "1024", value_parser = kibibytes)]
    buffer: u32,
    /// Where the kubelet keeps the logs of pods: the names of its folders say what pods are called
    #[arg(long, value_name = "FOLDER", default_value = "/var/log/pods")]
    pod_logs: PathBuf,
    /// Where maps and links are pinned.
    #[arg(long, env = "EDGELOOP_PIN_ROOT", value_name = "FOLDER", default_value = PIN_ROOT)]
    pin_root: PathBuf,
    #[arg(short, long, env = "EDGELOOP_OUTPUT", value_enum, default_value_t)]
    output: Output,
}

/// Bytes of the buffer.
fn kibibytes(text: &str) -> Result<u32, String> {
    let number: Option<u32> = text.parse().ok();
    let fits = number.filter(|number| number.is_power_of_two() && (4..=65_536).contains(number));
    fits.map(|number| number * 1024).ok_or_else(|| "write a power of two from 4 to 65536".to_owned())
}

/// Prints decisions of the programs until it is interrupted, or has printed what was asked for.
///
/// # Errors
/// No programs of this version run, or the kernel does not let others record in their place.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { service, pod, refused, all, count, how_long, buffer, pod_logs, pin_root, output } = args;
    let wanted = Wanted { service, pod, refused };
    let until = how_long.map(|how_long| Instant::now() + how_long);
    let end = end_when_asked().context("could not wait for signals")?;
    let listen = Listen { all, ring: buffer };
    let mut printer = Printer { output, wanted, left: count, printed: 0 };
    let mut listener = Listener::start(pin_root, listen, PodLogs::in_folder(pod_logs))?;
    printer.begin()?;
    writeln!(io::stderr(), "listening at {}", listener.pin_root.display())?;
    let mut looked = Instant::now();
    while !end.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
        listener.source.trace.wait(PERIOD);
        if !listener.drain(&mut printer)? {
            break;
        }
        if looked.elapsed() >= LOOK {
            if !listener.source.trace.is_current() {
                listener.follow(&end)?;
            }
            looked = Instant::now();
        }
    }
    let Printer { printed, .. } = printer;
    writeln!(io::stderr(), "{printed} decisions shown, {} lost", listener.lost())?;
    Ok(ExitCode::SUCCESS)
}

/// True from the first SIGINT or SIGTERM on.
fn end_when_asked() -> io::Result<Arc<AtomicBool>> {
    let end = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&end);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = {
        let _on_it = runtime.enter();
        asked()?
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(asked);
        ended.store(true, Ordering::Relaxed);
    })?;
    Ok(end)
}

/// The programs that record, and what the numbers in their records mean.
struct Source {
    trace: Trace,
    maps: PinnedMaps,
    meanings: Meanings,
    /// When the maps were asked for them.
    read: Instant,
}

impl Source {
    fn start(pin_root: &Path, listen: Listen) -> anyhow::Result<Self> {
        let folder = folder(pin_root)?;
        let maps = PinnedMaps::open(&folder)?;
        let meanings = Meanings { keys: maps.keys()?, cells: maps.cells_of_places()? };
        Ok(Self { trace: Trace::start(pin_root, &folder, listen)?, maps, meanings, read: Instant::now() })
    }
}

/// Reads what programs record.
struct Listener {
    pin_root: PathBuf,
    listen: Listen,
    source: Source,
    pods: Pods,
    /// Lost by programs that were replaced since.
    lost_before: u64,
    lost_said: u64,
}

impl Listener {
    fn start(pin_root: PathBuf, listen: Listen, logs: PodLogs) -> anyhow::Result<Self> {
        // Without it no pod is known.
        let cgroups = cgroup::find(None).ok().map(|top| CgroupIndex::below(&top));
        let source = Source::start(&pin_root, listen)?;
        let pods = Pods { cgroups, logs };
        Ok(Self { pin_root, listen, source, pods, lost_before: 0, lost_said: 0 })
    }

    /// Goes on with the programs that run now, of a new agent or over new maps.
    fn follow(&mut self, end: &AtomicBool) -> anyhow::Result<()> {
        writeln!(
            io::stderr(),
            "the programs were replaced: what is decided until it listens again is not shown"
        )?;
        let mut tried = 1;
        let source = loop {
            match Source::start(&self.pin_root, self.listen) {
                Ok(source) => break source,
                Err(error) if tried >= TRIES || end.load(Ordering::Relaxed) => return Err(error),
                // A change-over may be under way.
                Err(_) => std::thread::sleep(LOOK),
            }
            tried += 1;
        };
        self.lost_before = self.lost();
        self.source = source;
        writeln!(io::stderr(), "listening again")?;
        Ok(())
    }

    fn lost(&self) -> u64 {
        self.lost_before + self.source.trace.lost()
    }

    /// Prints what waits, up to a bound, and what was lost. False when all that was asked for is printed.
    fn drain(&mut self, printer: &mut Printer) -> anyhow::Result<bool> {
        for _ in 0..ROUND {
            let Some(record) = self.source.trace.take() else { break };
            let Some(view) = self.view(&record) else { continue };
            if !printer.print(&view)? {
                return Ok(false);
            }
        }
        let lost = self.lost();
        if lost > self.lost_said {
            let more = lost - self.lost_said;
            writeln!(
                io::stderr(),
                "{more} decisions lost: they came faster than they were printed; --buffer makes more room"
            )?;
            self.lost_said = lost;
        }
        Ok(true)
    }

    fn view(&mut self, record: &(Decision, Hook, Outcome)) -> Option<DecisionView> {
        let Source { maps, meanings, read, .. } = &mut self.source;
        if !meanings.has(&record.0) && read.elapsed() >= LOOK {
            *read = Instant::now();
            // What cannot be read is shown by its number.
            if let (Ok(keys), Ok(cells)) = (maps.keys(), maps.cells_of_places()) {
                *meanings = Meanings { keys, cells };
            }
        }
        if meanings.is_self_test(&record.0) && !self.listen.all {
            return None;
        }
        let pod = self.pods.of(record.0.cgroup);
        Some(decision(record, time(record.0.at), &name(record.0.process), pod, meanings))
    }
}

/// The folder of the maps in use.
fn folder(pin_root: &Path) -> anyhow::Result<PathBuf> {
    match find(pin_root)?.takeover() {
        Takeover::Adopt(name) | Takeover::Finish(name) => Ok(folder_of(pin_root, name)),
        Takeover::Make => bail!(
            "nothing of Edgeloop is pinned at {}; start `lb-agent run`, or name another folder with --pin-root",
            pin_root.display()
        ),
        Takeover::Replace(_) => bail!(
            "programs of another version run over maps that this one cannot read: ask the lb-agent of that version"
        ),
    }
}

/// The clock's time at so many nanoseconds since the boot.
fn time(at: u64) -> String {
    let ago = since_boot().saturating_sub(Duration::from_nanos(at));
    let then = SystemTime::now().checked_sub(ago).and_then(|then| Timestamp::try_from(then).ok());
    then.map_or_else(|| "-".to_owned(), |then| format!("{then:.3}"))
}

/// The name of a process, as the kernel keeps it; `-` where it has ended.
fn name(process: u32) -> String {
    let name = std::fs::read(format!("/proc/{process}/comm"));
    name.map_or_else(|_| "-".to_owned(), |name| String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

/// Which pods processes are in.
struct Pods {
    cgroups: Option<CgroupIndex>,
    logs: PodLogs,
}

impl Pods {
    fn of(&mut self, cgroup: u64) -> Option<PodView> {
        let uid = self.cgroups.as_mut()?.pod(cgroup)?;
        let named = self.logs.name(uid);
        Some(PodView {
            uid: shown(uid),
            namespace: named.map(|(namespace, _)| shown(namespace)),
            name: named.map(|(_, name)| shown(name)),
        })
    }
}

/// Prints what is wanted.
struct Printer {
    output: Output,
    wanted: Wanted,
    /// Lines that may still be printed; `None`: any number.
    left: Option<u64>,
    printed: u64,
}

impl Printer {
    fn begin(&self) -> anyhow::Result<()> {
        if self.output == Output::Table {
            write(header().as_bytes())?;
        }
        Ok(())
    }

    /// False when no more is to come: so many were asked for, or the reader has seen enough.
    fn print(&mut self, view: &DecisionView) -> anyhow::Result<bool> {
        if !self.wanted.has(view) {
            return Ok(true);
        }
        let text = match self.output {
            Output::Table => line(view).into_bytes(),
            Output::Json => [json::compact(view)?, b"\n".to_vec()].concat(),
            Output::Yaml => [b"---\n".to_vec(), self.output.of(view, String::new)?].concat(),
        };
        let is_read = write(&text)?;
        self.printed += u64::from(is_read);
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(is_read && self.left != Some(0))
    }
}

/// Whether someone still reads it.
fn write(text: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("could not write a decision"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_is_a_power_of_two_of_pages() {
        for (text, bytes) in [
            ("4", Some(4096)),
            ("1024", Some(1 << 20)),
            ("65536", Some(1 << 26)),
            ("2", None),
            ("5", None),
            ("131072", None),
            ("-4", None),
            ("", None),
        ] {
            assert_eq!(kibibytes(text).ok(), bytes, "{text:?}");
        }
    }
}

//! `lb-agent sockets`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::cli::print::sockets::text;
use crate::config::PIN_ROOT;
use crate::datapath::generation::find;
use crate::datapath::maps::pinned::{PinnedMaps, folder_of};
use crate::datapath::sockets::{ListError, Memories, list};
use crate::host::processes::{self, Namespaces};
use crate::model::{Memory, Process, UdpEnd};
use crate::plan::takeover::Takeover;
use crate::shown::chain;
use crate::view::sockets::{LeftOut, NamespacesView, NotAsked, Remembering, SocketsView, sockets};

use super::Output;
use super::remote::{Asked, RemoteArgs};

/// Network namespaces that are looked into at most: far more than a node has pods.
const MOST_NAMESPACES: usize = 4096;
/// No further one is begun after this long.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Sockets of pods are in network namespaces of their own, and each is asked by way of a process that has it: that takes root on the \
node, in the node's pid namespace.

Example: which backends the sockets of process 4711 stand for
  lb-agent sockets -o json | jq '.sockets[] | select(.processes[].pid == 4711) | .translations'

Example: those of the node edge-7, as far as its agent's pod may see them
  lb-agent sockets --on edge-7")]
pub struct Args {
    /// Where maps and links are pinned.
    #[arg(long, env = "EDGELOOP_PIN_ROOT", value_name = "FOLDER", default_value = PIN_ROOT)]
    pin_root: PathBuf,
    #[arg(short, long, env = "EDGELOOP_OUTPUT", value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Prints the UDP sockets that remember a translation, in all network namespaces that can be entered. Exits with 1 when nothing
/// is pinned.
///
/// # Errors
/// When the maps cannot be read, or the kernel does not show the sockets of the own namespace.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { pin_root, output, remote } = args;
    match remote.asked() {
        Asked::Here => {}
        Asked::One(node) => return remote.print_of_one(&node, &["sockets"], output),
        Asked::Several(nodes) => return remote.print_in_turn(&nodes, &["sockets"], output),
    }
    let Some(view) = view(&pin_root)? else {
        writeln!(
            std::io::stderr(),
            "nothing of Edgeloop is pinned at {}; start `lb-agent run`, or name another folder with --pin-root",
            pin_root.display()
        )?;
        return Ok(ExitCode::FAILURE);
    };
    output.print(&view, || text(&view)).context("could not write the list of sockets")?;
    Ok(ExitCode::SUCCESS)
}

/// The sockets; `None` where nothing is pinned.
pub(super) fn view(pin_root: &Path) -> anyhow::Result<Option<SocketsView>> {
    match find(pin_root)?.takeover() {
        Takeover::Adopt(name) | Takeover::Finish(name) => {
            look(pin_root, &folder_of(pin_root, name)).map(Some)
        }
        Takeover::Make => Ok(None),
        Takeover::Replace(_) => bail!(
            "programs of another version run over maps that this one cannot read: ask the lb-agent of that version"
        ),
    }
}

fn look(pin_root: &Path, folder: &Path) -> anyhow::Result<SocketsView> {
    let memories = Memories::open(folder)?;
    let all =
        Namespaces::read().context("could not read /proc for the network namespaces of this machine")?;
    let own = list(None).context("could not list the UDP sockets of this network namespace")?;
    let mut listed = BTreeMap::from([(all.own, own)]);
    let left_out = others(&all, &mut listed);
    let (found, not_asked) = remembering(&memories, &listed)?;
    let observed = PinnedMaps::open(folder)?.dump()?;
    Ok(SocketsView {
        pin_root: pin_root.display().to_string(),
        sockets: sockets(found, &observed),
        not_asked,
        namespaces: NamespacesView { looked_into: listed.len(), left_out, unknown_processes: all.unknown },
    })
}

/// Asks each socket what it remembers.
fn remembering(
    memories: &Memories,
    listed: &BTreeMap<u64, Vec<UdpEnd>>,
) -> anyhow::Result<(Vec<Remembering>, NotAsked)> {
    let inodes = listed.values().flatten().map(|end| end.inode).collect();
    let mut owners =
        processes::owners(&inodes).context("could not read /proc for the processes of sockets")?;
    let (mut found, mut not_asked) = (Vec::new(), NotAsked::default());
    for (namespace, end) in listed.iter().flat_map(|(number, ends)| ends.iter().map(|end| (*number, *end))) {
        let processes = owners.remove(&end.inode).unwrap_or_default();
        match ask(memories, &end, &processes) {
            Ok(memory) if memory == Memory::default() => {}
            Ok(memory) => found.push(Remembering { namespace, end, memory, processes }),
            Err(Unknown::WithoutProcess) => not_asked.without_process += 1,
            Err(Unknown::NotAllowed) => not_asked.not_allowed += 1,
        }
    }
    Ok((found, not_asked))
}

/// Why it is not known what a socket remembers.
enum Unknown {
    WithoutProcess,
    NotAllowed,
}

/// By way of the first process that lets it.
fn ask(memories: &Memories, end: &UdpEnd, processes: &[Process]) -> Result<Memory, Unknown> {
    let mut unknown = Unknown::WithoutProcess;
    for process in processes {
        match memories.of(end, process) {
            Ok(memory) => return Ok(memory),
            // It has closed the socket, or has ended.
            Err(error) if matches!(error.raw_os_error(), None | Some(libc::ESRCH | libc::EBADF)) => {}
            Err(_) => unknown = Unknown::NotAllowed,
        }
    }
    Err(unknown)
}

/// Looks into each network namespace but the own one. Returns those that could not be looked into.
fn others(all: &Namespaces, found: &mut BTreeMap<u64, Vec<UdpEnd>>) -> Vec<LeftOut> {
    let until = Instant::now() + PATIENCE;
    let mut left_out = Vec::new();
    for (number, pid) in all.by_number.iter().filter(|(number, _)| **number != all.own) {
        let looked = if found.len() >= MOST_NAMESPACES {
            Err(format!("there are more than {MOST_NAMESPACES}"))
        } else if Instant::now() > until {
            Err(format!("the others took {} s", PATIENCE.as_secs()))
        } else {
            let entered = processes::namespace(*pid, *number).map_err(ListError::Enter);
            let listed = entered.and_then(|namespace| list(Some(&namespace)));
            listed.map_err(|error| chain(&error))
        };
        match looked {
            Ok(sockets) => {
                found.insert(*number, sockets);
            }
            Err(why) => left_out.push(LeftOut { namespace: *number, pid: *pid, why }),
        }
    }
    left_out
}

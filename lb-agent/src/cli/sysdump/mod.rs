//! `lb-agent sysdump`.

mod bundle;
mod facts;
mod gather;
mod maps;
mod names;
mod nodes;
mod parts;
pub(super) mod secrets;
mod sentence;
mod strings;

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;

use crate::check::Question;
use crate::config::Manifests;
use crate::plan::{Capacity, Sizes};
use crate::remote::Nodes;

use super::choices::ModeArg;
use super::explain::Place;
use super::remote::{Asked, RemoteArgs};
use super::unless_closed;

use bundle::About;
use names::{Names, cleaned};
use parts::{File, Form, Gathering};

/// For all of it, but for the file that is being written then.
const PATIENCE: Duration = Duration::from_secs(28);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is in the bundle, and what never is, stands in docs/operations.md. Look into it before it is sent on.

Example: a bundle for a report that everyone can read
  lb-agent sysdump --anonymous

Example: one file with the bundles of all nodes of the cluster
  lb-agent sysdump --all-nodes")]
pub struct Args {
    /// Write it into this file, - for standard output; into the current folder, named after the time, unless given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Put made-up names and addresses in the place of those of Namespaces, Services, Nodes, pods and pools
    #[arg(long)]
    anonymous: bool,
    #[command(flatten)]
    place: Place,
    /// The cgroup2 folder that the agent attached at, if it was given one.
    #[arg(long, env = "EDGELOOP_CGROUP", value_name = "FOLDER")]
    cgroup: Option<PathBuf>,
    /// The folder of manifests that the agent follows: no API server is asked then.
    #[arg(long, env = "EDGELOOP_SOURCE", value_name = "file:FOLDER")]
    source: Option<Manifests>,
    /// Whether the agent runs beside kube-proxy or in its place.
    #[arg(long, env = "EDGELOOP_MODE", value_name = "MODE", value_enum, default_value_t)]
    mode: ModeArg,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Writes one file with what a report on this node, or on others, needs. What cannot be had is listed in it.
///
/// # Errors
/// The file cannot be written, or no other node gives a bundle.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let nodes = match args.remote.asked() {
        Asked::Here => return of_this_node(args),
        Asked::One(node) => Nodes::These(BTreeSet::from([node])),
        Asked::Several(nodes) => nodes,
    };
    let Args { output, anonymous, remote, .. } = args;
    nodes::run(&remote, &nodes, output, anonymous)
}

fn of_this_node(args: Args) -> anyhow::Result<ExitCode> {
    let Args { output, anonymous, place, cgroup, source, mode, remote } = args;
    let (now, until) = (Timestamp::now(), Instant::now() + PATIENCE);
    let server = remote.api().clone().settle(source.as_ref().map(|_| "--source"));
    let question = server.map(|config| Question {
        cgroup: cgroup.clone(),
        pin_root: place.pin_root().to_owned(),
        server: source.is_none().then_some(config),
        mode: mode.into(),
        room: Sizes { frontends: None, backends: None }.fresh(Capacity::of(0, 0)),
    });
    let Gathering { files, missing, .. } =
        gather::gather(gather::From { place, cgroup, question: question.map_err(Into::into) });
    let mut names = anonymous.then(|| Names::new(RandomState::new()));
    if let Some(names) = &mut names {
        learn(names, &files).context("could not read the parts again")?;
    }
    // Both closures below clean, one after the other.
    let names = std::cell::RefCell::new(names);
    let about = about(now, until, anonymous);
    let bundle = bundle::bundle(
        &about,
        &files,
        &missing,
        |file, text| clean(&mut names.borrow_mut(), file, &text),
        |why| cleaned(names.borrow_mut().as_mut(), None, why),
    )?;
    let lacks = match missing.len() {
        0 => String::new(),
        some => format!("; {some} parts are missing, see MANIFEST in it"),
    };
    write(output, now, "tar.gz", &bundle, &lacks)?;
    Ok(ExitCode::SUCCESS)
}

/// Learns all names before anything is written: a sentence may hold one that is a name in another file alone.
fn learn(names: &mut Names<RandomState>, files: &[File]) -> io::Result<()> {
    for file in files {
        let text = file.content()?;
        match file.form {
            Form::Json => drop(strings::each(&text, |field, text| {
                names.learn(field, text);
                String::new()
            })),
            Form::Text => names.hosts(&text),
        }
    }
    Ok(())
}

fn clean(names: &mut Option<Names<RandomState>>, file: &File, text: &str) -> String {
    match file.form {
        Form::Json => strings::each(text, |field, text| cleaned(names.as_mut(), Some(field), text)),
        Form::Text => {
            let lines = text.split_inclusive('\n').map(|line| cleaned(names.as_mut(), None, line));
            lines.collect()
        }
    }
}

fn about(now: Timestamp, until: Instant, anonymous: bool) -> About {
    let build = facts::build();
    let names = if anonymous {
        "made up; the same stands for the same in all files of this bundle"
    } else {
        "as they are; --anonymous makes up others"
    };
    let lines = vec![
        "lb-agent sysdump".to_owned(),
        format!("made at  {now}"),
        format!("by       lb-agent {}, layout version {}", build.version, build.layout),
        format!("names    {names}"),
        "secrets  what looks like one is left out".to_owned(),
    ];
    About { lines, until, at: u64::try_from(now.as_second()).unwrap_or_default() }
}

/// Writes it where it was asked for, else into the current folder, and says so, with what `lacks`.
fn write(
    output: Option<PathBuf>,
    now: Timestamp,
    suffix: &str,
    bundle: &[u8],
    lacks: &str,
) -> anyhow::Result<()> {
    if output.as_deref() == Some(Path::new("-")) {
        return unless_closed(io::stdout().write_all(bundle)).context("could not write the bundle");
    }
    let file = output.unwrap_or_else(|| {
        PathBuf::from(format!("edgeloop-sysdump-{}.{suffix}", now.strftime("%Y%m%dT%H%M%SZ")))
    });
    let failed =
        || format!("could not write the bundle to {}; name another file with --output", file.display());
    let mut options = OpenOptions::new();
    let mut to =
        options.write(true).create(true).truncate(true).mode(0o600).open(&file).with_context(failed)?;
    to.write_all(bundle).and_then(|()| to.sync_all()).with_context(failed)?;
    let said = writeln!(io::stdout(), "{} ({} KiB){lacks}", file.display(), bundle.len().div_ceil(1024));
    unless_closed(said).context("the bundle is written, but that cannot be said")
}

//! `lb-agent explain`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::cli::print::explain::text;
use crate::cli::print::nodes;
use crate::cli::print::services::pinned;
use crate::config::{PIN_ROOT, socket};
use crate::serve::observe::{count, observe};
use crate::serve::request::{Reply, Request};
use crate::serve::socket::request;
use crate::shown::Quoted;
use crate::view::asked::is_meant;
use crate::view::held::beside;
use crate::view::kernel::KernelView;
use crate::view::loops::Counts;
use crate::view::nodes::of_explanation;

use super::Output;
use super::remote::{Asked, RemoteArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: why a client of this node reaches these backends of the Service web, and no others
  lb-agent explain default/web:http

Example: the same for what a client dialled
  lb-agent explain 10.96.0.11:80

Example: the same as the node edge-7 has it, and as all nodes have it
  lb-agent explain default/web --on edge-7
  lb-agent explain default/web --all-nodes")]
pub struct Args {
    /// [NAMESPACE/]NAME of a Service, with :PORT (its name or number) for one port; or what a client dials
    #[arg(value_name = "SERVICE[:PORT]")]
    service: String,
    #[command(flatten)]
    place: Place,
    #[arg(short, long, env = "EDGELOOP_OUTPUT", value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Where a running agent and its maps are.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Where maps and links are pinned.
    #[arg(long, env = "EDGELOOP_PIN_ROOT", value_name = "FOLDER", default_value = PIN_ROOT)]
    pin_root: PathBuf,
    /// The agent's socket, if it was given one.
    #[arg(long, env = "EDGELOOP_SOCKET", value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Ask no agent: show what the maps hold
    #[arg(long)]
    pinned: bool,
}

impl Place {
    /// What the kernel holds, also where no agent runs.
    ///
    /// # Errors
    /// Nothing is pinned there, or it cannot be read.
    pub fn kernel(&self) -> anyhow::Result<KernelView> {
        let kernel = observe(&self.pin_root, None);
        let kernel =
            kernel.with_context(|| format!("could not read the maps below {}", self.pin_root.display()))?;
        match &kernel.unreadable {
            Some(why) => bail!("the maps cannot be shown: {why}"),
            None => Ok(kernel),
        }
    }

    /// How many connections the kernel counted, also where no agent runs.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub fn counts(&self) -> anyhow::Result<Counts> {
        count(&self.pin_root)
            .with_context(|| format!("could not read the maps below {}", self.pin_root.display()))
    }

    /// This command for an agent on another node, which knows by itself where its maps are.
    #[must_use]
    pub fn command(&self, name: &'static str) -> Vec<&str> {
        if self.pinned { vec![name, "--pinned"] } else { vec![name] }
    }

    /// # Errors
    /// Agents are to be asked, and `--pinned` says that none is.
    pub fn needs_agents(&self) -> anyhow::Result<()> {
        if self.pinned {
            bail!("--pinned shows what the maps of one node hold: name that node alone with --on");
        }
        Ok(())
    }

    #[must_use]
    pub const fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// What the agent says.
    ///
    /// # Errors
    /// As [`request`].
    pub fn ask(&self, asked: &Request) -> anyhow::Result<Reply> {
        Ok(request(&self.socket(), asked)?)
    }

    #[must_use]
    pub fn pin_root(&self) -> &Path {
        &self.pin_root
    }

    /// The agent's.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket(self.socket.clone(), &self.pin_root)
    }
}

/// Prints all that decides where connections to a Service go.
///
/// # Errors
/// There is no such Service or port, no agent replies, or nothing is pinned.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { service, place, output, remote } = args;
    match remote.asked() {
        Asked::Here => {}
        Asked::One(node) => {
            let command = [place.command("explain"), vec!["--", service]].concat();
            return remote.print_of_one(&node, &command, *output);
        }
        Asked::Several(nodes) => {
            place.needs_agents()?;
            let (command, text) = (["explain", "--", service], nodes::explanations);
            return remote.print_of_several(&nodes, &command, *output, of_explanation, text);
        }
    }
    if place.is_pinned() {
        let mut kernel = place.kernel()?;
        kernel.services.retain(|element| is_meant(element, service));
        if kernel.services.is_empty() {
            bail!("the maps hold nothing for {}: it is left as it is dialled", Quoted(service));
        }
        output.print(&kernel.services, || pinned(&kernel)).context("could not write what the maps hold")?;
        return Ok(ExitCode::SUCCESS);
    }
    let Reply::Explanation(mut explanation) = place.ask(&Request::Explain(service.clone()))? else {
        bail!("the agent replied with something else than an explanation: is it of this version?");
    };
    // Before it has opened its maps, an agent decides all the same.
    if let Ok(kernel) = place.kernel() {
        beside(&mut explanation, &kernel);
    }
    output.print(&explanation, || text(&explanation)).context("could not write the explanation")?;
    Ok(ExitCode::SUCCESS)
}

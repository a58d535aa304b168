//! `lb-agent completions` and `lb-agent man`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use clap_mangen::generate_to;

use super::output::unless_closed;
use super::{Cli, NAME};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: commands and flags of lb-agent in every bash of this machine
  lb-agent completions bash > /etc/bash_completion.d/lb-agent")]
pub struct Args {
    /// The shell that they are for
    shell: Shell,
}

/// Prints what the shell reads.
///
/// # Errors
/// It cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    generate(args.shell, &mut Cli::command(), NAME, &mut text);
    if args.shell == Shell::Bash {
        text = with_one_name(&String::from_utf8_lossy(&text)).into_bytes();
    }
    unless_closed(io::Write::write_all(&mut io::stdout(), &text))
        .context("could not write the completions")?;
    Ok(ExitCode::SUCCESS)
}

/// clap_complete takes the dash in the program's name for the begin of a subcommand in one of two places, so that bash finds no
/// flags of any command.
fn with_one_name(script: &str) -> String {
    script.replace("lb__subcmd__agent", "lb__agent")
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: the page of lb-agent, and one for each of its commands
  lb-agent man /usr/local/share/man/man1 && man lb-agent-explain")]
pub struct ManArgs {
    /// The folder for the pages; made if it is not there
    folder: PathBuf,
}

/// Writes a page for the program and for each of its commands.
///
/// # Errors
/// The folder or a page cannot be written.
pub fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    let command = Cli::command().disable_help_subcommand(true);
    generate_to(command, folder)
        .with_context(|| format!("could not write pages into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

//! `lb-agent uninstall`.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::builder::NonEmptyStringValueParser;

use crate::uninstall::{End, Target, uninstall};

use super::signals;
use super::source::ApiArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: before helm uninstall, which does the same by its hook
  lb-agent uninstall --namespace kube-system --daemonset edgeloop-agent")]
pub struct Args {
    /// The namespace of the agents' DaemonSet.
    #[arg(long, env = "EDGELOOP_NAMESPACE", value_name = "NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    namespace: String,
    /// Its name.
    #[arg(long, env = "EDGELOOP_DAEMONSET", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    daemonset: String,
    /// How long its pods are waited for, in seconds.
    #[arg(long, env = "EDGELOOP_TIMEOUT", value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    #[command(flatten)]
    api: ApiArgs,
}

/// Has the pods of a DaemonSet remove programs and maps, and waits until they have.
///
/// # Errors
/// When the DaemonSet cannot be changed, or a node that can be reached is not done in time.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { namespace, daemonset, timeout, api } = args;
    let target = Target { namespace, daemon_set: daemonset, timeout: Duration::from_secs(timeout) };
    let config = api.settle(None)?;
    // A reader that is gone changes nothing.
    let say = |text: &str| drop(writeln!(std::io::stdout(), "{text}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start a runtime")?;
    let end = runtime.block_on(async {
        let asked = signals::asked().context("could not listen for signals")?;
        tokio::select! {
            () = asked => bail!("asked to leave before all nodes were done"),
            end = uninstall(config, target, say) => end.map_err(anyhow::Error::from),
        }
    });
    // A name server that hangs holds nothing up.
    runtime.shutdown_background();
    match end? {
        End::Done => Ok(ExitCode::SUCCESS),
        End::Left => bail!(
            "programs are left on nodes that can be reached: look at their pods and try again, or run \
             `lb-agent cleanup --stop` there (`helm uninstall --no-hooks` then removes the rest)"
        ),
    }
}

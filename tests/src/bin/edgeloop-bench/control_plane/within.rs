//! What our agent takes within a memory cgroup, to which its maps are charged too, and whether all finds room.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{Agent, in_kernel, lb_agent_says, program};
use edgeloop_tests::{Charged, MemoryGroup};
use lb_agent::view::diagnostic::Reason;
use nix::sys::signal::Signal;

use super::FEW;
use super::ground::Ground;
use super::population::{ENDPOINTS, Population};
use super::weigh::{Memory, memory};

pub(crate) fn run(population: Population, limits: &[u64], rest: Duration) -> Result<()> {
    let mut ground = Ground::new(population)?;
    for services in [FEW, population.services] {
        eprintln!("creating the Services");
        ground.grow(services)?;
        for limit in limits {
            let found = try_within(&ground, *limit, rest)?;
            writeln!(io::stdout(), "{found}").context("could not print")?;
        }
    }
    Ok(())
}

fn try_within(ground: &Ground, limit: u64, rest: Duration) -> Result<String> {
    let group = MemoryGroup::new(&ground.node)?;
    group.set_limit(limit * 1_000_000)?;
    let kubeconfig = ground.cluster.agent_kubeconfig()?;
    let flags = ["--kubeconfig", kubeconfig.to_str().context("a path that is no text")?];
    let mut command = group.within(ground.cluster.command_on(&ground.node, "sh"), &program()?);
    let mut agent = Agent::from_program(&ground.node, &mut command, &flags)?;
    let services = ground.created();
    let mut said = format!("within {limit} MB, {services} Services, {} endpoints: ", services * ENDPOINTS);
    if let Some(status) = agent.ready_or_ended()? {
        write!(said, "it ended ({status}): {}", agent.log().lines().next_back().unwrap_or_default())?;
    } else {
        thread::sleep(rest);
        let Memory { resident, anonymous, peak } = memory(agent.pid())?;
        let charged = group.charged()?;
        let view = agent.view()?;
        let lacking = view.with(Reason::NoRoom).count();
        let written = in_kernel(&ground.node)?.services.len();
        write!(
            said,
            "VmRSS {resident:.1} MB, RssAnon {anonymous:.1} MB, VmHWM {peak:.1} MB; charged {}; {written} service \
             ports written, {lacking} without room",
            shown(charged)
        )?;
        agent.end_by(Signal::SIGTERM)?;
        write!(said, "; maps and programs alone {:.1} MB", group.squeezed()? as f64 / 1e6)?;
    }
    let output = lb_agent_says(&ground.node, "cleanup", &[])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

fn shown(charged: Charged) -> String {
    let Charged { now, files, peak } = charged;
    let [now, files] = [now, files].map(|bytes| bytes as f64 / 1e6);
    let peak = peak.map(|peak| format!(", {:.1} MB at its peak", peak as f64 / 1e6)).unwrap_or_default();
    format!("{now:.1} MB, {files:.1} MB of them pages of files{peak}")
}

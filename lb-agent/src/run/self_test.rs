//! Whether and how the agent tests itself.

use std::sync::mpsc::Sender;

use anyhow::Context as _;

use crate::config::WithSelfTest;
use crate::datapath::cgroup::Cgroup;
use crate::model::SelfTestPorts;
use crate::self_test::{Listeners, start};
use crate::shown::chain;
use crate::writer::{SelfTestConfig, Wake};

/// Opens the listeners and starts the thread, unless this process is not one of those whose connections are decided.
pub(super) fn set_up(
    with: WithSelfTest,
    cgroup: &Cgroup,
    wake: &Sender<Wake>,
) -> anyhow::Result<(SelfTestPorts, SelfTestConfig)> {
    let without = |config| Ok((SelfTestPorts::default(), config));
    if with == WithSelfTest::Off {
        return without(SelfTestConfig::Off);
    }
    if !cgroup.is_root() && cgroup.of_this_process().is_none() {
        let why = format!("the agent itself runs outside of {}", cgroup.path.display());
        return without(SelfTestConfig::NotTested(why.into()));
    }
    let listeners = match Listeners::open() {
        Ok(listeners) => listeners,
        Err(error) => {
            let why = format!("could not listen on loopback: {}", chain(&error));
            return without(SelfTestConfig::NotTested(why.into()));
        }
    };
    let (ports, to_writer) = (listeners.ports(), wake.clone());
    let tester = start(listeners, move |round| to_writer.send(Wake::SelfTest(round)).is_ok())
        .context("could not start the thread of the self-test")?;
    Ok((ports, SelfTestConfig::By(tester)))
}

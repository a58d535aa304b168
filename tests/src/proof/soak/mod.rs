//! The soak: the agent as a process, killed, upgraded and tampered with, while its Services change a thousand times a
//! second and clients judge every connection.
//!
//! The agent follows a folder. The driver writes down what is allowed before it writes a file, and takes back what was
//! allowed before once the maps that the attached programs use hold the new set, exactly, at all frontends of the
//! Service. While no agent runs, or one starts, what was asked for is allowed besides what was there. So no clock is
//! involved, and nothing that the product decides: the driver knows what it asked for.

mod draw;
mod driver;
mod ids;
mod in_kernel;
mod manifest;
mod process;
mod strain;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use lb_agent::plants::Plant;
use lb_common::layout::LAYOUT_VERSION;

use super::testbed::{CLIENTS, Experiment, Publishing, Until, Way};
use crate::ours::{agent, builds};

pub(super) use driver::Driver;
pub use strain::Strain;

/// What the agent goes through.
#[derive(Clone, Debug)]
pub struct Soaking {
    /// Decides what is done, in which order. When it falls is up to the machine.
    pub seed: u64,
    /// Sets that change.
    pub per_second: u32,
    /// The agents that take turns; the first one begins.
    pub builds: Vec<Build>,
    /// Whether every start changes over to maps of another size, and not one in four.
    pub always_resized: bool,
}

/// An agent's program, and the layout version of its maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub program: PathBuf,
    pub version: u32,
    /// A bug that is planted in it.
    pub plant: Option<Plant>,
}

/// By half of the clients a connection is followed up to the end of `connect(2)` alone: there are more of them so.
const WAYS: [Way; CLIENTS] = [Way::Probe, Way::Served, Way::Datagrams, Way::Datagrams];
const PER_SECOND: u32 = 1_000;

impl Build {
    /// This tree's agent, and the same under the next layout version.
    ///
    /// # Errors
    /// When `cargo xtask` did not build them.
    pub fn both() -> Result<Vec<Self>> {
        let this = Self { program: agent::program()?, version: LAYOUT_VERSION, plant: None };
        let next = builds::next_layout_agent()?;
        Ok(vec![this, Self { program: next, version: LAYOUT_VERSION + 1, plant: None }])
    }
}

/// With a bug in the agent, until it shows, or for so long.
///
/// # Errors
/// When `cargo xtask` did not build such an agent.
pub fn soak_planted(seed: u64, plant: Plant, within: Duration) -> Result<Experiment> {
    let program = builds::planted_agent()?;
    let builds = vec![Build { program, version: LAYOUT_VERSION, plant: Some(plant) }];
    let name = format!("planted bug: {}", plant.name());
    // A lost affinity shows where maps are new.
    let always_resized = plant == Plant::AffinityNotCarried;
    let publishing = Publishing::Soak(Soaking { seed, per_second: PER_SECOND, builds, always_resized });
    Ok(Experiment { name, publishing, until: Until::Astray, ..soak(seed, Vec::new(), u64::MAX, within) })
}

/// With so many connections, or for so long.
#[must_use]
pub fn soak(seed: u64, builds: Vec<Build>, connects: u64, within: Duration) -> Experiment {
    Experiment {
        name: format!("soak with seed {seed}"),
        publishing: Publishing::Soak(Soaking { seed, per_second: PER_SECOND, builds, always_resized: false }),
        ways: WAYS,
        connects,
        within,
        until: Until::End,
    }
}

//! Programs and maps on a node without an agent: the test itself is the one writer.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use lb_agent::datapath::maps::bpf::Bpf;
use lb_agent::datapath::programs::load::{Features, OBJECT};
use lb_agent::datapath::takeover::{Datapath, Generation, Opened};
use lb_agent::datapath::{Grace, cgroup, grace_period, lock};
use lb_agent::model::{Frontend, ObjectName, Protocol, ServicePortKey};
use lb_agent::plan::takeover::Takeover;
use lb_agent::plan::{Backend, Capacity, Desired, Maps, Mirror};
use lb_common::layout::Frontend4;
use lb_common::outcome::{Event, Outcome};

use crate::harness::node::Node;

const ROOM: Capacity = Capacity::of(64, 8192);

/// Attached to a node's cgroup, and pinned below its pin root.
pub struct Kernel {
    pub maps: Bpf,
    pub mirror: Mirror,
    datapath: Datapath,
    generation: Generation,
}

impl Kernel {
    /// With room for 64 service ports and 8,192 backends.
    pub fn attach(node: &Node) -> Result<Self> {
        Self::attach_on(node, Features::THIS, ROOM)
    }

    /// As if the programs ran on this machine, over maps of these limits.
    pub fn attach_on(node: &Node, machine: Features, capacity: Capacity) -> Result<Self> {
        Self::load(node, OBJECT, machine, capacity)?.attached()
    }

    /// The programs of another object, such as one with a planted bug.
    pub fn attach_object(node: &Node, object: &'static [u8]) -> Result<Self> {
        Self::attach_object_on(node, object, Features::THIS)
    }

    /// The same as if they ran on this machine.
    pub fn attach_object_on(node: &Node, object: &'static [u8], machine: Features) -> Result<Self> {
        Self::load(node, object, machine, ROOM)?.attached()
    }

    /// The same with room for so much.
    pub fn attach_object_with(node: &Node, object: &'static [u8], capacity: Capacity) -> Result<Self> {
        Self::load(node, object, Features::THIS, capacity)?.attached()
    }

    /// The maps alone; the programs are loaded and not attached.
    pub fn open(node: &Node, machine: Features, capacity: Capacity) -> Result<Self> {
        Self::load(node, OBJECT, machine, capacity)
    }

    /// Goes on with the maps that an earlier start left, as an agent does.
    pub fn adopt(node: &Node) -> Result<Self> {
        let datapath = Self::datapath(node, OBJECT, Features::THIS)?;
        let found = datapath.find()?.takeover();
        let Takeover::Adopt(name) = found else { bail!("there is nothing to go on with: {found:?}") };
        let opened = datapath.adopt(name)?;
        Ok(Self::of(datapath, opened))
    }

    fn load(node: &Node, object: &'static [u8], machine: Features, capacity: Capacity) -> Result<Self> {
        let datapath = Self::datapath(node, object, machine)?;
        let mut opened = datapath.make(capacity, None)?;
        datapath.take_name(&mut opened.generation)?;
        Ok(Self::of(datapath, opened))
    }

    fn datapath(node: &Node, object: &'static [u8], machine: Features) -> Result<Datapath> {
        let cgroup = cgroup::find(Some(node.cgroup()))?;
        let lock = lock::acquire(&node.pin_root())?;
        Ok(Datapath::new(lock, cgroup, object).on(machine))
    }

    fn of(datapath: Datapath, opened: Opened) -> Self {
        let Opened { generation, maps, mirror } = opened;
        Self { maps, mirror, datapath, generation }
    }

    fn attached(mut self) -> Result<Self> {
        self.datapath.attach(&self.generation).context("could not attach")?;
        Ok(self)
    }

    /// Sends what UDP sockets send to `address` to `backends` from now on; none refuses.
    pub fn publish_udp(&mut self, address: &str, backends: &[SocketAddr]) -> Result<()> {
        let frontend = Frontend { protocol: Protocol::Udp, ..frontend(address)? };
        self.publish_at(address, frontend, backends)
    }

    /// Leaves UDP to `address` alone from now on.
    pub fn unpublish_udp(&mut self, address: &str) -> Result<()> {
        self.carry_out(Frontend { protocol: Protocol::Udp, ..frontend(address)? }, None)
    }

    /// Sends connections to `address` to `backends` from now on; none refuses.
    pub fn publish(&mut self, address: &str, backends: &[SocketAddr]) -> Result<()> {
        self.publish_as(address, address, backends)
    }

    /// The same under a name of the Service's own.
    pub fn publish_as(&mut self, service: &str, address: &str, backends: &[SocketAddr]) -> Result<()> {
        self.publish_at(service, frontend(address)?, backends)
    }

    /// Sends each client of `frontend` to one of `backends`, and to the same one while it comes back within so many
    /// seconds.
    pub fn publish_sticky(
        &mut self,
        frontend: Frontend,
        backends: &[SocketAddr],
        timeout: u32,
    ) -> Result<()> {
        let name = format!("{}/{}", frontend.address, frontend.protocol.label());
        self.publish_with(&name, frontend, backends, Some(timeout))
    }

    fn publish_at(&mut self, service: &str, frontend: Frontend, backends: &[SocketAddr]) -> Result<()> {
        self.publish_with(service, frontend, backends, None)
    }

    fn publish_with(
        &mut self,
        service: &str,
        frontend: Frontend,
        backends: &[SocketAddr],
        affinity: Option<u32>,
    ) -> Result<()> {
        let mut backends: Vec<Backend> = backends.iter().copied().map(Backend::from).collect();
        backends.sort_unstable();
        let key = ServicePortKey {
            service: ObjectName::new("default", service),
            port_name: "".into(),
            protocol: frontend.protocol,
            family: frontend.family(),
        };
        self.carry_out(frontend, Some(&Desired { key, has_topology: false, affinity, backends, excess: 0 }))
    }

    /// Leaves `address` alone from now on.
    pub fn unpublish(&mut self, address: &str) -> Result<()> {
        self.carry_out(frontend(address)?, None)
    }

    /// How often this way out was taken since the maps were made.
    pub fn count(&self, outcome: Outcome) -> Result<u64> {
        let counters = self.maps.counters()?;
        let found = counters.outcomes.iter().find(|(counted, _)| *counted == outcome);
        found.map(|(_, times)| *times).context("an outcome without a counter")
    }

    /// How often this happened since the maps were made.
    pub fn events(&self, event: Event) -> Result<u64> {
        Ok(self.maps.counters()?.event(event))
    }

    fn carry_out(&mut self, frontend: Frontend, want: Option<&Desired>) -> Result<()> {
        for step in self.mirror.steps(frontend, want) {
            for op in &step.ops {
                self.maps.write(op)?;
            }
            self.mirror.commit(step);
        }
        ensure!(self.mirror.shortages().is_empty(), "the maps are too small for this test");
        if let Some(age) = self.mirror.start_grace() {
            grace_period(Grace::Rcu);
            self.mirror.release(age);
        }
        Ok(())
    }
}

/// A TCP address in the front end.
pub fn frontend(address: &str) -> Result<Frontend> {
    let address = address.parse().with_context(|| format!("not ADDRESS:PORT: {address}"))?;
    Ok(Frontend { address, protocol: Protocol::Tcp })
}

/// The same as bytes: a key of the map `services4`.
pub fn key(address: &str) -> Result<Frontend4> {
    let SocketAddr::V4(at) = frontend(address)?.address else { anyhow::bail!("not IPv4: {address}") };
    Ok(Frontend4 { address: at.ip().octets(), port: at.port().to_be_bytes(), protocol: 6, zero: 0 })
}

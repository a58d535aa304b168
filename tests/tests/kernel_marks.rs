//! The marks in front of the front end, on a real kernel.

use std::collections::BTreeMap;

use anyhow::Result;
use aya::maps::{Array, Map, MapData};
use edgeloop_tests::{Node, Site};
use lb_agent::datapath::bpf::Bpf;
use lb_agent::datapath::load::OBJECT;
use lb_agent::datapath::takeover::{Datapath, Sizes};
use lb_agent::datapath::{Maps, cgroup, pinned};
use lb_agent::model::{Family, ObjectName, Protocol, ServicePortKey};
use lb_agent::plan::{self, MapOp, Want};
use lb_common::layout::{Backend4, Frontend4, MARKS4, Marks};
use lb_common::marks::place4;

/// Without its marks a service is not seen by the programs, which shows that they are asked; what
/// reads the maps back sets them again, and clears those of a service that is gone.
#[test]
#[ignore = "needs root"]
fn marks_that_a_stranger_clears_come_back_and_those_of_a_gone_service_go() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    let server = node.pod("web", "10.244.0.3").unwrap();
    server.serve_name(8080).unwrap();
    let client = node.pod("client", "10.244.0.2").unwrap();
    let dial = || client.dial("10.96.0.10:80", 1).unwrap().remove(0).result;

    let frontend = Frontend4 { address: [10, 96, 0, 10], port: [0, 80], protocol: 6, zero: 0 };
    let mut maps =
        publish(&node, frontend, Backend4 { address: [10, 244, 0, 3], port: [31, 144], pool: 0 }).unwrap();
    assert_eq!(dial().as_deref(), Ok("web"));

    let (word, bits) = place4(&frontend);
    let mut marks: Array<_, Marks> = Array::try_from(open_marks(&node).unwrap()).unwrap();
    assert_eq!(marks.get(&word, 0).unwrap().bits, bits);
    marks.set(word, Marks::default(), 0).unwrap();
    assert!(dial().is_err(), "nothing is at the service address itself");

    maps.dump().unwrap();
    assert_eq!(dial().as_deref(), Ok("web"));

    maps.write(&MapOp::Remove { frontend }).unwrap();
    assert_eq!(marks.get(&word, 0).unwrap().bits, bits, "they cost nothing but time");
    maps.dump().unwrap();
    assert_eq!(marks.get(&word, 0).unwrap().bits, 0);
}

/// One service of one backend, published and attached as the agent does it.
fn publish(node: &Node, frontend: Frontend4, backend: Backend4) -> Result<Bpf> {
    let key = ServicePortKey {
        service: ObjectName::new("default", "web"),
        port_name: "".into(),
        protocol: Protocol::Tcp,
        family: Family::V4,
    };
    let want = Want { key, flags: 0, affinity: 0, backends: vec![backend] };
    let need = plan::need(&BTreeMap::from([(frontend, Some(want.clone()))]));
    let cgroup = cgroup::find(Some(node.cgroup()))?;
    let mut datapath = Datapath::new(&node.pin_root(), cgroup, OBJECT);
    let (mut maps, mut plan) = datapath.open(need, Sizes::default())?;
    for step in plan.steps(frontend, Some(&want)) {
        for op in &step.ops {
            maps.write(op)?;
        }
    }
    datapath.attach()?;
    Ok(maps)
}

fn open_marks(node: &Node) -> Result<Map> {
    let path = pinned::folder(&node.pin_root()).join(MARKS4.pin);
    Ok(Map::from_map_data(MapData::from_pin(path)?)?)
}

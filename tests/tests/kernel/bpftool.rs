//! Every map reads as fields with names in `bpftool map dump`.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use edgeloop_tests::Site;
use edgeloop_tests::kernel::Kernel;
use lb_agent::datapath::maps::pinned;
use lb_common::layout::{BACKENDS4, CATALOGUE, CONTROL, EPOCH, MapSpec, NAMES, OUTCOMES, SERVICES4};
use serde_json::{Value, json};

#[test]
#[ignore = "needs root and bpftool"]
fn the_front_end_reads_as_addresses_and_backends() {
    let world = World::new().unwrap();

    let element = world.only(&SERVICES4);

    assert_eq!(
        element["key"],
        json!({"address": [10, 96, 0, 11], "port": [0, 80], "protocol": 6, "zero": 0})
    );
    let value = element["value"].as_object().unwrap();
    let fields: Vec<&str> = value.keys().map(String::as_str).collect();
    let expected = ["affinity", "check", "count", "flags", "id", "inline", "region", "revision"];
    assert_eq!(fields, expected);
    assert_eq!(value["count"], 8);
    assert_eq!(value["inline"][0], json!({"address": [10, 244, 1, 1], "port": [36, 160], "place": 4096}));
    assert_eq!(value["inline"].as_array().unwrap().len(), 6);
}

#[test]
#[ignore = "needs root and bpftool"]
fn a_region_reads_as_owner_and_backend() {
    let world = World::new().unwrap();
    let service = world.only(&SERVICES4)["value"].clone();

    let entries = world.dump(&BACKENDS4).unwrap();

    let at = usize::try_from(service["region"].as_u64().unwrap()).unwrap();
    let backend = json!({"address": [10, 244, 1, 7], "port": [36, 160], "place": 4096});
    let entry = json!({"id": service["id"], "revision": service["revision"], "backend": backend});
    assert_eq!(entries[at]["value"], entry);
}

#[test]
#[ignore = "needs root and bpftool"]
fn names_read_as_words() {
    let world = World::new().unwrap();

    let element = world.only(&NAMES);

    assert_eq!(element["key"], world.only(&SERVICES4)["value"]["id"]);
    let name = &element["value"];
    assert_eq!((&name["namespace"], &name["service"]), (&json!("default"), &json!("checkout")));
    assert_eq!((&name["port"], &name["protocol"], &name["family"]), (&json!(""), &json!(6), &json!(4)));
    let text = world.plain(&NAMES).unwrap();
    assert!(text.contains(r#""service": "checkout""#), "{text}");
}

#[test]
#[ignore = "needs root and bpftool"]
fn counters_and_words_read_by_name() {
    let world = World::new().unwrap();
    world.client.dial("10.96.0.99:80", 3).unwrap();

    let counters = world.dump(&OUTCOMES).unwrap();
    let epoch = world.only(&EPOCH);

    let of_cpus = counters[0]["values"].as_array().unwrap();
    let missed = of_cpus.iter().map(|of_cpu| of_cpu["value"]["connect4"]["not_a_service"].as_u64().unwrap());
    assert_eq!(missed.sum::<u64>(), 3, "{counters:?}");
    assert_eq!(epoch["value"]["writes"], 2, "one front-end write");
    let control = world.only(&CONTROL);
    assert!(control["value"]["next_service_id"].as_u64().unwrap() > 1, "{control}");
}

struct World {
    pins: std::path::PathBuf,
    client: edgeloop_tests::Pod,
    _kernel: Kernel,
}

impl World {
    /// The Service `checkout` with eight backends, two of them in a region.
    fn new() -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "10.244.1.200")?;
        let mut kernel = Kernel::attach(&node)?;
        let backends: Vec<SocketAddr> =
            (1..=8).map(|last| SocketAddr::from(([10, 244, 1, last], 9376))).collect();
        kernel.publish_as("checkout", "10.96.0.11:80", &backends)?;
        let pins = pinned::folder(&node.pin_root());
        for map in &CATALOGUE {
            ensure!(pins.join(map.pin).exists(), "{} is not pinned", map.pin);
        }
        Ok(Self { pins, client, _kernel: kernel })
    }

    fn only(&self, map: &MapSpec) -> Value {
        let elements = self.dump(map).unwrap();
        assert_eq!(elements.len(), 1, "{elements:?}");
        elements[0].clone()
    }

    /// Every element as bpftool shows it with the BTF of the map.
    fn dump(&self, map: &MapSpec) -> Result<Vec<Value>> {
        let text = self.bpftool(&["--json", "map", "dump", "pinned"], map)?;
        let elements: Vec<Value> = serde_json::from_str(&text)?;
        let formatted = elements.into_iter().map(|mut element| {
            let formatted = element.get_mut("formatted").context("bpftool finds no BTF")?;
            Ok(formatted.take())
        });
        formatted.collect()
    }

    fn plain(&self, map: &MapSpec) -> Result<String> {
        self.bpftool(&["map", "dump", "pinned"], map)
    }

    fn bpftool(&self, arguments: &[&str], map: &MapSpec) -> Result<String> {
        let output = Command::new("bpftool").args(arguments).arg(self.pins.join(map.pin)).output();
        let output = output.context("could not run bpftool: install the package bpftool")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

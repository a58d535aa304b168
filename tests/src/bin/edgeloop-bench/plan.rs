//! `bench plan`: from a change to the last map write, on the maps in memory.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_agent::model::{
    Change, Conditions, Endpoint, Family, Kind, Labels, Node, Object, ObjectName, Protocol, Service,
    ServicePort, Slice, SlicePort,
};
use lb_agent::plan::Sizes;
use lb_agent::plan::fake::Fake;
use lb_agent::plan::{Capacity, Mirror};
use lb_agent::store::{Rules, Store};
use lb_agent::writer::reconcile::Reconciler;
use serde::Serialize;

use crate::Output;
use crate::allocated::live;
use crate::goals::{self, Goal};

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;
const NODES: u32 = 200;
const POOLS: u32 = 10;

const COLD_AT_MOST_MS: f64 = 300.0;
const CHANGE_AT_MOST_US: f64 = 200.0;
const MEMORY_AT_MOST_MB: f64 = 20.0;

#[derive(Serialize)]
struct Report {
    services: u32,
    endpoints: u32,
    /// Milliseconds from the first object to the last write, the median of the rounds.
    cold_ms: f64,
    /// Microseconds from a changed slice to its last write.
    change_us_p50: f64,
    change_us_p99: f64,
    change_us_max: f64,
    changes: usize,
    /// How many times a change is cheaper than doing all of it again.
    cold_over_change: f64,
    /// Live heap of the store alone, and of store and mirror together, in MB (10^6 bytes).
    store_mb: f64,
    together_mb: f64,
    goals: Vec<Goal>,
}

pub(crate) fn run(quick: bool, output: Output) -> Result<()> {
    let (rounds, changes) = if quick { (1, 500) } else { (9, 5_000) };
    let mut cold = Vec::new();
    for _ in 0..rounds {
        let objects = objects();
        let begun = Instant::now();
        let filled = fill(objects)?;
        cold.push(begun.elapsed());
        drop(black_box(filled));
    }
    cold.sort_unstable();
    let cold_ms = millis(cold[cold.len() / 2]);

    let names = Names::new();
    let before = live();
    let objects = objects_of(&names);
    let mut store = store();
    tell(&mut store, objects);
    let store_bytes = live() - before;
    let mut kernel = Reconciler::new(Fake::new(capacity()), Mirror::new(capacity(), 1));
    converge(&mut kernel, &mut store)?;
    let with_maps = live();
    let change = change_times(&mut kernel, &mut store, &names, changes)?;
    let Reconciler { maps, mirror, .. } = kernel;
    let held = live();
    drop(maps);
    let maps_bytes = held - live();
    let together = with_maps - before - maps_bytes;
    drop(black_box((mirror, store)));

    let at = |part: f64| micros(change[((change.len() - 1) as f64 * part) as usize]);
    let (p50, p99) = (at(0.5), at(0.99));
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    let goals = vec![
        Goal::at_most(CHANGE_AT_MOST_US, "one changed slice, p99, µs", p99),
        Goal::at_most(COLD_AT_MOST_MS, "all of it from cold, ms", cold_ms),
        Goal::at_most(MEMORY_AT_MOST_MB, "store and mirror together, MB", megabytes(together)),
    ];
    let report = Report {
        services: SERVICES,
        endpoints: SERVICES * ENDPOINTS,
        cold_ms,
        change_us_p50: p50,
        change_us_p99: p99,
        change_us_max: at(1.0),
        changes: change.len(),
        cold_over_change: cold_ms * 1e3 / p50,
        store_mb: megabytes(store_bytes),
        together_mb: megabytes(together),
        goals,
    };
    print(&report, output)
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn print(report: &Report, output: Output) -> Result<()> {
    if output == Output::Json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!("{} services, {} endpoints, maps in memory\n", report.services, report.endpoints);
    println!("from cold             {:9.1} ms", report.cold_ms);
    println!(
        "one changed slice     {:9.1} µs p50   {:.1} µs p99   {:.1} µs max   ({} changes)",
        report.change_us_p50, report.change_us_p99, report.change_us_max, report.changes
    );
    println!("cold over one change  {:9.0} x", report.cold_over_change);
    println!(
        "memory                {:9.1} MB store, {:.1} MB with mirror\n",
        report.store_mb, report.together_mb
    );
    println!("{}", goals::table(&report.goals));
    Ok(())
}

/// What was measured, per change, sorted. Each change replaces one endpoint of one slice.
fn change_times(
    kernel: &mut Reconciler<Fake>,
    store: &mut Store,
    names: &Names,
    changes: usize,
) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(changes);
    for turn in 0..changes as u32 {
        // A prime step walks over all Services in an order of no meaning.
        let number = (turn * 7_919) % SERVICES;
        let mut slice = slice(names, number);
        slice.endpoints[(turn % ENDPOINTS) as usize].address = IpAddr::V4(address(12, turn));
        let (before, _) = kernel.maps.writes();
        let begun = Instant::now();
        store.apply(Change::Apply(Object::Slice(slice)));
        let pass = kernel.converge(store);
        times.push(begun.elapsed());
        let (after, _) = kernel.maps.writes();
        ensure!(pass.failed.is_empty() && after > before, "a change was not written: Service {number}");
        while let Some(age) = kernel.mirror.start_grace() {
            kernel.mirror.release(age);
        }
    }
    times.sort_unstable();
    Ok(times)
}

fn fill(objects: Vec<Object>) -> Result<(Store, Reconciler<Fake>)> {
    let mut store = store();
    tell(&mut store, objects);
    let mut kernel = Reconciler::new(Fake::new(capacity()), Mirror::new(capacity(), 1));
    converge(&mut kernel, &mut store)?;
    Ok((store, kernel))
}

fn store() -> Store {
    Store::new("node-0", Rules::default())
}

fn tell(store: &mut Store, objects: Vec<Object>) {
    for object in objects {
        store.apply(Change::Apply(object));
    }
    for kind in Kind::ALL {
        store.apply(Change::Synced(kind));
    }
}

fn converge(kernel: &mut Reconciler<Fake>, store: &mut Store) -> Result<()> {
    let pass = kernel.converge(store);
    ensure!(pass.failed.is_empty(), "{} Services were not written", pass.failed.len());
    let written = kernel.maps.held().services.len();
    ensure!(written == SERVICES as usize, "{written} Services were written of {SERVICES}");
    Ok(())
}

/// As the agent would choose them.
fn capacity() -> Capacity {
    let need = Capacity::of(SERVICES, SERVICES * (ENDPOINTS - 6).next_power_of_two());
    Sizes::default().fresh(need)
}

/// Names that a source shares among objects.
struct Names {
    namespace: Arc<str>,
    empty: Arc<str>,
    nodes: Vec<Arc<str>>,
    topology: Arc<str>,
}

impl Names {
    fn new() -> Self {
        Self {
            namespace: "default".into(),
            empty: "".into(),
            nodes: (0..NODES).map(|number| format!("node-{number}").into()).collect(),
            topology: "openyurt.io/nodepool, *".into(),
        }
    }
}

fn objects() -> Vec<Object> {
    objects_of(&Names::new())
}

fn objects_of(names: &Names) -> Vec<Object> {
    let services = (0..SERVICES).map(|number| Object::Service(service(names, number)));
    let slices = (0..SERVICES).map(|number| Object::Slice(slice(names, number)));
    let nodes = (0..NODES).map(|number| Object::Node(node(names, number)));
    services.chain(slices).chain(nodes).collect()
}

/// Half of the Services have a topology.
fn service(names: &Names, number: u32) -> Service {
    Service {
        name: ObjectName {
            namespace: Arc::clone(&names.namespace),
            name: format!("service-{number}").into(),
        },
        created: Some(1_700_000_000 + i64::from(number)),
        skipped: None,
        discarded: false,
        addresses: vec![IpAddr::V4(address(96, number))],
        ports: vec![ServicePort {
            name: Arc::clone(&names.empty),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: None,
        }],
        topology: number.is_multiple_of(2).then(|| Arc::clone(&names.topology)),
        uid: None,
        internal_local: false,
        affinity: None,
        foreign: None,
        further: None,
    }
}

fn slice(names: &Names, number: u32) -> Slice {
    let endpoint = |index: u32| Endpoint {
        address: IpAddr::V4(address(244, number * ENDPOINTS + index)),
        conditions: Conditions { ready: true, serving: true, terminating: false },
        node: Some(Arc::clone(&names.nodes[((number + index) % NODES) as usize])),
        hints: None,
    };
    let port = SlicePort { name: Arc::clone(&names.empty), protocol: Protocol::Tcp, port: 9376 };
    Slice {
        name: ObjectName {
            namespace: Arc::clone(&names.namespace),
            name: format!("service-{number}-abcde").into(),
        },
        service: Some(format!("service-{number}").into()),
        family: Some(Family::V4),
        headless: false,
        not_read: None,
        changed: lb_agent::model::Changed::default(),
        ports: vec![port],
        endpoints: (0..ENDPOINTS).map(endpoint).collect(),
    }
}

fn node(names: &Names, number: u32) -> Node {
    let pool = format!("pool-{}", number % POOLS);
    let labels: Labels = [("apps.openyurt.io/nodepool".into(), pool.into())].into();
    Node { name: Arc::clone(&names.nodes[number as usize]), labels, odd_labels: Vec::new() }
}

fn address(first: u8, number: u32) -> Ipv4Addr {
    let [_, second, third, fourth] = number.to_be_bytes();
    let first = if first == 96 { 10 } else { first };
    Ipv4Addr::from([first, second, third, fourth])
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

//! `bench sockets`: what it costs to find the UDP sockets of one backend that is gone, and to end them.

pub(crate) mod hold;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{Agent, Folder};
use edgeloop_tests::{Child, Node, Site};
use lb_agent::datapath::maps::pinned::folder;
use lb_agent::datapath::sockets::{Memories, Walker};
use lb_agent::model::{EndBy, Frontend, ObjectName, PeersReport, Protocol};
use lb_agent::peers::{self, Asks, PeersConfig, PeersQueue};
use lb_agent::plan::admissions::{Admissions, News};
use lb_agent::store::{Admitted, Known};
use serde::Serialize;

use crate::Output;
use crate::goals::{self, Goal};

const SERVICE: &str = "10.96.0.10:53";
const BACKENDS: u32 = 50;
/// After a loss sockets are looked at for so long.
const QUIET: Duration = Duration::from_millis(2_500);
const PATIENCE: Duration = Duration::from_secs(30);

const FIND_AT_MOST_MS: f64 = 2.0;
/// The contract's.
const END_AT_MOST_MS: f64 = 1_000.0;

#[derive(Serialize)]
struct Report {
    namespaces: u32,
    sockets: u32,
    backends: u32,
    rows: Vec<Row>,
    goals: Vec<Goal>,
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    /// Sockets of the backend that is gone, of all rounds together.
    found: u64,
    rounds: usize,
    ms_p50: f64,
    ms_max: f64,
}

/// How much there is of everything.
#[derive(Clone, Copy)]
struct Size {
    namespaces: u32,
    sockets_each: u32,
    looks: usize,
    rounds: u32,
}

pub(crate) fn run(quick: bool, output: Output) -> Result<()> {
    let size = if quick {
        Size { namespaces: 10, sockets_each: 50, looks: 10, rounds: 1 }
    } else {
        Size { namespaces: 100, sockets_each: 50, looks: 200, rounds: 5 }
    };
    let site = Site::new()?;
    let node = site.node("n1")?;
    Folder::of(&node)?.put_text("service.yaml", &manifest())?;
    let agent = Agent::start(&node, &["--end-udp-sockets", "off"])?;
    let pods: Vec<Child> =
        (0..size.namespaces).map(|_| hold::start(&node, size.sockets_each)).collect::<Result<_>>()?;

    let look = look(&node, size.looks)?;
    let mut gone = 0;
    let mut end = |by, what| end(&node, (by, what), &mut gone, size.rounds);
    let rows = vec![
        look,
        end(EndBy::Iterator, "found by the iterator, and ended")?,
        end(EndBy::SockDiag, "found by sock_diag, and ended")?,
    ];
    drop((pods, agent));
    let goals = vec![
        Goal::at_most(FIND_AT_MOST_MS, "sockets of one backend found by the iterator, ms", rows[0].ms_p50),
        Goal::at_most(END_AT_MOST_MS, "found by the iterator and ended, at most, ms", rows[1].ms_max),
        Goal::at_most(END_AT_MOST_MS, "found by sock_diag and ended, at most, ms", rows[2].ms_max),
    ];
    let (namespaces, sockets) = (size.namespaces, size.namespaces * size.sockets_each);
    print(&Report { namespaces, sockets, backends: BACKENDS, rows, goals }, output)
}

/// All sockets are walked over and held against a set that lacks one backend. None ends.
fn look(node: &Node, looks: usize) -> Result<Row> {
    let memories = Memories::open(&folder(&node.pin_root()))?;
    let walker = Walker::load()?;
    let mut admissions = Admissions::default();
    admissions.take(news(1));
    let (mut times, mut found) = (Vec::new(), 0);
    for _ in 0..looks {
        let begun = Instant::now();
        let by_namespace = peers::find(walker.walk(&memories)?, &admissions);
        times.push(begun.elapsed());
        found += by_namespace.values().sum::<u64>();
    }
    ensure!(found > 0, "no socket has the backend");
    Ok(row("found by the iterator", found, times))
}

/// Backends go one after the other; `gone` did before. The time goes from the news to the end of the pass that ends their sockets.
fn end(node: &Node, (by, what): (EndBy, &'static str), gone: &mut u32, rounds: u32) -> Result<Row> {
    let (queue, (send, reports)) = (PeersQueue::default(), channel());
    let (pin_root, asks) = (node.pin_root(), Asks::JustBefore);
    let config = PeersConfig { by, pin_root, namespaces: Vec::new(), asks };
    peers::start(config, queue.clone(), move |report| send.send(report).is_ok())?;
    queue.put(news(*gone), false);
    let began = await_more(&reports, None)?;
    ensure!(began.by == Some(by), "not by {by:?}: {began:?}");
    let (mut times, mut ended) = (Vec::new(), 0);
    for _ in 0..rounds {
        sleep(QUIET);
        *gone += 1;
        let begun = Instant::now();
        queue.put(news(*gone), false);
        ended = await_more(&reports, Some(ended))?.ended.total();
        times.push(begun.elapsed());
    }
    Ok(row(what, ended, times))
}

/// The first report, or the next one by which more than `ended` have ended.
fn await_more(reports: &Receiver<PeersReport>, ended: Option<u64>) -> Result<PeersReport> {
    loop {
        let report = reports.recv_timeout(PATIENCE).context("no socket ended")?;
        if ended.is_none_or(|ended| report.ended.total() > ended) {
            return Ok(report);
        }
    }
}

fn row(what: &'static str, found: u64, mut times: Vec<Duration>) -> Row {
    times.sort_unstable();
    let at = |index: usize| times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    Row { what, found, rounds: times.len(), ms_p50: at(times.len() / 2), ms_max: at(times.len() - 1) }
}

fn backend(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x6440_0001 + number)
}

/// The Service without its first backends.
fn news(gone: u32) -> News {
    let backends: Box<[SocketAddr]> = (gone..BACKENDS).map(|number| (backend(number), 5353).into()).collect();
    let address = SocketAddr::from(([10, 96, 0, 10], 53));
    let admitted = vec![(Frontend { address, protocol: Protocol::Udp }, Admitted::Backends(backends))];
    News { services: BTreeMap::from([(ObjectName::new("kube-system", "dns"), admitted)]), known: Known::All }
}

fn manifest() -> String {
    let endpoints: Vec<String> =
        (0..BACKENDS).map(|number| format!("{{addresses: ['{}']}}", backend(number))).collect();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: dns, namespace: kube-system}}\n\
         spec: {{clusterIP: 10.96.0.10, ports: [{{name: dns, port: 53, protocol: UDP}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: dns-4, namespace: kube-system, labels: {{kubernetes.io/service-name: dns}}}}\n\
         addressType: IPv4\nports: [{{name: dns, port: 5353, protocol: UDP}}]\nendpoints: [{}]\n",
        endpoints.join(", ")
    )
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn print(report: &Report, output: Output) -> Result<()> {
    if output == Output::Json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let Report { namespaces, sockets, backends, rows, goals } = report;
    println!(
        "{sockets} connected UDP sockets in {namespaces} network namespaces, {backends} backends; one backend goes\n"
    );
    for Row { what, found, rounds, ms_p50, ms_max } in rows {
        println!(
            "{what:36} {ms_p50:9.2} ms p50 {ms_max:9.2} ms max   ({} sockets, {rounds} rounds)",
            found / *rounds as u64
        );
    }
    println!("\n{}", goals::table(goals));
    Ok(())
}

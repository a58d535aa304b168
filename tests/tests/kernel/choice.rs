//! Which backend a connection gets: every one of them, as often as every other.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::{Pod, Site};

const SERVICE: &str = "10.96.0.11:80";
const NETWORK: &str = "10.244.128.0/17";
const PORT: u16 = 9376;
const SOON: Duration = Duration::from_secs(60);

/// How improbable a result may be.
const ALPHA: f64 = 1e-6;

#[test]
#[ignore = "needs root"]
fn a_hundred_thousand_connections_are_spread_evenly() {
    const CONNECTIONS: u64 = 100_000;
    let mut world = World::new().unwrap();
    let answered = world.answered_by(7, CONNECTIONS).unwrap();

    let expected = CONNECTIONS as f64 / 7.0;
    let chi_square: f64 = answered.values().map(|times| (*times as f64 - expected).powi(2) / expected).sum();
    let p = chance_of_more(chi_square);
    println!("chi-square {chi_square:.2}, p = {p:.4}: {answered:?}");
    assert_eq!(answered.len(), 7);
    assert!(p >= ALPHA, "chi-square {chi_square}, p = {p:e}");
}

/// So many connections that the chance to miss one backend is below a millionth.
#[test]
#[ignore = "needs root"]
fn every_backend_is_reached_inline_and_in_regions() {
    let mut world = World::new().unwrap();
    for (backends, connections) in [(1, 10), (6, 200), (7, 200), (8, 300), (70, 2_000)] {
        let answered = world.answered_by(backends, connections).unwrap();
        assert_eq!(answered.len(), backends as usize, "of {backends} backends");
    }
}

#[test]
#[ignore = "needs root"]
fn every_one_of_five_thousand_backends_is_reached() {
    let mut world = World::new().unwrap();

    let answered = world.answered_by(5_000, 120_000).unwrap();

    assert_eq!(answered.len(), 5_000);
    let (least, most) = (answered.values().min().unwrap(), answered.values().max().unwrap());
    println!("each 24 times on average, at least {least}, at most {most}");
}

#[test]
fn the_chance_of_a_chi_square_is_as_in_the_tables() {
    for (chi_square, p) in [(5.348, 0.5), (12.592, 0.05), (16.812, 0.01), (22.458, 0.001)] {
        assert!((chance_of_more(chi_square) / p - 1.0).abs() < 0.001, "{chi_square}");
    }
    assert!(chance_of_more(38.25) > ALPHA && chance_of_more(38.27) < ALPHA);
}

/// The chance that a chi-square of six degrees of freedom is larger: for an even number of them it is
/// the chance that a Poisson variable of half the size is below half that number.
fn chance_of_more(chi_square: f64) -> f64 {
    let half = chi_square / 2.0;
    (-half).exp() * (1.0 + half + half * half / 2.0)
}

struct World {
    kernel: Kernel,
    client: Pod,
    _web: Pod,
}

impl World {
    /// One pod has all the addresses of a network.
    fn new() -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "10.244.1.2")?;
        let web = site.node("n3")?.pod("web", "10.244.1.3")?;
        web.own_network(NETWORK)?;
        client.route(NETWORK, &web)?;
        web.serve_addresses(PORT)?;
        Ok(Self { kernel: Kernel::attach(&node)?, client, _web: web })
    }

    /// How often each of so many backends answered, of so many connections.
    fn answered_by(&mut self, backends: u32, connections: u64) -> Result<BTreeMap<Ipv4Addr, u64>> {
        let first = u32::from(Ipv4Addr::new(10, 244, 128, 1));
        let backends: Vec<SocketAddr> =
            (first..first + backends).map(|at| SocketAddr::new(Ipv4Addr::from(at).into(), PORT)).collect();
        self.kernel.publish(SERVICE, &backends)?;
        let hammers =
            [self.client.hammer(SERVICE, connections / 2)?, self.client.hammer(SERVICE, connections / 2)?];
        let mut answered = BTreeMap::new();
        for hammer in hammers {
            let report = hammer.finish(SOON)?;
            ensure!(report.failed.is_empty(), "{:?}", report.failed);
            for (id, times) in report.answered {
                *answered.entry(Ipv4Addr::from(id)).or_default() += times;
            }
        }
        let published = |at: &Ipv4Addr| backends.iter().any(|backend| backend.ip() == *at);
        ensure!(answered.keys().all(published), "answered by one that was never published");
        Ok(answered)
    }
}

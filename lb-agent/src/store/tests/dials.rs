//! Which addresses of a Service are served, and by which set.

use std::collections::BTreeSet;

use crate::model::{Further, Mode, ObjectKey, Sources};
use crate::select::notation::endpoint;

use super::super::ExternalIps;
use super::*;

const ONE: &str = "192.0.2.1";
const TWO: &str = "192.0.2.2";

/// Lists are written with blanks between their addresses.
fn further(balancer: &str, external: &str, sources: Sources) -> Option<Box<Further>> {
    let list = |text: &str| text.split_whitespace().map(|ip| ip.parse().unwrap()).collect();
    Some(Box::new(Further { balancer: list(balancer), external: list(external), sources }))
}

/// Contract, section 3.6.
#[test]
fn what_leads_to_a_service_is_its_cluster_ip_then_what_a_load_balancer_has_then_external_ips() {
    use ExternalIps::{LeftAlone, Served};
    const OFF: &str = "external IPs are off (--external-ips): any user who may write a Service can claim any address so (CVE-2020-8554)";
    const LIMITED: &str = "loadBalancerSourceRanges says who may dial it: left to kube-proxy, where one runs";
    for (shows, further, external_ips, expected) in [
        ("none", None, Served, vec!["10.96.0.97:80 refuse"]),
        (
            "one of each",
            further(ONE, TWO, Sources::Any),
            Served,
            vec!["10.96.0.97:80 refuse", "192.0.2.1:80 refuse", "192.0.2.2:80 refuse"],
        ),
        (
            "one that is both",
            further(ONE, ONE, Sources::Any),
            Served,
            vec!["10.96.0.97:80 refuse", "192.0.2.1:80 refuse"],
        ),
        (
            "its cluster IP again",
            further("", "10.96.0.97", Sources::Any),
            Served,
            vec!["10.96.0.97:80 refuse"],
        ),
        (
            "of a family that it does not have",
            further("fd00::2", "fd00::1", Sources::Any),
            Served,
            vec!["10.96.0.97:80 refuse"],
        ),
        (
            "external IPs are off",
            further(ONE, TWO, Sources::Any),
            LeftAlone,
            vec!["10.96.0.97:80 refuse", "192.0.2.1:80 refuse", &format!("192.0.2.2:80 {OFF}")],
        ),
        (
            "off, and the load balancer's",
            further(ONE, ONE, Sources::Any),
            LeftAlone,
            vec!["10.96.0.97:80 refuse", "192.0.2.1:80 refuse"],
        ),
        (
            "source ranges are the load balancer's alone",
            further(ONE, TWO, Sources::Limited),
            Served,
            vec!["10.96.0.97:80 refuse", &format!("192.0.2.1:80 {LIMITED}"), "192.0.2.2:80 refuse"],
        ),
        (
            "what is limited is no external IP besides",
            further(ONE, ONE, Sources::Limited),
            Served,
            vec!["10.96.0.97:80 refuse", &format!("192.0.2.1:80 {LIMITED}")],
        ),
    ] {
        let mut store = Store::new("n1", Rules { external_ips, ..Rules::default() });
        store.apply(now(Service { further, ..service("a") }));
        Kind::ALL.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
        assert_eq!(each(&store), expected, "{shows}");
    }
}

/// Contract, section 3.6: whatever the policies say, but after step one.
#[test]
fn a_further_address_has_the_cluster_set_and_the_cluster_ip_that_of_its_policy() {
    let all = "x@n1 y@n2 z@n3";
    for (shows, topology, internal_local, expected) in [
        ("no policy", None, false, ["x y z", "x y z"]),
        ("internalTrafficPolicy: Local", None, true, ["x", "x y z"]),
        ("with a topology", Some(POOL), true, ["x", "x y"]),
        ("of a host alone", Some(HOST), false, ["x", "x"]),
    ] {
        let topology = topology.map(Into::into);
        let further = further("", ONE, Sources::Any);
        let store = store([
            Service { topology, internal_local, further, ..service("a") }.into(),
            slice("a-1", all).into(),
            node("n1", "pool=p1").into(),
            node("n2", "pool=p1").into(),
            node("n3", "pool=p3").into(),
        ]);
        let expected = [format!("10.96.0.97:80 {}", expected[0]), format!("192.0.2.1:80 {}", expected[1])];
        assert_eq!(each(&store), expected, "{shows}");
    }
}

#[test]
fn of_two_families_a_further_address_has_the_endpoints_of_its_own() {
    let mut six = slice("a-2", "");
    six.family = Some(Family::V6);
    six.endpoints = vec![endpoint(Family::V6, "y@n1")];
    let mut both = Service { further: further("", "fd00::1 192.0.2.1", Sources::Any), ..service("a") };
    both.addresses.push("fd00::a".parse().unwrap());
    let store = store([both.into(), slice("a-1", "x@n1").into(), six.into()]);
    assert_eq!(each(&store), ["10.96.0.97:80 x", "[fd00::a]:80 y", "[fd00::1]:80 y", "192.0.2.1:80 x"]);
}

/// Contract, section 1: something on this machine listens there.
#[test]
fn a_cluster_ip_that_the_host_has_is_left_alone_while_it_does() {
    const LEFT: &str =
        "interface \"nodelocaldns\" of this node has this cluster IP: left to what listens there";
    let host =
        |text: &str| text.split_whitespace().map(|ip| (ip.parse().unwrap(), "nodelocaldns".into())).collect();
    let with_external = Service { further: further("", ONE, Sources::Any), ..service("a") };
    let mut store = store([with_external.into(), service("b").into()]);
    for (shows, addresses, touches, expected) in [
        ("it gets the cluster IP", "10.96.0.97", "a", [LEFT, "refuse"]),
        ("and one of no Service", "10.96.0.97 192.168.0.1", "", [LEFT, "refuse"]),
        ("and the external IP, which often is the node's own", "10.96.0.97 192.0.2.1", "a", [LEFT, "refuse"]),
        ("it gives the cluster IP up", "192.0.2.1", "a", ["refuse", "refuse"]),
        ("it has nothing any more", "", "a", ["refuse", "refuse"]),
    ] {
        store.set_host(host(addresses));
        assert_eq!(dirty(&mut store), touches, "{shows}");
        let expected = [format!("10.96.0.97:80 {}", expected[0]), format!("192.0.2.1:80 {}", expected[1])];
        assert_eq!(each(&store), expected, "{shows}");
    }
}

/// Every address of `default/a`, and what is said of it.
fn each(store: &Store) -> Vec<String> {
    let ports = store.ports(&ObjectName::new("default", "a"));
    ports.iter().map(|port| format!("{} {}", port.dialled.address, port_said(port))).collect()
}

/// Contract, section 4: an address that we serve, and not one that we leave alone.
#[test]
fn without_kube_proxy_other_ports_are_refused_at_the_cluster_ips_that_are_served() {
    let sctp = |service: Service| {
        let ports = service.ports.into_iter().map(|port| ServicePort { protocol: Protocol::Sctp, ..port });
        Service { ports: ports.collect(), further: None, ..service }
    };
    let excluded = || BTreeSet::from([service("a").name]);
    for (shows, of, excluded, host, expected) in [
        ("served", service("a"), BTreeSet::new(), "192.0.2.9", &["10.96.0.97:0"][..]),
        ("excluded", service("a"), excluded(), "192.0.2.9", &[]),
        ("discarded", Service { discarded: true, ..service("a") }, BTreeSet::new(), "192.0.2.9", &[]),
        ("SCTP alone", sctp(service("a")), BTreeSet::new(), "192.0.2.9", &[]),
        ("on a host interface", service("a"), BTreeSet::new(), "10.96.0.97", &[]),
        (
            "further addresses are often those of nodes",
            Service { further: further(ONE, TWO, Sources::Any), ..service("a") },
            BTreeSet::new(),
            "192.0.2.9",
            &["10.96.0.97:0"],
        ),
    ] {
        for (mode, expected) in [(Mode::Replace, expected), (Mode::Beside, &[][..])] {
            let rules = Rules { mode, excluded: excluded.clone(), ..Rules::default() };
            let mut store = Store::new("n1", rules);
            store.set_host([(host.parse().unwrap(), "dummy0".into())].into_iter().collect());
            store.apply(now(of.clone()));
            let refused = store.refused_ports(&of.name).into_iter();
            let refused: Vec<String> = refused.map(|(_, at)| at.address.to_string()).collect();
            assert_eq!(refused, expected, "{shows}, {}", mode.label());
        }
    }
}

/// Of two Services at one address the first has it, and the other takes over.
#[test]
fn other_ports_of_an_address_belong_to_one_service_at_a_time() {
    let mut store = Store::new("n1", Rules { mode: Mode::Replace, ..Rules::default() });
    let b = service("b");
    let ports = vec![ServicePort { port: 81, ..service("a").ports.remove(0) }];
    let a = Service { addresses: b.addresses.clone(), ports, ..service("a") };
    let owners = |store: &Store| {
        let has = |name: &&str| !store.refused_ports(&service(name).name).is_empty();
        ["a", "b"].into_iter().filter(has).collect::<Vec<_>>()
    };
    store.apply(now(b));
    assert_eq!(owners(&store), ["b"]);
    store.apply(now(a.clone()));
    assert_eq!(owners(&store), ["a"]);
    assert!(store.dirty().contains(&service("b").name));
    store.take_dirty();
    store.apply(Change::Delete(ObjectKey { kind: Kind::Service, name: a.name }));
    assert_eq!(owners(&store), ["b"]);
    assert!(store.dirty().contains(&service("b").name), "it is written for the heir in the same pass");
}

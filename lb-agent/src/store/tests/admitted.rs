//! Which backends UDP sockets keep, by Service.

use std::collections::BTreeSet;

use crate::store::{Admitted, ExternalIps};

use super::*;

/// Service `a`, its port `http` of UDP, and a slice with these endpoints on the same port.
fn udp(topology: &str, endpoints: &str) -> [Object; 2] {
    let service = Service {
        ports: vec![port("http", Protocol::Udp, 53)],
        topology: (!topology.is_empty()).then(|| topology.into()),
        ..service("a")
    };
    let mut slice = slice("a-1", endpoints);
    slice.ports[0].protocol = Protocol::Udp;
    [service.into(), slice.into()]
}

/// What of it may stay, as last parts of addresses; `any`, `gone`, or `unknown`.
fn kept(store: &Store) -> String {
    let Some(all) = store.admitted(&ObjectName::new("default", "a")) else { return "unknown".to_owned() };
    let [(at, admitted)] = &all[..] else { return "gone".to_owned() };
    assert_eq!((at.address.to_string(), at.protocol), ("10.96.0.97:53".to_owned(), Protocol::Udp));
    match admitted {
        Admitted::Any => "any".to_owned(),
        Admitted::Backends(backends) => {
            let last = |at: &std::net::SocketAddr| at.ip().to_string().rsplit('.').next().unwrap().to_owned();
            backends.iter().map(last).collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn step_one_and_serving_decide_and_policies_do_not() {
    let nodes = || [node("n1", "pool=p").into(), node("n2", "pool=q").into()];
    for (shows, topology, endpoints, expected) in [
        ("all that serve", "", "a@n1 b@n2~ c!", "97 98"),
        ("of the pool", POOL, "a@n1 b@n2", "97"),
        ("none", POOL, "b@n2", ""),
    ] {
        let objects = || udp(topology, endpoints).into_iter().chain(nodes());
        assert_eq!(kept(&store(objects())), expected, "{shows}");
        let local = objects().map(|object| match object {
            Object::Service(service) => Service { internal_local: true, ..service }.into(),
            other @ (Object::Slice(_) | Object::Node(_) | Object::Pod(_) | Object::Namespace(_)) => other,
        });
        assert_eq!(kept(&store(local)), expected, "{shows}, internalTrafficPolicy: Local");
    }
}

#[test]
fn what_is_left_alone_or_not_known_keeps_everything_and_what_is_gone_nothing() {
    let edit = |edit: fn(&mut Service)| {
        udp("", "a").map(|object| match object {
            Object::Service(mut service) => {
                edit(&mut service);
                service.into()
            }
            other @ (Object::Slice(_) | Object::Node(_) | Object::Pod(_) | Object::Namespace(_)) => other,
        })
    };
    assert_eq!(kept(&store(udp("", "a"))), "97");
    assert_eq!(kept(&store(edit(|service| service.discarded = true))), "any");
    assert_eq!(kept(&store(edit(|service| service.ports[0].protocol = Protocol::Tcp))), "gone");
    assert_eq!(kept(&store([])), "gone");
    assert_eq!(kept(&unsynced([])), "unknown");

    let rules = Rules { excluded: BTreeSet::from([ObjectName::new("default", "a")]), ..Rules::default() };
    let mut excluded = Store::new("n1", Rules { external_ips: ExternalIps::Served, ..rules });
    udp("", "a").into_iter().for_each(|object| excluded.apply(Change::Apply(object)));
    assert_eq!(kept(&excluded), "any");

    let mut waiting = unsynced(udp(POOL, "a@n1"));
    waiting.apply(Change::Synced(Kind::Service));
    waiting.apply(Change::Synced(Kind::EndpointSlice));
    assert_eq!(kept(&waiting), "any", "the pool is not known yet");
}

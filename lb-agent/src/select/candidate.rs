//! The endpoints of one service port, gathered from all its slices.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Endpoint, Family, Health, Hints, ServicePortKey, Slice};

/// One endpoint of a service port, as all its slices together show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    pub backend: SocketAddr,
    pub health: Health,
    /// It answers, also where it is not ready.
    pub serving: bool,
    pub node: Option<&'a Arc<str>>,
    pub hints: Option<&'a Hints>,
}

/// The endpoints of the service port `key`, each backend once, sorted by backend.
///
/// 1. Slices count that name the Service, are of the family and are not marked headless.
/// 2. The port number is the slice port's, matched by name and protocol. Several ports of
///    that name are all taken; port 0 does not count.
/// 3. Endpoints of another family than their slice says are not used.
/// 4. Of several copies of a backend, one that is not terminating wins over one that is.
#[must_use]
pub fn candidates<'a>(
    slices: impl IntoIterator<Item = &'a Slice>,
    key: &ServicePortKey,
) -> Vec<Candidate<'a>> {
    let mut copies = Vec::new();
    for slice in slices.into_iter().filter(|slice| counts(slice, key)) {
        let ports = slice
            .ports
            .iter()
            .filter(|port| port.port != 0 && port.name == key.port_name && port.protocol == key.protocol);
        for port in ports {
            copies.extend(slice.endpoints.iter().filter_map(|endpoint| at(endpoint, port.port, key.family)));
        }
    }
    copies.sort_unstable_by(|one, other| rank(one).cmp(&rank(other)));
    copies.dedup_by_key(|copy| copy.candidate.backend);
    copies.into_iter().map(|copy| copy.candidate).collect()
}

fn counts(slice: &Slice, key: &ServicePortKey) -> bool {
    !slice.headless
        && slice.family == Some(key.family)
        && slice.name.namespace == key.service.namespace
        && slice.service.as_ref() == Some(&key.service.name)
}

/// An endpoint as one slice port shows it.
struct Copy<'a> {
    candidate: Candidate<'a>,
    terminating: bool,
}

fn at(endpoint: &Endpoint, port: u16, family: Family) -> Option<Copy<'_>> {
    // kube-proxy takes an IPv4-mapped address for IPv4, and so does the kernel.
    let address = endpoint.address.to_canonical();
    (Family::of(address) == family).then(|| Copy {
        candidate: Candidate {
            backend: SocketAddr::new(address, port),
            health: endpoint.conditions.health(),
            serving: endpoint.conditions.serving,
            node: endpoint.node.as_ref(),
            hints: endpoint.hints.as_deref(),
        },
        terminating: endpoint.conditions.terminating,
    })
}

/// Orders by backend, and the copies of one backend best first. It goes on to the last field,
/// so that the order in which slices arrive never decides.
fn rank<'c>(copy: &'c Copy<'_>) -> impl Ord + use<'c> {
    let Copy { candidate: Candidate { backend, health, serving, node, hints }, terminating } = copy;
    let hints = hints.map(|hints| (&hints.nodes, &hints.zones));
    (*backend, *terminating, *health, !*serving, node.is_none(), *node, hints.is_none(), hints)
}

#[cfg(test)]
mod tests {
    use crate::model::{Protocol, SlicePort};

    use super::super::notation::{address, all, conditions, endpoint, key, names, slice};
    use super::*;

    #[test]
    fn a_slice_counts_for_its_own_service_port_alone() {
        type Edit = fn(&mut Slice);
        let cases: [(&str, Edit, &str); 14] = [
            ("as it is", |_| {}, "8080"),
            ("marked headless", |slice| slice.headless = true, ""),
            ("of the other family", |slice| slice.family = Some(Family::V6), ""),
            ("of no family", |slice| slice.family = None, ""),
            ("of another service", |slice| slice.service = Some("api".into()), ""),
            ("of no service", |slice| slice.service = None, ""),
            ("of another namespace", |slice| slice.name.namespace = "other".into(), ""),
            ("its own name says nothing", |slice| slice.name.name = "api-1".into(), "8080"),
            ("no ports", |slice| slice.ports.clear(), ""),
            ("the port by another name", |slice| slice.ports[0].name = "".into(), ""),
            ("the port of another protocol", |slice| slice.ports[0].protocol = Protocol::Udp, ""),
            ("the number is the slice's", |slice| slice.ports[0].port = 9376, "9376"),
            ("the number zero", |slice| slice.ports[0].port = 0, ""),
            ("several ports of the name", |slice| slice.ports.push(port("http", 9376)), "8080 9376"),
        ];
        for (shows, edit, ports) in cases {
            let mut slice = slice(Family::V4, "a@here");
            slice.ports.push(port("metrics", 9000));
            edit(&mut slice);
            let found = candidates([&slice], &key(Family::V4));
            let found: Vec<String> = found.iter().map(|found| found.backend.port().to_string()).collect();
            assert_eq!(found.join(" "), ports, "{shows}");
        }
    }

    #[test]
    fn an_unnamed_port_and_the_same_number_of_another_protocol_are_ports_of_their_own() {
        let mut slice = slice(Family::V4, "a@here");
        slice.ports = vec![port("", 53), SlicePort { protocol: Protocol::Udp, ..port("", 5353) }];
        let mut unnamed = ServicePortKey { port_name: "".into(), ..key(Family::V4) };
        assert_eq!(candidates([&slice], &unnamed)[0].backend, SocketAddr::new(address(Family::V4, b'a'), 53));

        unnamed.protocol = Protocol::Udp;
        assert_eq!(
            candidates([&slice], &unnamed)[0].backend,
            SocketAddr::new(address(Family::V4, b'a'), 5353)
        );
    }

    #[test]
    fn several_slices_of_a_service_are_one_sorted_list() {
        let first = slice(Family::V4, "d@here a@near");
        let second = slice(Family::V4, "c b@far");
        let other_family = slice(Family::V6, "e@here");
        assert_eq!(names(&candidates([&first, &second, &other_family], &key(Family::V4))), "a b c d");
        assert_eq!(names(&candidates([&second, &other_family, &first], &key(Family::V6))), "e");
        assert_eq!(candidates([], &key(Family::V4)), []);
    }

    #[test]
    fn an_endpoint_is_what_its_slice_says() {
        let slice = slice(Family::V6, "a@here>z1+near b~");
        let found = candidates([&slice], &key(Family::V6));
        assert_eq!(
            found[0],
            Candidate {
                backend: "[fd00::61]:8080".parse().unwrap(),
                health: Health::Ready,
                serving: true,
                node: Some(&"here".into()),
                hints: Some(&Hints { zones: vec!["z1".into()], nodes: vec!["near".into()] }),
            }
        );
        assert_eq!((found[1].health, found[1].node, found[1].hints), (Health::Draining, None, None));
    }

    #[test]
    fn an_address_of_the_wrong_family_is_not_used() {
        let mut v4 = slice(Family::V4, "a@here");
        v4.endpoints.push(endpoint(Family::V6, "b@here"));
        assert_eq!(names(&candidates([&v4], &key(Family::V4))), "a");

        let mut v6 = slice(Family::V6, "a@here");
        v6.endpoints
            .push(Endpoint { address: "::ffff:10.0.0.98".parse().unwrap(), ..v6.endpoints[0].clone() });
        assert_eq!(names(&candidates([&v6], &key(Family::V6))), "a", "an IPv4-mapped address is IPv4");
    }

    /// Each case is one backend in two slices, tried in both orders.
    #[test]
    fn of_two_copies_of_a_backend_the_better_one_counts() {
        for (shows, one, other, wins) in [
            ("not terminating, though unready", "a@here^", "a@near!", "a@near!"),
            ("not terminating before draining", "a@here~", "a@near", "a@near"),
            ("ready before unready", "a@here!", "a@near", "a@near"),
            ("of two that are not ready, one that serves", "a@here!", "a@near?", "a@near?"),
            ("both terminating: ready before draining", "a@here~", "a@near^", "a@near^"),
            ("one that names its node", "a", "a@near", "a@near"),
            ("else the first by node", "a@near", "a@here", "a@here"),
            ("one that has hints", "a@near", "a@near>z1", "a@near>z1"),
            ("else the first by node hints, then zones", "a@near>far+z1", "a@near>z2", "a@near>z2"),
            ("else the first by zone hints", "a@near>z2", "a@near>z1", "a@near>z1"),
            ("copies that are the same", "a@near", "a@near", "a@near"),
        ] {
            let (one, other, wins) =
                (slice(Family::V4, one), slice(Family::V4, other), slice(Family::V4, wins));
            let key = key(Family::V4);
            assert_eq!(candidates([&one, &other], &key), all(&wins), "{shows}");
            assert_eq!(candidates([&other, &one], &key), all(&wins), "{shows}, the other way round");
        }
    }

    #[test]
    fn one_address_on_two_ports_is_two_backends() {
        let mut other_port = slice(Family::V4, "a@near~");
        other_port.ports[0].port = 9376;
        let slice = slice(Family::V4, "a@here");
        assert_eq!(names(&candidates([&slice, &other_port], &key(Family::V4))), "a a");
    }

    #[test]
    fn health_is_read_from_all_three_conditions() {
        use Health::{Draining, Ready, Unready};
        for (ready, serving, terminating, health) in [
            (true, true, false, Ready),
            (true, true, true, Ready),
            (true, false, false, Ready),
            (true, false, true, Ready),
            (false, true, true, Draining),
            (false, true, false, Unready),
            (false, false, true, Unready),
            (false, false, false, Unready),
        ] {
            assert_eq!(conditions(ready, serving, terminating).health(), health);
        }
    }

    fn port(name: &str, port: u16) -> SlicePort {
        SlicePort { name: name.into(), protocol: Protocol::Tcp, port }
    }
}
